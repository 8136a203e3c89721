import Foundation
import Glibc

/// Where the gateway is: `http://host:port` or `https://...`, without a path.
struct GatewayAddress: Equatable, Sendable, CustomStringConvertible {
  static let local = "http://127.0.0.1:8080"

  let text: String
  /// The host, where it is this machine itself; without brackets.
  let loopbackHost: String?
  /// Whether what is sent there could be read on its way: plain HTTP to another machine.
  let isExposed: Bool

  init(_ text: String) throws(CommandFailure) {
    let text = text.hasSuffix("/") ? String(text.dropLast()) : text
    guard let parts = URLComponents(string: text), let host = parts.host, !host.isEmpty,
      ["http", "https"].contains(parts.scheme), parts.path.isEmpty, parts.query == nil,
      parts.user == nil, parts.password == nil
    else {
      throw .usage("'\(text)' is no address: give it like \(Self.local)")
    }
    self.text = text
    loopbackHost = Self.loopback(host)
    isExposed = parts.scheme == "http" && loopbackHost == nil
  }

  var description: String { text }

  /// `localhost` and the names below it (RFC 6761), 127.0.0.0/8 and ::1.
  private static func loopback(_ host: String) -> String? {
    var name = host.lowercased()
    if name.hasPrefix("["), name.hasSuffix("]") { name = String(name.dropFirst().dropLast()) }
    if name == "localhost" || name.hasSuffix(".localhost") { return name }
    var four = in_addr()
    if inet_pton(AF_INET, name, &four) == 1 {
      return UInt32(bigEndian: four.s_addr) >> 24 == 127 ? name : nil
    }
    var six = in6_addr()
    var loopback = in6addr_loopback
    guard inet_pton(AF_INET6, name, &six) == 1 else { return nil }
    return memcmp(&six, &loopback, MemoryLayout<in6_addr>.size) == 0 ? name : nil
  }

  func url(_ path: GatewayPath, _ query: [(name: String, value: String)]) -> URL? {
    var text = text + path.text
    for (index, (name, value)) in query.enumerated() {
      text += index == 0 ? "?" : "&"
      text += GatewayPath.encoded(name) + "=" + GatewayPath.encoded(value)
    }
    return URL(string: text)
  }
}

/// A path of the gateway's. What is put into it stands for itself, whatever characters it has.
struct GatewayPath: Equatable, Sendable, ExpressibleByStringInterpolation {
  struct StringInterpolation: StringInterpolationProtocol {
    fileprivate var text = ""

    init(literalCapacity: Int, interpolationCount: Int) {}

    mutating func appendLiteral(_ literal: String) { text += literal }

    mutating func appendInterpolation(_ segment: String) { text += GatewayPath.encoded(segment) }
  }

  let text: String

  init(stringLiteral value: String) { text = value }

  init(stringInterpolation: StringInterpolation) { text = stringInterpolation.text }

  /// All but RFC 3986's unreserved characters become percent signs and digits.
  static func encoded(_ text: String) -> String {
    var encoded = ""
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "_"), UInt8(ascii: "~"):
        encoded.append(Character(UnicodeScalar(byte)))
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        encoded += digits.count == 1 ? "%0\(digits)" : "%\(digits)"
      }
    }
    return encoded
  }
}
