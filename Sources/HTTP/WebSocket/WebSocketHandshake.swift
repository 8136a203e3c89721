/// Why a server's answer does not open a WebSocket (RFC 6455 section 4.1).
package enum WebSocketHandshakeError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The server answered as an ordinary HTTP server.
  case notSwitched(HTTPStatus)
  case upgradeMissing
  case acceptMismatch
  case protocolUnrequested(String)
  /// The server did not choose one of the offered subprotocols.
  case protocolMissing
  case extensionUnrequested
  case digestUnavailable

  package var description: String {
    switch self {
    case .notSwitched(let status): "the server answered \(status) instead of switching protocols"
    case .upgradeMissing: "the answer lacks \"Upgrade: websocket\" or \"Connection: Upgrade\""
    case .acceptMismatch: "Sec-WebSocket-Accept does not answer the key that was sent"
    case .protocolUnrequested(let name):
      "the server chose subprotocol \(name), which was not offered"
    case .protocolMissing: "the server chose none of the offered subprotocols"
    case .extensionUnrequested: "the server chose an extension, and none was offered"
    case .digestUnavailable: "OpenSSL refuses SHA-1; a FIPS-only provider cannot open WebSockets"
    }
  }
}

/// A client's opening handshake: the fields to send, and the check of the answer.
package struct WebSocketHandshake: Sendable {
  private static let identifier = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

  private let key: String
  private let protocols: [String]

  /// - Parameter protocols: subprotocols offered, most wanted first; where there are any, the
  ///   server must choose one.
  package init(
    protocols: [String] = [], using generator: inout some RandomNumberGenerator
  ) {
    let nonce = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    key = WebSocketDigest.base64(nonce)
    self.protocols = protocols
  }

  package init(protocols: [String] = []) {
    var generator = SystemRandomNumberGenerator()
    self.init(protocols: protocols, using: &generator)
  }

  /// Adds the handshake's fields; the request must be a GET without body. The request encoder
  /// writes `connection: upgrade` where it sees `upgrade`.
  package func addFields(to headers: inout HTTPHeaders) {
    headers["upgrade"] = "websocket"
    headers["sec-websocket-version"] = "13"
    headers["sec-websocket-key"] = key
    if !protocols.isEmpty {
      headers["sec-websocket-protocol"] = protocols.joined(separator: ", ")
    }
  }

  /// Returns the chosen subprotocol, nil where none was offered.
  package func validate(
    _ response: HTTPResponseHead
  ) throws(WebSocketHandshakeError) -> String? {
    guard response.status == .switchingProtocols else { throw .notSwitched(response.status) }
    let headers = response.headers
    guard headers.tokens(of: "upgrade") == ["websocket"],
      headers.tokens(of: "connection").contains("upgrade")
    else { throw .upgradeMissing }
    guard let accept = Self.accept(forKey: key) else { throw .digestUnavailable }
    guard headers.values(of: "sec-websocket-accept") == [accept] else { throw .acceptMismatch }
    guard !headers.contains("sec-websocket-extensions") else { throw .extensionUnrequested }
    let chosen = headers.values(of: "sec-websocket-protocol")
    guard let name = chosen.first else {
      guard protocols.isEmpty else { throw .protocolMissing }
      return nil
    }
    guard chosen.count == 1, protocols.contains(name) else { throw .protocolUnrequested(name) }
    return name
  }

  /// What a server answers to a key.
  static func accept(forKey key: String) -> String? {
    WebSocketDigest.base64SHA1(key + identifier)
  }
}
