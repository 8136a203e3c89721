import Reactor

/// HTTP/1.1 on a server's connection: joins the sans-I/O machine to the socket and to the exchange.
final class HTTP1ServerProtocol: HTTPServerProtocol {
  private unowned let owner: HTTPServerConnection
  private let connection: Connection
  private let limits: HTTPServerLimits
  private var http1: HTTP1ServerConnection
  private var pending = HTTPPendingOutput()
  private var requests = 0
  private var isPumping = false
  private var hasEnded = false

  /// The exchange whose response has not ended.
  private var exchange: HTTPExchange?
  /// By when the head (or the rest of an unwanted body) must have come; nil where none is due.
  private var headDeadline: Instant?
  private var idleDeadline: Instant

  init(_ owner: HTTPServerConnection, _ connection: Connection, firstHeadBy deadline: Instant) {
    self.owner = owner
    self.connection = connection
    limits = owner.server.limits
    http1 = HTTP1ServerConnection(limits: limits.http1WithBodyBound)
    idleDeadline = deadline
    headDeadline = nil
  }

  func drain(until deadline: Instant) {
    http1.drain()
    // Nothing was said that the client could still have to read.
    if http1.isFinished, exchange == nil, pending.isEmpty { return connection.close() }
    finishTurn()
  }

  // MARK: ConnectionDelegate

  func connectionReady(_ connection: Connection) { owner.deadlineMoved() }

  func connection(_ connection: Connection, received bytes: UnsafeRawBufferPointer) {
    if hasEnded { return }
    http1.receive(bytes.assumingMemoryBound(to: UInt8.self).span)
    pump()
  }

  func connection(_ connection: Connection, fill output: OutputBuffer, room: Int) {
    if pending.isEmpty {
      exchange?.drained()
      return
    }
    let wasOver = pending.count > limits.unsentBytesMax
    pending.move(to: output, room: room)
    // Requests behind the response wait until its bytes have gone.
    if wasOver, pending.count <= limits.unsentBytesMax { pump() }
    if pending.isEmpty {
      exchange?.drained()
      owner.deadlineMoved()
    }
  }

  func connectionEnded(_ connection: Connection, _ end: ConnectionEnd) {
    hasEnded = true
    takeExchange()?.abandon()
  }

  // MARK: Events

  private var canRead: Bool {
    !hasEnded && pending.count <= limits.unsentBytesMax
      && (exchange?.body.queuedBytes ?? 0) < limits.unreadBodyBytesMax
  }

  /// Handles all that has been received, as far as the handler and the client keep up.
  private func pump() {
    if isPumping { return }
    isPumping = true
    do throws(HTTP1Error) {
      while canRead, let event = try http1.next() { handle(event) }
    } catch {
      refuse(error)
    }
    isPumping = false
    finishTurn()
  }

  private func handle(_ event: HTTP1RequestEvent) {
    switch event {
    case .head(let head, let control):
      requests += 1
      if requests >= limits.requestsPerConnection { http1.drain() }
      let version = control.version == .version11 ? HTTPVersion.http11 : .http10
      let started = HTTPExchange(head, version: version, on: owner, carrier: self)
      exchange = started
      headDeadline = nil
      started.run()
    case .body(let bytes): exchange?.body.push(bytes)
    case .end(let trailers): exchange?.body.finish(.success(trailers))
    case .closed: break
    }
  }

  /// The request's bytes break the protocol: nothing behind them is trusted.
  private func refuse(_ error: HTTP1Error) {
    http1.reject(error)
    let refused = takeExchange()
    collectOutput()
    refused?.abandon(.bodyInvalid(error))
  }

  private func finishTurn() {
    if hasEnded { return }
    collectOutput()
    if http1.isFinished, exchange == nil {
      return connection.closeWhenFlushed(lingering: limits.lingerTimeout)
    }
    if canRead && http1.wantsInput { connection.resumeReading() } else { connection.pauseReading() }
    updateDeadlines()
  }

  private func collectOutput() {
    let output = http1.takeOutput()
    if output.isEmpty { return }
    pending.append(output)
    connection.setNeedsFlush()
  }

  private func takeExchange() -> HTTPExchange? {
    defer { exchange = nil }
    return exchange
  }

  // MARK: Deadlines

  private func updateDeadlines() {
    if exchange == nil, !http1.isIdle {
      headDeadline = headDeadline ?? min(owner.loop.now + limits.headTimeout, firstHeadDeadline)
    } else {
      headDeadline = nil
    }
    owner.deadlineMoved()
  }

  /// The first request's time runs from the start of the connection.
  private var firstHeadDeadline: Instant { requests == 0 ? idleDeadline : .distantFuture }

  var nextDeadline: Instant? {
    // While bytes wait for the client, its reading is watched by the connection.
    if exchange != nil || !pending.isEmpty { return nil }
    return headDeadline ?? idleDeadline
  }

  func deadlinePassed() {
    if headDeadline == nil { return connection.close() }
    // Where the rest of an unwanted body is late, its request has been answered: nothing is said.
    http1.reject(
      HTTPProblem(.requestTimeout, "the request was not complete within \(limits.headTimeout)"))
    finishTurn()
  }
}

// MARK: -

extension HTTP1ServerProtocol: HTTPExchangeCarrier {
  var unsentBytes: Int { pending.count }

  func sendHead(_ head: HTTPResponseHead, body: HTTP1OutgoingBody) throws(HTTP1EncodingError) {
    try http1.sendHead(head, body: body)
    collectOutput()
  }

  func sendBody(_ bytes: [UInt8]) throws(HTTP1EncodingError) {
    try http1.sendBody(bytes.span)
    collectOutput()
  }

  func sendEnd(_ trailers: HTTPHeaders) throws(HTTP1EncodingError) {
    try http1.sendEnd(trailers: trailers)
    exchange = nil
    idleDeadline = owner.loop.now + limits.keepAliveTimeout
    pump()
    // A pump around this call goes on with the next request, and ends the turn.
    if isPumping { collectOutput() }
  }

  func bodyAwaited() {
    guard let exchange, !exchange.hasHead else { return }
    // Only fails where the head has gone out.
    try? http1.sendContinue()
    collectOutput()
  }

  func bodyTaken(_ count: Int) { pump() }

  func cutOff() {
    takeExchange()?.abandon()
    // What has gone out stays readable; a length or last chunk that never comes tells the rest.
    hasEnded = true
    connection.closeWhenFlushed(lingering: limits.lingerTimeout)
  }
}
