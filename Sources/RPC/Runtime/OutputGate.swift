import HTTP2
import RPCCore

/// Holds a writer back while the peer does not read: at most `highWaterBytes` wait in a stream.
final class OutputGate {
  /// Bytes queued in one stream above which its writer waits.
  static let highWaterBytes = 64 * 1024

  private var waiter: UnsafeContinuation<Void, any Error>?
  /// Why nothing more can be written.
  private(set) var failure: RPCError?

  /// Queues `message`, prefix included, and returns when there is room for a further one.
  func write(_ message: [UInt8], to stream: HTTP2Stream) async throws {
    if let failure { throw failure }
    stream.send(message)
    try await waitForRoom { stream.queuedBytes }
  }

  /// Returns as soon as no more than `highWaterBytes` wait.
  func waitForRoom(_ queuedBytes: () -> Int) async throws {
    if let failure { throw failure }
    if queuedBytes() <= OutputGate.highWaterBytes { return }
    precondition(waiter == nil, "a stream of messages has one writer at a time")
    try await withUnsafeThrowingContinuation {
      (continuation: UnsafeContinuation<Void, any Error>) in
      // The task may have come here by way of the loop's queue, and the end of the wait before it.
      if let failure {
        continuation.resume(throwing: failure)
      } else if queuedBytes() <= OutputGate.highWaterBytes {
        continuation.resume()
      } else {
        waiter = continuation
      }
    }
  }

  func drained() { waiter.take()?.resume() }

  func fail(_ error: RPCError) {
    if failure != nil { return }
    failure = error
    waiter.take()?.resume(throwing: error)
  }
}
