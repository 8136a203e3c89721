import CLinux
import Glibc

/// Where a socket listens or connects: a numeric IP address with a port, or a Unix path.
package enum SocketAddress: Hashable, Sendable, CustomStringConvertible {
  case ipv4(address: UInt32, port: UInt16)
  case ipv6(address: [UInt8], port: UInt16)
  case unix(path: String)

  /// Linux's `sun_path`, less the closing zero.
  static let unixPathBytesMax = 107

  /// Parses `127.0.0.1:80`, `[::1]:80` or `unix:/run/x.sock`; nil for a name or anything else.
  package init?(_ text: String) {
    if text.hasPrefix("unix:") {
      let path = String(text.dropFirst(5))
      if path.isEmpty || path.utf8.count > SocketAddress.unixPathBytesMax { return nil }
      self = .unix(path: path)
      return
    }
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...])
    else { return nil }
    var host = String(text[..<colon])
    if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
    self.init(ip: host, port: port)
  }

  /// A numeric address of either family; nil for anything else.
  package init?(ip: String, port: UInt16) {
    var four = in_addr()
    if inet_pton(AF_INET, ip, &four) == 1 {
      self = .ipv4(address: UInt32(bigEndian: four.s_addr), port: port)
      return
    }
    var six = [UInt8](repeating: 0, count: 16)
    guard inet_pton(AF_INET6, ip, &six) == 1 else { return nil }
    self = .ipv6(address: six, port: port)
  }

  package var port: UInt16? {
    switch self {
    case .ipv4(_, let port), .ipv6(_, let port): port
    case .unix: nil
    }
  }

  private static let mappedIPv4: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]

  /// What tells one host from another: the address without a port, of IPv6 the network, since a host
  /// may have all addresses of a /64; nil on a Unix socket.
  package var host: SocketAddress? {
    switch self {
    case .ipv4(let address, _): .ipv4(address: address, port: 0)
    case .ipv6(let address, _) where address.starts(with: SocketAddress.mappedIPv4):
      .ipv6(address: address, port: 0)
    case .ipv6(let address, _): .ipv6(address: Array(address.prefix(8)), port: 0)
    case .unix: nil
    }
  }

  package var description: String {
    switch self {
    case .ipv4(let address, let port):
      "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255):\(port)"
    case .ipv6(let address, let port): "[\(SocketAddress.text(ipv6: address))]:\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }

  private static func text(ipv6 address: [UInt8]) -> String {
    var text = [CChar](repeating: 0, count: 64)
    var address = address
    inet_ntop(AF_INET6, &address, &text, socklen_t(text.count))
    return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  var family: Int32 {
    switch self {
    case .ipv4: AF_INET
    case .ipv6: AF_INET6
    case .unix: AF_UNIX
    }
  }

  func withSockaddr<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    switch self {
    case .ipv4(let address, let port):
      var value = sockaddr_in()
      value.sin_family = sa_family_t(AF_INET)
      value.sin_port = port.bigEndian
      value.sin_addr.s_addr = address.bigEndian
      return SocketAddress.pass(&value, body)
    case .ipv6(let address, let port):
      var value = sockaddr_in6()
      value.sin6_family = sa_family_t(AF_INET6)
      value.sin6_port = port.bigEndian
      withUnsafeMutableBytes(of: &value.sin6_addr) { $0.copyBytes(from: address) }
      return SocketAddress.pass(&value, body)
    case .unix(let path):
      var value = sockaddr_un()
      value.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &value.sun_path) { $0.copyBytes(from: path.utf8) }
      return SocketAddress.pass(&value, body)
    }
  }

  private static func pass<A, R>(
    _ value: inout A, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R
  ) -> R {
    withUnsafePointer(to: &value) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<A>.size))
      }
    }
  }

  init?(storage: sockaddr_storage) {
    let family = Int32(storage.ss_family)
    let address: SocketAddress? = withUnsafeBytes(of: storage) { bytes in
      switch family {
      case AF_INET:
        let value = bytes.loadUnaligned(as: sockaddr_in.self)
        return .ipv4(
          address: UInt32(bigEndian: value.sin_addr.s_addr), port: UInt16(bigEndian: value.sin_port)
        )
      case AF_INET6:
        let value = bytes.loadUnaligned(as: sockaddr_in6.self)
        return .ipv6(
          address: withUnsafeBytes(of: value.sin6_addr) { Array($0) },
          port: UInt16(bigEndian: value.sin6_port))
      case AF_UNIX: return .unix(path: "")
      default: return nil
      }
    }
    guard let address else { return nil }
    self = address
  }
}
