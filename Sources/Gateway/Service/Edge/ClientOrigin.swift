import Reactor

/// Where a request came from.
struct ClientOrigin {
  /// For the audit trail: the address without the port.
  let address: String
  /// For whom limits count: see `ClientAddress`.
  let key: String

  init(_ peer: SocketAddress?) {
    switch peer {
    case .ipv4(let ip, _):
      key = ClientAddress.key(ipv4: ip)
      address = key
    case .ipv6(let ip, _):
      key = ClientAddress.key(ipv6: ip)
      let text = "\(SocketAddress.ipv6(address: ip, port: 0))"
      address = String(text.dropFirst().prefix { $0 != "]" })
    case .unix, nil:
      key = "local"
      address = ""
    }
  }
}
