import HTTP2
package import Protobuf
package import RPCCore

/// A call whose response is any number of messages.
final class StreamingClientCall<Response: Sendable>: ClientCall {
  private let decode: MessageDecoding<Response>
  let responses = MessageQueue<Response>()
  let gate = OutputGate()
  private var unconsumed = 0

  init(
    _ method: MethodDescriptor, _ channel: Channel, _ options: CallOptions,
    _ decode: @escaping MessageDecoding<Response>
  ) {
    self.decode = decode
    super.init(method, channel, options)
  }

  override func received(
    message: UnsafeRawBufferPointer, wasCompressed: Bool
  ) throws(RPCError) {
    var memoryBytes = 0
    let response = try decode(message, &memoryBytes)
    let limit = channel.configuration.unreadResponseBytes
    if !responses.isEmpty, responses.memoryBytes + memoryBytes > limit {
      throw RPCError(
        .resourceExhausted,
        "the messages that nobody has read take more than the limit of \(limit) bytes")
    }
    responses.push(response, memoryBytes: memoryBytes, wasCompressed: wasCompressed)
  }

  /// The server may send again what the reader has taken.
  override func consumed(_ count: Int) {
    unconsumed += count
    openWindow()
  }

  func openWindow() {
    if unconsumed == 0 || !responses.isEmpty { return }
    attempt?.consume(unconsumed)
    unconsumed = 0
  }

  override func completed(_ result: Result<Void, RPCError>) {
    responses.finish(result)
    switch result {
    case .success: gate.fail(RPCError(.cancelled, "the server has answered; it reads no more"))
    case .failure(let error): gate.fail(error)
    }
  }

  override func drained() { gate.drained() }
}

/// The messages of a server that streams. Letting go of it cancels the call.
package final class ResponseStream<Message: Sendable> {
  private let call: StreamingClientCall<Message>

  init(_ call: StreamingClientCall<Message>) {
    self.call = call
  }

  deinit { call.cancelFromAnywhere() }

  /// The next message, nil when the call has ended well. Throws the call's `RPCError` otherwise, and
  /// cancels the call when the task is cancelled.
  package func next() async throws -> Message? {
    if Task.isCancelled { call.cancel() }
    do {
      let message = try await call.responses.next(on: call.channel.reactor)
      call.openWindow()
      return message
    } catch is CancellationError {
      throw call.cancelled()
    }
  }

  /// Whether the message that `next` returned last came compressed.
  package var lastWasCompressed: Bool { call.responses.lastWasCompressed }
  package var initialMetadata: Metadata { call.initialMetadata }
  package var trailingMetadata: Metadata { call.trailingMetadata }

  package func cancel() { call.cancel() }
}

/// Sends the messages of a client that streams.
package struct RequestWriter<Message: ProtobufMessage> {
  let call: ClientCall
  let gate: OutputGate

  /// Sends a message, and waits while the server does not read. Throws an `RPCError` when the call is
  /// over. One that is not `compressed` goes as it is in a call that compresses its messages.
  package func write(_ message: Message, compressed: Bool = true) async throws {
    if let failure = gate.failure { throw failure }
    call.sendMessage(message.framed(compressed ? call.encoding : .identity))
    if Task.isCancelled { call.cancel() }
    if let failure = gate.failure { throw failure }
    if call.unsentBytes <= OutputGate.highWaterBytes { return }
    do {
      try await gate.waitForRoom(on: call.channel.reactor) { call.unsentBytes }
    } catch is CancellationError {
      throw call.cancelled()
    }
  }

  /// No more messages follow.
  package func finish() { call.endRequest() }
}
