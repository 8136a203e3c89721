package import Reactor

/// An HTTP server on one reactor, HTTP/1.1 and HTTP/2, plain and TLS. Confined to it.
///
/// Over TLS, ALPN chooses the protocol (offer `h2` and `http/1.1` in the context's application
/// protocols); in plain text a client that starts with HTTP/2's preface is served HTTP/2.
///
/// A client that closes its side of the connection counts as gone, also where it still reads.
package final class HTTPServer {
  package let reactor: Reactor
  package let limits: HTTPServerLimits
  let handler: any HTTPHandler
  private var listeners: [Listener] = []
  private var connections: [ObjectIdentifier: HTTPServerConnection] = [:]
  private var drainWaiters: [CheckedContinuation<Void, Never>] = []
  private var dateField = HTTPDate()

  /// Handlers running, those of clients that have gone included.
  package private(set) var handlersRunning = 0
  package private(set) var isDraining = false
  package var connectionCount: Int { connections.count }

  /// Told of errors that a handler throws and that are not the client's doing: the client learns
  /// "internal server error" alone.
  package var handlerFailed: (HTTPRequest, any Error) -> Void = { _, _ in }

  package init(
    reactor: Reactor, limits: HTTPServerLimits = HTTPServerLimits(), handler: any HTTPHandler
  ) {
    self.reactor = reactor
    self.limits = limits
    self.handler = handler
  }

  /// Starts to listen, on one of any number of addresses; returns the address, with the kernel's port
  /// where 0 was asked for.
  @discardableResult
  package func listen(
    on address: SocketAddress, tls: TLSContext? = nil, sharesPort: Bool = false
  ) throws -> SocketAddress {
    // The closure needs the listener it is given to.
    var listener: Listener?
    let made = try Listener(
      on: address, loop: reactor.loop, tls: tls, limits: limits.listener,
      connectionLimits: limits.connection, sharesPort: sharesPort
    ) { [weak self] connection in
      guard let self, let listener else { return connection.close() }
      let accepted = HTTPServerConnection(self, connection, listener)
      do {
        try connection.start(accepted)
        self.connections[ObjectIdentifier(accepted)] = accepted
      } catch {
        listener.connectionEnded(connection.peer)
      }
    }
    listener = made
    listeners.append(made)
    return made.address
  }

  /// New certificates for the connections to come, on every listener that has TLS.
  package func replaceTLS(with context: TLSContext) {
    for listener in listeners where listener.tls != nil { listener.tls = context }
  }

  /// Stops accepting, lets the exchanges in progress end until `deadline`, then cuts the rest off.
  ///
  /// HTTP/1.1 connections close after their exchange, whose response says so where its head has not
  /// gone out; idle ones close at once. HTTP/2 clients are told in two steps, so that no request on
  /// its way is lost: first to open no more streams, then, a round trip later, which are not served.
  package func drain(until deadline: Instant) async {
    isDraining = true
    for listener in listeners { listener.close() }
    listeners = []
    for connection in snapshot() { connection.drain(until: deadline) }
    let cutOff = reactor.loop.schedule(at: deadline) { [weak self] in
      for connection in self?.snapshot() ?? [] { connection.close() }
    }
    await withCheckedContinuation { waiter in
      if connections.isEmpty { waiter.resume() } else { drainWaiters.append(waiter) }
    }
    reactor.loop.cancel(cutOff)
  }

  /// Closing a connection takes it out of the table.
  private func snapshot() -> [HTTPServerConnection] { Array(connections.values) }

  // MARK: For connections and exchanges

  func admit() -> Bool {
    if handlersRunning >= limits.handlersMax { return false }
    handlersRunning += 1
    return true
  }

  func release() { handlersRunning -= 1 }

  func date() -> String { dateField.text() }

  func connectionEnded(_ connection: HTTPServerConnection) {
    connections[ObjectIdentifier(connection)] = nil
    if !connections.isEmpty { return }
    for waiter in drainWaiters { waiter.resume() }
    drainWaiters = []
  }
}
