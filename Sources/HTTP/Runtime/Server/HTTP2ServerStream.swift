import HTTP2
import Reactor

/// One stream of a server's HTTP/2 connection, and the exchange on it.
final class HTTP2ServerStream: HTTP2Stream {
  private let connection: HTTP2ServerProtocol
  private var exchange: HTTPExchange?
  private var receivedBytes: UInt64 = 0
  private var isToHead = false
  /// What a declared length leaves to be sent; nil for a body of unknown length.
  private var lengthLeft: UInt64?

  private var writtenBytes = 0
  private var takenAtLastLook = -1
  private var timer: LoopTimer?

  var request: Result<HTTPRequestHead, HTTP1Error>?

  init(_ connection: HTTP2ServerProtocol) { self.connection = connection }

  // MARK: HTTP2Stream

  override func receivedHeaders(endsStream: Bool) {
    guard let request = request.take() else {
      exchange?.body.finish(.success(connection.trailers))
      return
    }
    switch request {
    case .success(let head): begin(head)
    case .failure(let error):
      let refused = HTTPRequestHead(method: .get, authority: "", path: "/")
      makeExchange(refused).answer(HTTPProblem(error.status, "\(error)"))
    }
  }

  private func begin(_ head: HTTPRequestHead) {
    isToHead = head.method == .head
    let exchange = makeExchange(head)
    let bytesMax = connection.limits.bodyBytesMax
    if let text = head.headers["content-length"], let length = UInt64(text), length > bytesMax {
      let problem = HTTPProblem(
        .contentTooLarge, "\(HTTPExchangeError.bodyTooLarge(bytesMax: bytesMax))")
      return exchange.answer(problem)
    }
    exchange.run()
  }

  private func makeExchange(_ head: HTTPRequestHead) -> HTTPExchange {
    let made = HTTPExchange(head, version: .http2, on: connection.owner, carrier: self)
    exchange = made
    return made
  }

  override func received(_ bytes: UnsafeRawBufferPointer) {
    receivedBytes += UInt64(bytes.count)
    guard let exchange, !exchange.body.isFinished else {
      consume(bytes.count)
      return
    }
    let bytesMax = connection.limits.bodyBytesMax
    if receivedBytes > bytesMax {
      consume(bytes.count)
      exchange.bodyFailed(.bodyTooLarge(bytesMax: bytesMax))
    } else {
      exchange.body.push(Array(bytes))
    }
  }

  override func receivedEnd() { exchange?.body.finish(.success(HTTPHeaders())) }

  override func outputDrained() { exchange?.drained() }

  override func closed(_ code: HTTP2ErrorCode) {
    if let timer { connection.owner.loop.cancel(timer) }
    timer = nil
    let closing = exchange
    exchange = nil
    closing?.abandon()
    connection.streamEnded()
  }

  // MARK: A client that does not read

  /// A stream whose window the client leaves closed holds its output while the connection lives on.
  private func watchOutput() {
    let stall = connection.limits.connection.writeStall
    timer = connection.owner.loop.schedule(after: stall) { [weak self] in self?.lookAtOutput() }
  }

  private func lookAtOutput() {
    timer = nil
    if !isOpen { return }
    let taken = writtenBytes - queuedBytes
    if queuedBytes > 0, taken == takenAtLastLook { return cutOff() }
    takenAtLastLook = queuedBytes > 0 ? taken : -1
    watchOutput()
  }
}

// MARK: -

extension HTTP2ServerStream: HTTPExchangeCarrier {
  var unsentBytes: Int { queuedBytes }

  func sendHead(_ head: HTTPResponseHead, body: HTTP1OutgoingBody) throws(HTTP1EncodingError) {
    guard isOpen else { throw .outOfOrder }
    let fields = try HTTP2HeadEncoder.response(head, body, isToHead: isToHead)
    if case .length(let length) = body { lengthLeft = length }
    if body == .none { lengthLeft = 0 }
    let isBodiless = isToHead || lengthLeft == 0 || head.status.forbidsContent
    if isBodiless {
      submitOnlyHeaders(fields)
    } else {
      submitResponse(fields)
      watchOutput()
    }
  }

  func sendBody(_ bytes: [UInt8]) throws(HTTP1EncodingError) {
    if isToHead || bytes.isEmpty { return }
    if let left = lengthLeft {
      guard UInt64(bytes.count) <= left else { throw .bodyLongerThanDeclared }
      lengthLeft = left - UInt64(bytes.count)
    }
    writtenBytes += bytes.count
    send(bytes)
  }

  func sendEnd(_ trailers: HTTPHeaders) throws(HTTP1EncodingError) {
    if isToHead { return }
    if let left = lengthLeft {
      guard left == 0 else { throw .bodyShorterThanDeclared(missingBytes: left) }
      guard trailers.isEmpty else { throw .trailersUnsupported }
    }
    if trailers.isEmpty {
      end()
    } else {
      end(try HTTP2HeadEncoder.trailers(trailers))
    }
  }

  func bodyAwaited() {}

  func bodyTaken(_ count: Int) { consume(count) }

  func cutOff() {
    reset(.internalError)
    let closing = exchange
    exchange = nil
    closing?.abandon()
  }
}

extension Optional {
  /// The value, leaving nil behind.
  mutating func take() -> Wrapped? {
    defer { self = nil }
    return self
  }
}
