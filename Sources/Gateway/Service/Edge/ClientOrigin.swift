import Configuration
import HTTP
import Reactor

/// Where a request came from: the peer of the connection or, behind proxies that are trusted, the
/// client that they name.
struct ClientOrigin {
  /// The entries of X-Forwarded-For that are looked at, from the last one on.
  static let forwardedEntriesMax = 16
  private static let forwardedName = "x-forwarded-for"

  /// For the audit trail: the address without the port.
  let address: String
  /// For whom limits count: see `ClientAddress`.
  let key: String

  /// - Parameter proxies: whose word on where a request came from is taken.
  init(_ peer: SocketAddress?, _ headers: HTTPHeaders, behind proxies: [AddressRange]) {
    switch Self.client(peer, headers, proxies) {
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

  /// Each proxy adds whom it was called by at the end. So the last entry is the word of the peer, and
  /// the one before it that of the last entry's proxy: the walk ends at the first who is not trusted,
  /// since anything before it is that client's own invention. What is no address ends it as well.
  private static func client(
    _ peer: SocketAddress?, _ headers: HTTPHeaders, _ proxies: [AddressRange]
  ) -> SocketAddress? {
    guard var client = peer, proxies.contains(client), headers.contains(forwardedName) else {
      return peer
    }
    let entries = headers.values(of: forwardedName).joined(separator: ",")
      .split(separator: ",", omittingEmptySubsequences: false)
    for entry in entries.suffix(forwardedEntriesMax).reversed() {
      guard let named = SocketAddress(forwarded: entry) else { break }
      client = named
      if !proxies.contains(client) { break }
    }
    return client
  }
}

extension [AddressRange] {
  fileprivate func contains(_ address: SocketAddress) -> Bool {
    switch address {
    case .ipv4(let ip, _): contains { $0.contains(ipv4: ip) }
    case .ipv6(let ip, _): contains { $0.contains(ipv6: ip) }
    case .unix: false
    }
  }
}

extension SocketAddress {
  /// An address as proxies write it: bare, in brackets, or with a port after it.
  fileprivate init?(forwarded entry: Substring) {
    var text = entry.drop(while: Self.isBlank)
    while let last = text.last, Self.isBlank(last) { text.removeLast() }
    let hasPort = text.first == "[" ? text.last != "]" : text.count { $0 == ":" } == 1
    if hasPort {
      guard let colon = text.lastIndex(of: ":"), UInt16(text[text.index(after: colon)...]) != nil
      else { return nil }
      text = text[..<colon]
    }
    if text.first == "[" {
      guard text.last == "]", text.contains(":") else { return nil }
      text = text.dropFirst().dropLast()
    }
    self.init(ip: String(text), port: 0)
  }

  private static func isBlank(_ character: Character) -> Bool {
    character == " " || character == "\t"
  }
}
