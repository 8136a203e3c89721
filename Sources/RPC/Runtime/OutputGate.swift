import HTTP2
import RPCCore
import Reactor

/// Holds a writer back while the peer does not read: at most `highWaterBytes` wait in a stream.
final class OutputGate {
  /// Bytes queued in one stream above which its writer waits.
  static let highWaterBytes = 64 * 1024

  private var waiter: Resumption<Result<Void, any Error>>?
  /// Tells a writer from those before it.
  private var waits = 0
  /// Why nothing more can be written.
  private(set) var failure: RPCError?

  /// Queues `message`, prefix included, and returns when there is room for a further one.
  func write(_ message: [UInt8], to stream: HTTP2Stream, on reactor: Reactor) async throws {
    if let failure { throw failure }
    stream.send(message)
    if stream.queuedBytes > OutputGate.highWaterBytes {
      try await waitForRoom(on: reactor) { stream.queuedBytes }
    }
  }

  /// Waits until no more than `highWaterBytes` are queued. Throws a `CancellationError` when the task is
  /// cancelled before.
  func waitForRoom(on reactor: Reactor, _ queuedBytes: @escaping () -> Int) async throws {
    precondition(waiter == nil, "a stream of messages has one writer at a time")
    waits += 1
    let wait = waits
    try await suspended(on: reactor, onCancel: { self.cancel(wait) }) {
      (resumption: Resumption<Result<Void, any Error>>) in
      // The task may have come here by way of the loop's queue, and the end of the wait before it.
      if let failure = self.failure {
        resumption.resume(.failure(failure))
      } else if queuedBytes() <= OutputGate.highWaterBytes {
        resumption.resume(.success(()))
      } else {
        self.waiter = resumption
      }
    }.get()
  }

  private func cancel(_ wait: Int) {
    if wait == waits { waiter.take()?.resume(.failure(CancellationError())) }
  }

  func drained() { waiter.take()?.resume(.success(())) }

  func fail(_ error: RPCError) {
    if failure != nil { return }
    failure = error
    waiter.take()?.resume(.failure(error))
  }
}
