import Reactor

/// What carries one exchange to its client: the HTTP/1.1 connection, or an HTTP/2 stream.
protocol HTTPExchangeCarrier: HTTPBodySource {
  func sendHead(_ head: HTTPResponseHead, body: HTTP1OutgoingBody) throws(HTTP1EncodingError)
  func sendBody(_ bytes: [UInt8]) throws(HTTP1EncodingError)
  func sendEnd(_ trailers: HTTPHeaders) throws(HTTP1EncodingError)
  /// Response bytes that the client has not taken yet.
  var unsentBytes: Int { get }
  /// Ends the exchange so that the client sees that it is incomplete.
  func cutOff()
}

/// One request and its response, whichever protocol carries them.
final class HTTPExchange {
  private enum Response { case none, started, ended }

  let head: HTTPRequestHead
  let version: HTTPVersion
  let connection: HTTPServerConnection
  let receivedAt: Instant
  let body: HTTPBodyQueue
  private let gate = HTTPOutputGate()
  /// Nil once nothing more can be sent.
  private var carrier: (any HTTPExchangeCarrier)?
  private var response = Response.none
  private var task: Task<Void, Never>?
  private var isRunning = false
  private(set) var isGone = false

  init(
    _ head: HTTPRequestHead, version: HTTPVersion, on connection: HTTPServerConnection,
    carrier: any HTTPExchangeCarrier
  ) {
    self.head = head
    self.version = version
    self.connection = connection
    self.carrier = carrier
    receivedAt = connection.loop.now
    body = HTTPBodyQueue(
      connection.loop, idleTimeout: connection.server.limits.bodyIdleTimeout,
      idleError: HTTPExchangeError.bodyTimedOut)
    body.source = carrier
  }

  var hasHead: Bool { response != .none }
  var hasEnded: Bool { response == .ended }

  // MARK: Running the handler

  /// Starts the handler, which runs at once, up to its first suspension.
  func run() {
    let server = connection.server
    guard server.admit() else {
      let busy = HTTPProblem(.serviceUnavailable, "too many requests in progress; try again later")
      return answer(busy, ["retry-after": "\(server.limits.retryAfterSeconds)"])
    }
    isRunning = true
    let started = server.reactor.loop.spawn(on: server.reactor) { await self.execute() }
    if isRunning { task = started }
    // Gone before the task could be known.
    if isGone { started.cancel() }
  }

  private func execute() async {
    let server = connection.server
    do {
      try await server.handler.handle(
        HTTPRequest(exchange: self), HTTPResponseWriter(exchange: self))
      if response == .none, !isGone { throw HTTPExchangeError.responseMissing }
      if response == .started, !isGone { try end(HTTPHeaders()) }
    } catch {
      failed(error)
    }
    isRunning = false
    task = nil
    server.release()
  }

  private func failed(_ error: any Error) {
    if isGone { return }
    let known = error as? HTTPExchangeError
    let isClients = (known?.status.code ?? 500) < 500
    if !isClients { connection.server.handlerFailed(HTTPRequest(exchange: self), error) }
    if response == .none {
      answer(HTTPProblem(known?.status ?? .internalServerError, isClients ? "\(error)" : nil))
    } else if response == .started {
      carrier?.cutOff()
    }
  }

  /// Answers without the handler, in one piece.
  func answer(_ problem: HTTPProblem, _ headers: HTTPHeaders = [:]) {
    guard response == .none, !isGone else { return }
    do {
      let body = problem.body
      try start(problem.head(headers), .length(UInt64(body.count)))
      try carrier?.sendBody(body)
      try end(HTTPHeaders())
    } catch {
      carrier?.cutOff()
    }
  }

  // MARK: From the carrier

  /// The client has gone, or the carrier was cut off.
  func abandon(_ error: HTTPExchangeError = .clientGone) {
    carrier = nil
    if isGone { return }
    isGone = true
    body.finish(.failure(error))
    gate.fail(error)
    if response != .ended { task?.cancel() }
    task = nil
  }

  /// The body cannot be read any further, but an answer can still be given.
  func bodyFailed(_ error: HTTPExchangeError) { body.finish(.failure(error)) }

  func drained() { gate.drained() }

  // MARK: The response

  func send(_ head: HTTPResponseHead, _ bytes: [UInt8]) async throws {
    let isEmpty = bytes.isEmpty && (head.status.forbidsContent || self.head.method == .head)
    try start(head, isEmpty ? .none : .length(UInt64(bytes.count)))
    if self.head.method != .head {
      // In pieces, so that a handler stays, and is counted, while its client does not read.
      let piece = connection.server.limits.unsentBytesMax
      if bytes.count <= piece {
        if !bytes.isEmpty { try carrier?.sendBody(bytes) }
      } else {
        for start in stride(from: 0, to: bytes.count, by: piece) {
          try await write(Array(bytes[start..<min(start + piece, bytes.count)]))
        }
      }
    }
    try end(HTTPHeaders())
  }

  func start(_ head: HTTPResponseHead, _ body: HTTP1OutgoingBody) throws {
    try gate.check()
    guard response == .none, let carrier else { throw HTTPExchangeError.responseOutOfOrder }
    var head = head
    if !head.headers.contains("date") { head.headers.append("date", connection.server.date()) }
    try carrier.sendHead(head, body: body)
    response = .started
  }

  func write(_ bytes: [UInt8]) async throws {
    try gate.check()
    guard response == .started, let carrier else { throw HTTPExchangeError.responseOutOfOrder }
    if bytes.isEmpty || head.method == .head { return }
    try carrier.sendBody(bytes)
    let most = connection.server.limits.unsentBytesMax
    if carrier.unsentBytes > most { try await gate.wait { carrier.unsentBytes > most } }
  }

  func end(_ trailers: HTTPHeaders) throws {
    try gate.check()
    guard response == .started, let carrier else { throw HTTPExchangeError.responseOutOfOrder }
    do {
      try carrier.sendEnd(trailers)
    } catch {
      carrier.cutOff()
      throw error
    }
    response = .ended
    body.finish(.failure(HTTPExchangeError.responseEnded))
  }
}
