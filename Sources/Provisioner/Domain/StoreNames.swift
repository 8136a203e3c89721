/// A field of a request that breaks a rule, and what would do.
package struct InvalidField: Error, Equatable, Sendable {
  /// The field's path in the request, such as `parameters.admin_email`.
  package let path: String
  package let reason: String

  package init(_ path: String, _ reason: String) {
    self.path = path
    self.reason = reason
  }
}

/// The rules of a store's name: it is the first label of the store's host.
package enum StoreName {
  package static let bytesMax = 40

  /// Names whose hosts people take for the platform's own.
  static let reserved: Set<String> = [
    "admin", "api", "app", "audit", "auth", "config", "console", "dashboard", "gateway", "help",
    "internal", "localhost", "login", "mail", "metrics", "ns", "operator", "provisioner", "root",
    "smtp", "status", "storeplane", "support", "system", "www",
  ]

  package static func check(_ name: String) throws(InvalidField) {
    func invalid(_ reason: String) -> InvalidField { InvalidField("name", reason) }
    let bytes = Array(name.utf8)
    guard let first = bytes.first, let last = bytes.last else {
      throw invalid("give a name of 1 to \(bytesMax) lowercase letters, digits and inner hyphens")
    }
    guard bytes.count <= bytesMax else {
      throw invalid("has \(bytes.count) characters; at most \(bytesMax) are allowed")
    }
    guard isLetter(first) else { throw invalid("must begin with a lowercase letter") }
    guard last != UInt8(ascii: "-") else { throw invalid("must not end with a hyphen") }
    guard bytes.allSatisfy({ isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "-") }) else {
      throw invalid("has a character that is no lowercase letter, digit or hyphen")
    }
    // RFC 5891 keeps these for internationalized names.
    guard bytes.count < 4 || bytes[2] != UInt8(ascii: "-") || bytes[3] != UInt8(ascii: "-") else {
      throw invalid("must not have hyphens in its third and fourth place")
    }
    guard !reserved.contains(name) else {
      throw invalid("'\(name)' is reserved; choose another name")
    }
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }
}

/// A store's id: 16 characters, a digit first so that no name looks like one.
package enum StoreID {
  package static let length = 16
  /// Without the letters that read like digits.
  private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)

  /// 78 random bits.
  package static func make(using generator: inout some RandomNumberGenerator) -> String {
    var bytes = [alphabet[Int(generator.next(upperBound: 10 as UInt64))]]
    for _ in 1..<length { bytes.append(alphabet[Int(generator.next(upperBound: 32 as UInt64))]) }
    return String(decoding: bytes, as: UTF8.self)
  }

  package static func isOne(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard bytes.count == length, let first = bytes.first else { return false }
    return (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
      && bytes.allSatisfy(alphabet.contains)
  }
}

/// Names that follow from a store's own.
package enum StorePlace {
  package static func namespace(id: String) -> String { "store-\(id)" }

  /// The hosts to try, the best first. Names are unique in a tenant, hosts in a cluster: where another
  /// tenant has the first, the second is free.
  ///
  /// - Parameter suffix: what follows the name, such as `.shops.example.com`.
  package static func hosts(name: String, id: String, suffix: String) -> [String] {
    let dotted = suffix.hasPrefix(".") ? suffix : ".\(suffix)"
    return [name + dotted, "\(name)-\(id)" + dotted]
  }
}
