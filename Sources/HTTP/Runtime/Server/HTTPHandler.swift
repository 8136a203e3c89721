package import Reactor

/// Answers requests, of HTTP/1.1 and of HTTP/2 alike.
package protocol HTTPHandler: AnyObject {
  /// Called once a request, on the reactor, as soon as the head is there. The task is cancelled when
  /// the client goes away.
  ///
  /// Returning ends a response that was started. An error thrown before the head is answered with the
  /// status of an `HTTPExchangeError`, else 500 without its words; one thrown later cuts the response off.
  func handle(_ request: HTTPRequest, _ response: HTTPResponseWriter) async throws
}

package enum HTTPVersion: String, Sendable {
  case http10 = "HTTP/1.0"
  case http11 = "HTTP/1.1"
  case http2 = "HTTP/2"
}

/// Why an exchange cannot go on, as its handler learns it.
package enum HTTPExchangeError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The client closed the connection or reset the stream.
  case clientGone
  case bodyTooLarge(bytesMax: UInt64)
  /// The client sent nothing for `HTTPServerLimits.bodyIdleTimeout`, or not all by the handler's
  /// deadline.
  case bodyTimedOut
  case bodyInvalid(HTTP1Error)
  /// The response has ended: what is left of the body is not read any more.
  case responseEnded
  /// The handler returned without a response, or sent a part of one out of order.
  case responseMissing
  case responseOutOfOrder

  /// What the client is told, where it can still be told.
  package var status: HTTPStatus {
    switch self {
    case .clientGone: .clientClosedRequest
    case .bodyTooLarge: .contentTooLarge
    case .bodyTimedOut: .requestTimeout
    case .bodyInvalid(let error): error.status
    case .responseEnded, .responseMissing, .responseOutOfOrder: .internalServerError
    }
  }

  package var description: String {
    switch self {
    case .clientGone: "the client has gone"
    case .bodyTooLarge(let bytesMax): "the body has more than \(bytesMax) bytes"
    case .bodyTimedOut: "the body did not come in time"
    case .bodyInvalid(let error): "\(error)"
    case .responseEnded: "the response has ended; the body is not read any more"
    case .responseMissing: "the handler returned without a response"
    case .responseOutOfOrder: "a part of the response was sent out of order"
    }
  }
}

/// One request, as its handler sees it.
package struct HTTPRequest {
  let exchange: HTTPExchange

  package var head: HTTPRequestHead { exchange.head }
  package var version: HTTPVersion { exchange.version }
  package var peer: SocketAddress? { exchange.connection.peer }
  package var isEncrypted: Bool { exchange.connection.isEncrypted }
  /// Who the client proved to be in the TLS handshake.
  package var peerIdentity: PeerIdentity? { exchange.connection.peerIdentity }
  /// When the head was complete.
  package var receivedAt: Instant { exchange.receivedAt }
  /// The client has gone, or the exchange was cut off: what is written goes nowhere.
  package var isAbandoned: Bool { exchange.isGone }

  /// The whole body. A longer one than `bytesMax` throws `bodyTooLarge`, before it is read where its
  /// length is declared; one that has not come by `deadline` throws `bodyTimedOut`: a client that sends
  /// a byte now and then would else keep its handler for hours.
  package func collectBody(
    upTo bytesMax: Int, by deadline: Instant = .distantFuture
  ) async throws -> [UInt8] {
    let error = HTTPExchangeError.bodyTooLarge(bytesMax: UInt64(bytesMax))
    if let declared = head.headers["content-length"], let length = UInt64(declared),
      length > UInt64(bytesMax)
    {
      throw error
    }
    return try await exchange.body.collect(upTo: bytesMax, by: deadline, tooLarge: error)
  }

  /// The next bytes of the body, nil at its end. The client can be ahead of the reader by
  /// `HTTPServerLimits.unreadBodyBytesMax`, or by HTTP/2's window. Throws an `HTTPExchangeError`.
  package func readBody() async throws -> [UInt8]? { try await exchange.body.next() }

  /// After the end of the body.
  package var trailers: HTTPHeaders { exchange.body.trailers }
}

/// Answers one request: `send`, or `start`, any number of `write`, `end`.
///
/// `connection`, `content-length`, `transfer-encoding` and `date` are written by the server.
package struct HTTPResponseWriter {
  let exchange: HTTPExchange

  /// Sends a whole response; to HEAD, its head. Waits while the client does not read.
  package func send(_ head: HTTPResponseHead, body: [UInt8] = []) async throws {
    try await exchange.send(head, body)
  }

  package func send(_ status: HTTPStatus, _ headers: HTTPHeaders = [:], body: [UInt8] = [])
    async throws
  {
    try await exchange.send(HTTPResponseHead(status: status, headers: headers), body)
  }

  /// Sends the head of a response whose body follows.
  /// - Parameter length: of the body, where it is known; a body of another length is an error.
  package func start(_ head: HTTPResponseHead, length: UInt64? = nil) throws {
    try exchange.start(head, length.map(HTTP1OutgoingBody.length) ?? .stream)
  }

  /// Sends part of the body, and waits while more than `HTTPServerLimits.unsentBytesMax` are not taken
  /// by the client. Throws `clientGone` when it never will be.
  package func write(_ bytes: [UInt8]) async throws { try await exchange.write(bytes) }

  /// Ends the response. HTTP/1.1 has trailers only behind a body of unknown length.
  package func end(trailers: HTTPHeaders = [:]) throws { try exchange.end(trailers) }

  package var hasStarted: Bool { exchange.hasHead }
}
