import Glibc

/// `uri-host [":" port]` as it stands in Host, `:authority` and absolute-form targets.
package enum HTTPAuthority {
  /// The longest DNS name, and thus the longest host.
  package static let hostBytesMax = 253

  /// The authority in lower case, or nil where it is not one.
  ///
  /// Narrower than RFC 3986's grammar on purpose: a host is a name of letters, digits, "-", "."
  /// and "_", an IPv4 address or a bracketed IPv6 address; a port is 1...65535. User information,
  /// escapes and other sub-delimiters have no use in a Host and are how routers get confused.
  package static func normalize(_ text: String) -> String? {
    let bytes = Array(text.utf8)
    guard let first = bytes.first else { return nil }
    let hostEnd: Int
    if first == UInt8(ascii: "[") {
      guard let bracket = bytes.firstIndex(of: UInt8(ascii: "]")),
        isIPv6(String(decoding: bytes[1..<bracket], as: UTF8.self))
      else { return nil }
      hostEnd = bracket + 1
    } else {
      hostEnd = bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.count
      guard 1...hostBytesMax ~= hostEnd,
        bytes[..<hostEnd].allSatisfy(ByteSet.hostName.contains)
      else { return nil }
    }
    guard hostEnd == bytes.count || isPort(bytes[hostEnd...]) else { return nil }
    return String(decoding: bytes.map(\.lowercased), as: UTF8.self)
  }

  private static func isPort(_ suffix: ArraySlice<UInt8>) -> Bool {
    let digits = suffix.dropFirst()
    guard suffix.first == UInt8(ascii: ":"), 1...5 ~= digits.count,
      digits.allSatisfy(\.isDigit)
    else { return false }
    return 1...65535 ~= digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
  }

  private static func isIPv6(_ text: String) -> Bool {
    guard !text.utf8.contains(0) else { return false }
    var address = in6_addr()
    return inet_pton(AF_INET6, text, &address) == 1
  }
}
