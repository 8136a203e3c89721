import Glibc

/// Where to listen or connect: a host name, an IPv4 address or a bracketed IPv6 address, and a port.
package struct HostPort: Sendable, Hashable, CustomStringConvertible {
  /// Without brackets.
  package let host: String
  package let port: UInt16

  package init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// Parses `HOST:PORT`; nil for what is none.
  package init?(_ text: String) {
    guard let parsed = try? Self.parse(text, example: "") else { return nil }
    self = parsed
  }

  static func parse(_ text: String, example: String) throws(Rejection) -> HostPort {
    let remedy = "give HOST:PORT, for example \(example)"
    guard let colon = text.lastIndex(of: ":") else {
      throw Rejection(reason: "is \(Shown.text(text)), without a port", remedy: remedy)
    }
    let digits = text[text.index(after: colon)...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }),
      let port = UInt16(digits)
    else {
      throw Rejection(
        reason: "has the port \(Shown.text(String(digits)))",
        remedy: "give a port from 0 to 65535, for example \(example)")
    }
    var host = String(text[..<colon])
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    if isBracketed { host = String(host.dropFirst().dropLast()) }
    guard isBracketed ? isIPv6(host) : isName(host) else {
      throw Rejection(
        reason: "has the host \(Shown.text(host)), which is no name or address", remedy: remedy)
    }
    return HostPort(host: host, port: port)
  }

  private static func isIPv6(_ host: String) -> Bool {
    var address = in6_addr()
    return inet_pton(AF_INET6, host, &address) == 1
  }

  /// A host name of RFC 1123, with `_` as some resolvers have it. All digits and dots is an IPv4
  /// address and must be a whole one.
  static func isName(_ host: String) -> Bool {
    guard (1...253).contains(host.utf8.count) else { return false }
    if host.utf8.allSatisfy({ (48...57).contains($0) || $0 == UInt8(ascii: ".") }) {
      var address = in_addr()
      return inet_pton(AF_INET, host, &address) == 1
    }
    return host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
      (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
        && label.utf8.allSatisfy { byte in
          switch byte {
          case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
          default: false
          }
        }
    }
  }
}

/// A URL with an authority (RFC 3986): scheme, host, and the rest as it was given.
package struct WebAddress: Sendable, Hashable, CustomStringConvertible {
  /// In lower case.
  package let scheme: String
  package let host: String
  package let port: UInt16?
  /// From the first slash after the authority on, query included; empty when there is none.
  package let path: String
  package let text: String

  package var description: String { text }

  /// The scheme in lower case and what comes after `://`. Says what is wrong without showing the text,
  /// which may hold a password.
  static func splitScheme(
    _ text: String, schemes: [String]
  ) throws(Rejection) -> (scheme: String, rest: Substring) {
    let remedy =
      "give a URL that starts with \(schemes.map { $0 + "://" }.joined(separator: " or "))"
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
      throw Rejection(
        reason: "has a space, a control character or a letter outside ASCII",
        remedy: "percent-encode it (RFC 3986)")
    }
    guard let mark = text.firstRange(of: "://") else {
      throw Rejection(reason: "has no scheme", remedy: remedy)
    }
    let scheme = text[..<mark.lowerBound].lowercased()
    guard schemes.contains(scheme) else {
      throw Rejection(reason: "does not have an expected scheme", remedy: remedy)
    }
    return (scheme, text[mark.upperBound...])
  }

  static func parse(_ text: String, schemes: [String]) throws(Rejection) -> WebAddress {
    let (scheme, rest) = try splitScheme(text, schemes: schemes)
    let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
    let authority = rest[..<end]
    guard !authority.contains("@") else {
      throw Rejection(
        reason: "has a user or password in it", remedy: "give it without: this URL is shown in logs"
      )
    }
    let (host, port) = try hostAndPort(String(authority))
    return WebAddress(
      scheme: scheme, host: host, port: port, path: String(rest[end...]), text: text)
  }

  private static func hostAndPort(
    _ authority: String
  ) throws(Rejection) -> (host: String, port: UInt16?) {
    let example = "db.example.com:5432"
    let lastColon = authority.lastIndex(of: ":")
    let isBracketOnly = authority.hasSuffix("]")
    if lastColon != nil && !isBracketOnly {
      let address = try HostPort.parse(authority, example: example)
      return (address.host, address.port)
    }
    // A port that is not used, so that one parser knows what a host is.
    let address = try HostPort.parse(authority + ":0", example: example)
    return (address.host, nil)
  }
}
