package import Reactor

/// One request over HTTP/1.1 and the whole of its answer, on a connection of its own that is closed
/// afterwards. Follows no redirect and keeps no cookie. Confined to its reactor.
package final class HTTPClient {
  private let reactor: Reactor
  private let limits: HTTPClientLimits
  private var running = 0

  package init(reactor: Reactor, limits: HTTPClientLimits = HTTPClientLimits()) {
    self.reactor = reactor
    self.limits = limits
  }

  /// - Parameters:
  ///   - address: where to connect, whatever host the request names.
  ///   - tls: for https, with whom to expect.
  package func send(
    _ head: HTTPRequestHead, body: [UInt8] = [], to address: SocketAddress,
    tls: (context: TLSContext, expected: ExpectedServer)? = nil, deadline: Instant
  ) async throws(HTTPClientError) -> HTTPClientResponse {
    reactor.loop.checkIsolated()
    guard running < limits.requestsMax else {
      throw HTTPClientError(
        .limitReached, "\(running) requests are under way (requestsMax): try again later")
    }
    running += 1
    defer { running -= 1 }
    var exchange: HTTPClientExchange?
    var isCancelled = false
    var timer: LoopTimer?
    let loop = reactor.loop
    let result = await suspended(on: reactor) {
      isCancelled = true
      exchange?.end(HTTPClientError(.cancelled, "cancelled"))
    } _: { (resumption: Resumption<HTTPClientExchange.Outcome>) in
      let made = HTTPClientExchange(head, body: body, limits: self.limits) { resumption.resume($0) }
      if isCancelled { return made.end(HTTPClientError(.cancelled, "cancelled")) }
      exchange = made
      timer = loop.schedule(at: deadline) {
        made.end(HTTPClientError(.timeout, "no whole answer before the deadline"))
      }
      made.start {
        try Connection(
          to: address, loop: loop, limits: self.limits.connection, tls: tls?.context,
          expecting: tls?.expected)
      }
    }
    if let timer { loop.cancel(timer) }
    return try result.get()
  }
}

/// The answer to one request.
package struct HTTPClientResponse: Sendable {
  package let head: HTTPResponseHead
  package let body: [UInt8]
}

/// What one client may cost.
package struct HTTPClientLimits: Sendable {
  /// Requests under way at once: each has a connection.
  package var requestsMax = 64
  /// Of an answer, which is held in memory: its head and its body.
  package var message = HTTP1Limits()
  package var connection = ConnectionLimits()

  package init() {}
}

/// Why a request has no answer.
package struct HTTPClientError: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Kind: String, Sendable {
    /// The request is not one that can be sent.
    case badRequest
    /// No connection, or it broke before the answer was whole.
    case transport
    /// What came is no answer of HTTP/1.1.
    case badAnswer
    case timeout
    case cancelled
    case limitReached
  }

  package let kind: Kind
  package let description: String

  package init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}
