import RPCCore
import Reactor

/// A call whose response is one message.
///
/// The message's type is in the closure that takes it alone: a generic class would look its metadata up
/// at every use of a stored message.
package final class UnaryClientCall: ClientCall {
  private let take: TakingResponse
  /// Holds back the writer of a request of several messages.
  private let gate: OutputGate?
  private var hasResponse = false
  private var waiter: UnsafeContinuation<Void, Never>?

  init(
    _ method: borrowing MethodDescriptor, _ channel: borrowing Channel,
    _ options: borrowing CallOptions, gate: OutputGate? = nil, _ take: @escaping TakingResponse
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

  /// Makes the call, and throws how it failed.
  package func run() async throws {
    if Task.isCancelled { throw cancelled() }
    isUnheard = true
    await withUnsafeContinuation { continuation in
      waiter = continuation
      start()
      if isFinished { waiter.take()?.resume() }
    }
    if !isFinished { await endedOrCancelled() }
    try checkSuccess()
  }

  // Not inlined: what they need would be in the frame of every suspended `run`.

  @inline(never)
  private func endedOrCancelled() async { await cancelling { await ended() } }

  @inline(never)
  private func checkSuccess() throws { if let failure { throw failure } }

  private func ended() async {
    await withUnsafeContinuation { continuation in
      // The task may have come here by way of the loop's queue, and the answer before it.
      if isFinished { continuation.resume() } else { waiter = continuation }
    }
  }

  override func beHeard() { waiter.take()?.resume() }

  /// Waits for the end of the call, and throws how it failed.
  func finished() async throws {
    await ended()
    try checkSuccess()
  }
}
