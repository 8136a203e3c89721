/// Holds a writer back while the peer does not read.
final class HTTPOutputGate {
  private var waiter: UnsafeContinuation<Void, any Error>?
  private var failure: (any Error)?

  func check() throws {
    if let failure { throw failure }
  }

  /// Returns when what is queued has gone out; at once where `isNeeded` no longer holds.
  func wait(while isNeeded: () -> Bool) async throws {
    precondition(waiter == nil, "a body has one writer at a time")
    try await withUnsafeThrowingContinuation {
      (continuation: UnsafeContinuation<Void, any Error>) in
      // The task may come here in a later turn, when there is nothing left to be told.
      if let failure { return continuation.resume(throwing: failure) }
      if !isNeeded() { return continuation.resume() }
      waiter = continuation
    }
  }

  func drained() {
    let waiting = waiter
    waiter = nil
    waiting?.resume()
  }

  /// Nothing more can be written, for this reason.
  func fail(_ error: any Error) {
    if failure != nil { return }
    failure = error
    let waiting = waiter
    waiter = nil
    waiting?.resume(throwing: error)
  }
}
