import RPCCore
import Reactor

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

  /// How long a call may take before anybody listens whether its task is cancelled. To listen costs a call a
  /// tenth of all that it does here, and most are over before anybody could have said so.
  static let unheard = Duration.milliseconds(20)

  /// Makes the call; `failure` then says how it failed.
  func run() async {
    if Task.isCancelled { return cancel() }
    unheardUntil = channel.loop.now + UnaryClientCall.unheard
    await withUnsafeContinuation { continuation in
      waiter = continuation
      start()
      if isFinished { waiter.take()?.resume() }
    }
    if isFinished { return }
    await cancelling { await ended() }
  }

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
    if let failure { throw failure }
  }
}
