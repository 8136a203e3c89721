import HTTP
import HTTP2
import Reactor

/// One request and its answer on a stream. Confined to its reactor.
///
/// What waits in the queue of body chunks is bounded by the stream's window, which opens again as
/// they are taken.
final class HTTP2Exchange: HTTP2Stream {
  private let connection: HTTP2TransportConnection
  private let deadline: Instant
  private let started = Instant.now()
  private var timer: LoopTimer?
  private var chunks: [[UInt8]] = []
  private var ending: Result<Void, KubernetesError>?
  private var waiting: Resumption<Void>?
  private(set) var head: HTTPResponseHead?

  init(_ connection: HTTP2TransportConnection, deadline: Instant) {
    self.connection = connection
    self.deadline = deadline
  }

  func start(_ request: HTTPRequestHead, body: [UInt8]) throws(KubernetesError) {
    do throws(KubernetesError) {
      try connection.open(self, fields(request, body), endsStream: body.isEmpty)
    } catch {
      ending = .failure(error)
      throw error
    }
    if !body.isEmpty {
      send(body)
      end()
    }
    if deadline == .distantFuture { return }
    timer = connection.loop.schedule(at: deadline) { [weak self] in self?.deadlinePassed() }
  }

  private func fields(_ request: HTTPRequestHead, _ body: [UInt8]) -> HeaderFields {
    var fields = HeaderFields()
    fields.append(":method", request.method.name)
    fields.append(":scheme", "https")
    fields.append(":authority", request.authority)
    fields.append(":path", request.target)
    for field in request.headers {
      fields.append(field.name, field.value, isIndexed: field.name != "authorization")
    }
    if !body.isEmpty { fields.append("content-length", String(body.count)) }
    return fields
  }

  private func deadlinePassed() {
    timer = nil
    // Not a byte on the whole connection since we asked: it is dead, and others must not wait for it.
    if connection.lastHeard < started { connection.abandon() }
    end(.failure(.timeout("\(connection.server)")))
  }

  /// Tells the server to stop, and fails whoever waits.
  func cancel(_ error: KubernetesError = KubernetesError(.cancelled, "cancelled")) {
    end(.failure(error))
  }

  private func end(_ result: Result<Void, KubernetesError>) {
    if ending != nil { return }
    ending = result
    if let timer { connection.loop.cancel(timer) }
    timer = nil
    if case .failure = result {
      chunks = []
      reset(.cancel)
    }
    wake()
  }

  private func wake() {
    let resumption = waiting
    waiting = nil
    resumption?.resume(())
  }

  // MARK: Reading

  func waitForHead() async throws(KubernetesError) {
    while head == nil {
      if case .failure(let error) = ending { throw error }
      if ending != nil { throw KubernetesError(.badAnswer, "an answer without a head") }
      await wait { self.head != nil }
    }
  }

  func next() async throws(KubernetesError) -> [UInt8]? {
    while true {
      if !chunks.isEmpty {
        let chunk = chunks.removeFirst()
        consume(chunk.count)
        return chunk
      }
      switch ending {
      case .success: return nil
      case .failure(let error): throw error
      case nil: await wait { !self.chunks.isEmpty }
      }
    }
  }

  private func wait(until hasCome: @escaping () -> Bool) async {
    precondition(waiting == nil, "an exchange has one reader at a time")
    await suspended(on: connection.reactor) {
      self.cancel()
    } _: { resumption in
      // It may have come before the wait began.
      if hasCome() || self.ending != nil { return resumption.resume(()) }
      self.waiting = resumption
    }
  }

  // MARK: HTTP2Stream

  override func receivedHeaders(endsStream: Bool) {
    connection.heard()
    // Trailers have no status.
    guard let head = connection.takeHead(), !head.status.isInformational else { return }
    if self.head == nil { self.head = head }
    wake()
  }

  override func received(_ bytes: UnsafeRawBufferPointer) {
    connection.heard()
    if ending != nil {
      consume(bytes.count)
      return
    }
    chunks.append(Array(bytes))
    wake()
  }

  override func receivedEnd() { end(.success(())) }

  override func closed(_ code: HTTP2ErrorCode) {
    connection.streamClosed()
    let reason =
      code == .connectionLost
      ? "the connection to \(connection.server) was lost"
      : "\(connection.server) reset the stream (HTTP/2 code \(code.rawValue))"
    end(.failure(KubernetesError(.transport, reason)))
  }
}

/// The reader's end of an exchange, which is cancelled when the reader lets go.
final class HTTP2Response: KubernetesResponse {
  private let exchange: HTTP2Exchange
  let head: HTTPResponseHead

  init(_ exchange: HTTP2Exchange) {
    self.exchange = exchange
    head = exchange.head ?? HTTPResponseHead(status: .internalServerError)
  }

  deinit { exchange.cancel() }

  func next() async throws(KubernetesError) -> [UInt8]? { try await exchange.next() }

  func cancel() { exchange.cancel() }
}
