import Glibc

/// The kinds of settings. Each takes its name, what it is for, an example, and a default; without a
/// default it is required, unless made `optional`.
extension Setting where Value == String {
  package static func string(
    _ key: String, default fallback: String? = nil, bytesMaximum: Int = 1024, _ summary: String,
    example: String
  ) -> Setting {
    make(key, kind: "text", default: fallback, summary, example: example) {
      text throws(Rejection) in
      guard text.utf8.count <= bytesMaximum else {
        throw Rejection(
          reason: "is \(text.utf8.count) bytes long", remedy: "give at most \(bytesMaximum) bytes")
      }
      guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else {
        throw Rejection(
          reason: "has a control character in it", remedy: "give printable text on one line")
      }
      return text
    }
  }

  /// A path of the file system.
  package static func path(
    _ key: String, default fallback: String? = nil, _ expected: PathKind, _ summary: String,
    example: String
  ) -> Setting {
    // A default names the usual place, and is not looked at before it is used.
    let setting = make(
      key, kind: expected.rawValue, default: fallback, summary, example: example
    ) { text throws(Rejection) in
      if text == fallback { return text }
      try expected.check(text)
      return text
    }
    return setting
  }
}

/// A file that was read with the settings.
package struct TextFile: Sendable, Equatable {
  package let path: String
  package let text: String
}

extension Setting where Value == TextFile {
  static var textFileBytesMaximum: Int { 256 * 1024 }

  /// The path of a file of text, whose contents are the value.
  package static func textFile(_ key: String, _ summary: String, example: String) -> Setting {
    make(
      key, kind: "file", summary, example: example
    ) { path throws(Rejection) in
      do throws(BoundedFile.Failure) {
        let file = try BoundedFile.read(path, bytesMaximum: textFileBytesMaximum)
        return TextFile(path: path, text: file.text)
      } catch {
        throw Rejection(
          reason: "names \(Shown.text(path)), which \(error.reason)", remedy: error.remedy)
      }
    }
  }
}

package enum PathKind: String, Sendable {
  /// It need not be there yet.
  case any = "path"
  case readableFile = "file"
  case directory = "directory"

  func check(_ path: String) throws(Rejection) {
    guard !path.utf8.contains(0) else {
      throw Rejection(reason: "has a zero byte in it", remedy: "give a path without one")
    }
    if self == .any { return }
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw Rejection(
        reason:
          "names \(Shown.text(path)), which cannot be found: \(String(cString: strerror(errno)))",
        remedy: "create it, or correct the path (relative ones start at the working directory)")
    }
    let isDirectory = status.st_mode & S_IFMT == S_IFDIR
    if isDirectory != (self == .directory) {
      throw Rejection(
        reason:
          "names \(Shown.text(path)), which is \(isDirectory ? "a directory" : "not a directory")",
        remedy: "give the path of a \(rawValue)")
    }
    guard access(path, R_OK) == 0 else {
      throw Rejection(
        reason: "names \(Shown.text(path)), which this user may not read",
        remedy: "let user \(getuid()) read it")
    }
  }
}

extension Setting where Value == Int {
  package static func integer(
    _ key: String, default fallback: Int? = nil, in range: ClosedRange<Int>, _ summary: String,
    example: Int
  ) -> Setting {
    make(
      key, kind: "integer", allowed: "\(range.lowerBound) to \(range.upperBound)",
      default: fallback.map { "\($0)" }, summary, example: "\(example)"
    ) { text throws(Rejection) in
      guard let value = Int(text), text.utf8.first != UInt8(ascii: "+") else {
        throw Rejection(
          reason: "is \(Shown.text(text)), not a whole number",
          remedy: "give a number from \(range.lowerBound) to \(range.upperBound)")
      }
      guard range.contains(value) else {
        throw Rejection(
          reason: "is \(value)",
          remedy: "give a number from \(range.lowerBound) to \(range.upperBound)"
        )
      }
      return value
    }
  }
}

extension Setting where Value == Bool {
  package static func boolean(
    _ key: String, default fallback: Bool? = nil, _ summary: String
  ) -> Setting {
    make(
      key, kind: "boolean", allowed: "true or false", default: fallback.map { "\($0)" }, summary,
      example: "\(!(fallback ?? false))"
    ) { text throws(Rejection) in
      switch text.lowercased() {
      case "true", "yes", "on", "1": return true
      case "false", "no", "off", "0": return false
      default:
        throw Rejection(reason: "is \(Shown.text(text))", remedy: "give true or false")
      }
    }
  }
}

extension Setting where Value == Duration {
  /// - Parameter orZero: whether 0s is allowed too.
  package static func duration(
    _ key: String, default fallback: String? = nil, in range: ClosedRange<Duration>,
    orZero: Bool = false, _ summary: String, example: String
  ) -> Setting {
    let allowed =
      (orZero ? "0s, or " : "")
      + "\(DurationText.format(range.lowerBound)) to \(DurationText.format(range.upperBound))"
    return make(
      key, kind: "duration", allowed: allowed, default: fallback, summary, example: example
    ) { text throws(Rejection) in
      guard let value = DurationText.parse(text) else {
        throw Rejection(
          reason: "is \(Shown.text(text)), not a duration",
          remedy: "give a whole number and a unit (ms, s, m, h, d), for example \(example)")
      }
      guard range.contains(value) || (orZero && value == .zero) else {
        throw Rejection(reason: "is \(Shown.text(text))", remedy: "give \(allowed)")
      }
      return value
    }
  }
}

extension Setting where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
  package static func choice(
    _ key: String, default fallback: Value? = nil, _ summary: String
  ) -> Setting {
    let names = Value.allCases.map(\.rawValue)
    let allowed = names.joined(separator: ", ")
    return make(
      key, kind: "choice", allowed: allowed, default: fallback?.rawValue, summary,
      example: names.last ?? ""
    ) { text throws(Rejection) in
      if let value = Value(rawValue: text) { return value }
      let guess = Spelling.nearest(to: text, among: names).map { " (did you mean \($0)?)" } ?? ""
      throw Rejection(reason: "is \(Shown.text(text))", remedy: "give one of \(allowed)\(guess)")
    }
  }
}

extension Setting where Value == HostPort {
  package static func hostPort(
    _ key: String, default fallback: String? = nil, _ summary: String, example: String
  ) -> Setting {
    make(key, kind: "host:port", default: fallback, summary, example: example) {
      text throws(Rejection) in try HostPort.parse(text, example: example)
    }
  }
}

extension Setting where Value == WebAddress {
  /// - Parameter schemes: in lower case.
  package static func url(
    _ key: String, default fallback: String? = nil, schemes: [String] = ["https", "http"],
    _ summary: String, example: String
  ) -> Setting {
    make(
      key, kind: "URL", allowed: schemes.joined(separator: ", "), default: fallback, summary,
      example: example
    ) { text throws(Rejection) in
      try WebAddress.parse(text, schemes: schemes)
    }
  }
}

extension Setting where Value == [AddressRange] {
  /// Networks between commas, or a sequence in a file; none by default.
  package static func addressRanges(
    _ key: String, countMaximum: Int = 64, _ summary: String, example: String
  ) -> Setting {
    let texts = Setting<[String]>.list(
      key, default: [], countMaximum: countMaximum, summary, example: example)
    return make(
      key, kind: "networks", allowed: texts.declaration.allowed, default: "", summary,
      example: example, isList: true
    ) { text throws(Rejection) in
      var ranges: [AddressRange] = []
      for range in try texts.parse(text) { ranges.append(try AddressRange.parse(range)) }
      return ranges
    }
  }
}

extension Setting where Value == [String] {
  /// Values between commas, or a sequence in a file.
  package static func list(
    _ key: String, default fallback: [String]? = nil, countMaximum: Int = 64, _ summary: String,
    example: String
  ) -> Setting {
    make(
      key, kind: "list", allowed: "at most \(countMaximum), comma between",
      default: fallback?.joined(separator: ","), summary, example: example, isList: true
    ) { text throws(Rejection) in
      let values = text.isEmpty ? [] : text.split(separator: ",", omittingEmptySubsequences: false)
      guard values.count <= countMaximum else {
        throw Rejection(
          reason: "has \(values.count) values", remedy: "give at most \(countMaximum)")
      }
      let trimmed = values.map { Shown.trimmed($0) }
      guard !trimmed.contains("") else {
        throw Rejection(
          reason: "has an empty value between commas", remedy: "give values with one comma between")
      }
      return trimmed
    }
  }
}

extension Setting where Value == Secret {
  /// - Parameters:
  ///   - hexDigits: exactly this many hex digits, when given.
  ///   - bytesMinimum: shorter ones are too easy to guess.
  package static func secret(
    _ key: String, hexDigits: Int? = nil, bytesMinimum: Int = 1, _ summary: String, example: String
  ) -> Setting {
    let allowed = hexDigits.map { "\($0) hex digits" } ?? "\(bytesMinimum) bytes or more"
    return make(
      key, kind: "secret", allowed: allowed, summary, example: example, isSecret: true
    ) { text throws(Rejection) in
      if let hexDigits {
        let isHex = text.utf8.allSatisfy {
          UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0
            || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0 | 0x20
        }
        guard isHex, text.utf8.count == hexDigits else {
          throw Rejection(
            reason: isHex ? "has \(text.utf8.count) hex digits" : "is not hexadecimal",
            remedy: "give exactly \(hexDigits) hex digits: openssl rand -hex \(hexDigits / 2)")
        }
      }
      guard text.utf8.count >= bytesMinimum else {
        throw Rejection(
          reason: "is only \(text.utf8.count) bytes long",
          remedy:
            "give \(bytesMinimum) bytes or more: openssl rand -hex \(max(16, bytesMinimum / 2))")
      }
      return Secret(text)
    }
  }

  /// A URL that may have a password in it, and so is not shown. Only its scheme and characters are
  /// looked at: the library it is for knows forms of its own (several hosts, a socket's folder).
  package static func secretURL(
    _ key: String, schemes: [String], _ summary: String, example: String
  ) -> Setting {
    make(
      key, kind: "secret URL", allowed: schemes.joined(separator: ", "), summary, example: example,
      isSecret: true
    ) { text throws(Rejection) in
      _ = try WebAddress.splitScheme(text, schemes: schemes)
      return Secret(text)
    }
  }
}
