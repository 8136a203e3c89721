import HTTP2
import Observability
package import Protobuf
import RPCCore
import Reactor

/// A call in which either side, or both, send any number of messages.
final class StreamingServerCall<Request: ProtobufMessage, Response: ProtobufMessage>: ServerCall {
  typealias StreamHandler = (
    RequestReader<Request>, ResponseWriter<Response>, ServerContext
  ) async throws -> Void

  private let handler: StreamHandler
  private let requests = MessageQueue<Request>()
  private let gate = OutputGate()
  private var unconsumed = 0
  private var responseBytes = 0

  override var waitingBytes: Int { requests.memoryBytes + responseBytes }

  init(_ method: ServerMethod, _ connection: ServerConnection, handler: @escaping StreamHandler) {
    self.handler = handler
    super.init(method, connection)
    requests.taken = { [unowned self] left in if left == 0 { self.queueIsEmpty() } }
  }

  /// A reader may be kept for longer than its call.
  deinit { requests.taken = nil }

  override func begin() { run() }

  package override func received(_ bytes: UnsafeRawBufferPointer) {
    unconsumed += bytes.count
    super.received(bytes)
    if requests.isEmpty { openWindow() }
  }

  override var requestWasCompressed: Bool { requests.lastWasCompressed }

  override func received(
    message: UnsafeRawBufferPointer, wasCompressed: Bool
  ) throws(RPCError) {
    var memoryBytes = 0
    let request = try Request(received: message, memoryBytes: &memoryBytes)
    requests.push(request, memoryBytes: memoryBytes, wasCompressed: wasCompressed)
  }

  override func receivedEndOfRequest() { requests.finish(.success(())) }

  override func failed(_ error: RPCError) {
    requests.finish(.failure(error))
    gate.fail(error)
  }

  override func drained() {
    responseBytes = 0
    try? holdBytes()
    gate.drained()
  }

  override func takeHandler() -> Handler? {
    { _ in
      try await self.handler(
        RequestReader(queue: self.requests, reactor: self.connection.server.reactor),
        ResponseWriter(call: self), ServerContext(call: self))
    }
  }

  func write(_ message: Response, compressed: Bool) async throws {
    guard !isFinished, isOpen else {
      throw RPCError(.cancelled, "the call is over; nothing more can be sent")
    }
    sendHeaders()
    let framed = message.framed(compressed && sendsGzip ? .gzip : .identity)
    responseBytes = queuedBytes + framed.count
    try holdBytes()
    sentBytes += framed.count
    try await gate.write(framed, to: self, on: connection.server.reactor)
  }

  private func queueIsEmpty() {
    try? holdBytes()
    openWindow()
  }

  /// Lets the client send again what the handler has taken.
  private func openWindow() {
    if unconsumed == 0 { return }
    consume(unconsumed)
    unconsumed = 0
  }
}

/// The messages of a client that streams.
package struct RequestReader<Message: ProtobufMessage> {
  let queue: MessageQueue<Message>
  let reactor: Reactor

  /// The next message, nil when the client has sent its last. Throws an `RPCError` when the call ends
  /// before that, a `CancellationError` when the task is cancelled that waits for it. The client can send
  /// no more than a window ahead of it.
  package func next() async throws -> Message? { try await queue.next(on: reactor) }
}

/// Sends the messages of a server that streams.
package struct ResponseWriter<Message: ProtobufMessage> {
  private let writeMessage: (Message, Bool) async throws -> Void

  init<Request: ProtobufMessage>(call: StreamingServerCall<Request, Message>) {
    writeMessage = { try await call.write($0, compressed: $1) }
  }

  /// Sends a message, and waits while the client does not read. Throws an `RPCError` when the call
  /// has ended, a `CancellationError` when the task is cancelled while it waits. One that is not `compressed` goes as it is in a call that compresses its responses.
  package func write(_ message: Message, compressed: Bool = true) async throws {
    try await writeMessage(message, compressed)
  }
}
