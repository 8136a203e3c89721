import Reactor

/// A call of a helm-worker that goes on though its caller may have gone. Confined to its reactor.
final class LastingCall {
  /// Whether it was the worker that said that it is over; nil while it is not.
  private(set) var isAnswered: Bool?
  /// Its caller does not wait for it any more.
  var isLeft = false
  private var waiters: [Waiter<Void>] = []

  func end(isAnswered: Bool) {
    self.isAnswered = isAnswered
    for waiter in waiters { waiter.resume() }
    waiters = []
  }

  /// Returns when it is over, at the limit, or when the task is cancelled.
  func wait(until limit: Instant? = nil, on reactor: Reactor) async {
    let waiter = Waiter<Void>()
    var timer: LoopTimer?
    await suspended(on: reactor) {
      waiter.resume()
    } _: { resumption in
      // Other jobs may have run on the way here.
      if self.isAnswered != nil { return resumption.resume(()) }
      waiter.resumption = resumption
      self.waiters.append(waiter)
      timer = limit.map { reactor.loop.schedule(at: $0) { waiter.resume() } }
    }
    if let timer { reactor.loop.cancel(timer) }
  }
}
