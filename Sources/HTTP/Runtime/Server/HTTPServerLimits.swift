package import HTTP2
package import Reactor

/// What a server takes on; each bound keeps one client, or all of them together, from taking it down.
package struct HTTPServerLimits: Sendable {
  package var http1 = HTTP1Limits()
  package var http2 = HTTP2Limits()
  /// The handshake, and how long a peer may take nothing of what is written for it: a connection's
  /// bytes, or an HTTP/2 stream's.
  package var connection = ConnectionLimits()
  /// Open connections; further ones wait in the kernel's queue.
  package var listener = Listener.Limits()
  /// From a connection's first byte of a request (from the connection's start for the first request)
  /// to the end of its head: a head sent a byte at a time (slowloris) is answered 408. What is left of
  /// a body that nobody wanted has the same time.
  package var headTimeout: Duration = .seconds(10)
  /// How long a handler waits for the next bytes of a body. Answered 408.
  package var bodyIdleTimeout: Duration = .seconds(30)
  /// How long a connection is kept between requests.
  package var keepAliveTimeout: Duration = .seconds(75)
  /// After so many the client is asked to connect again, which spreads clients over new replicas.
  package var requestsPerConnection = 10_000
  /// Handlers running at once, those of clients that have gone included. Past it: 503, Retry-After.
  package var handlersMax = 1024
  /// What Retry-After says then, in whole seconds.
  package var retryAfterSeconds = 1
  /// The longest request body, of either protocol. Answered 413.
  package var bodyBytesMax: UInt64 = 4 * 1024 * 1024
  /// Body bytes of one HTTP/1.1 request that wait for its handler; over this the socket is not read.
  /// (HTTP/2 has its windows.)
  package var unreadBodyBytesMax = 64 * 1024
  /// Response bytes of one exchange that wait for the client; over this its writer waits.
  package var unsentBytesMax = 64 * 1024
  /// Between the two steps in which HTTP/2 connections end: longer than most round trips.
  package var shutdownNotice: Duration = .milliseconds(200)
  /// How long the last words on a refused connection may take to be read.
  package var lingerTimeout: Duration = .seconds(2)

  package init() {
    // Browsers see so whether an idle connection still stands.
    http2.pingInterval = .seconds(20)
    http2.pingIntervalWithoutStreams = .seconds(20)
  }

  /// The limits of the parser, with the body's bound that both protocols share.
  var http1WithBodyBound: HTTP1Limits {
    var limits = http1
    limits.bodyBytesMax = bodyBytesMax
    return limits
  }
}
