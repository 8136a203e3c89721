package import CLinux
import Glibc

/// Why a name has no address.
package struct ResolutionError: Error, CustomStringConvertible, Equatable {
  package let name: String
  package let reason: String

  package var description: String { "'\(name)' cannot be resolved: \(reason)" }
}

/// Looks names up with the system's resolver, which blocks and so runs on a pool of its own.
package struct NameResolver: Sendable {
  /// Addresses taken of one name.
  package static let addressesMax = 16

  private let blocking: BlockingPool

  package init(blocking: BlockingPool) { self.blocking = blocking }

  /// The addresses of `host`, which may be numeric, with `port`; in the order the system prefers.
  package func resolve(_ host: String, port: UInt16) async throws -> [SocketAddress] {
    if let address = SocketAddress(ip: host, port: port) { return [address] }
    return try await blocking.run { try NameResolver.lookUp(host, port) }
  }

  private static func lookUp(_ host: String, _ port: UInt16) throws -> [SocketAddress] {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, nil, &hints, &list)
    guard code == 0 else {
      throw ResolutionError(name: host, reason: String(cString: gai_strerror(code)))
    }
    defer { freeaddrinfo(list) }
    return addresses(list, port)
  }

  /// The first `addressesMax` of a list.
  package static func addresses(
    _ list: UnsafeMutablePointer<addrinfo>?, _ port: UInt16
  ) -> [SocketAddress] {
    var addresses: [SocketAddress] = []
    var entry = list
    while let current = entry?.pointee, addresses.count < addressesMax {
      var storage = sockaddr_storage()
      memcpy(&storage, current.ai_addr, Int(current.ai_addrlen))
      if let address = SocketAddress(storage: storage)?.with(port: port) {
        addresses.append(address)
      }
      entry = current.ai_next
    }
    return addresses
  }
}

extension SocketAddress {
  fileprivate func with(port: UInt16) -> SocketAddress {
    switch self {
    case .ipv4(let address, _): .ipv4(address: address, port: port)
    case .ipv6(let address, _): .ipv6(address: address, port: port)
    case .unix: self
    }
  }
}
