import RPCCore

/// A call whose response is one message.
///
/// The message's type is in the closure that takes it alone: a generic class would look its metadata up
/// at every use of a stored message.
final class UnaryClientCall: ClientCall {
  private let take: TakingResponse
  /// Holds back the writer of a request of several messages.
  private let gate: OutputGate?
  private var hasResponse = false
  private var waiter: UnsafeContinuation<Void, Never>?

  init(
    _ method: MethodDescriptor, _ channel: Channel, _ options: CallOptions,
    gate: OutputGate? = nil, _ take: @escaping TakingResponse
  ) {
    self.take = take
    self.gate = gate
    super.init(method, channel, options)
  }

  override func received(
    message: UnsafeRawBufferPointer, wasCompressed: Bool
  ) throws(RPCError) {
    if hasResponse {
      throw RPCError(
        .unimplemented, "\(method.descriptor.path) has one response message, more came")
    }
    try take(message)
    hasResponse = true
  }

  override var fault: RPCError? {
    hasResponse
      ? nil
      : RPCError(.unimplemented, "\(method.descriptor.path) has one response message, none came")
  }

  override func completed(_ result: Result<Void, RPCError>) {
    gate?.fail(failure ?? RPCError(.cancelled, "the server has answered; it reads no more"))
    waiter.take()?.resume()
  }

  override func drained() { gate?.drained() }

  /// Makes the call; `failure` then says how it failed.
  ///
  /// What `cancelling` would do, with fewer layers: each costs a switch of executors, as would another look
  /// at the call here.
  func run(isolation: isolated (any Actor)? = #isolation) async {
    nonisolated(unsafe) let call = self
    await withTaskCancellationHandler {
      _ = isolation
      await withUnsafeContinuation { continuation in
        waiter = continuation
        start()
        // Of a task that was cancelled before.
        if isFinished { waiter.take()?.resume() }
      }
    } onCancel: {
      call.cancelFromAnywhere()
    }
  }

  /// Waits for the end of the call, and throws how it failed.
  func finished() async throws {
    if !isFinished {
      await withUnsafeContinuation { continuation in
        // The task may have come here by way of the loop's queue, and the answer before it.
        if isFinished { continuation.resume() } else { waiter = continuation }
      }
    }
    if let failure { throw failure }
  }
}
