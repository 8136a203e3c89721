import Reactor

/// A task that waits for what may come from several sides: the first resumes it. Confined to its reactor.
final class Waiter<R> {
  var resumption: Resumption<R>?

  func resume(_ result: R) {
    let resumption = self.resumption
    self.resumption = nil
    resumption?.resume(result)
  }
}

extension Waiter<Void> {
  func resume() { resume(()) }
}
