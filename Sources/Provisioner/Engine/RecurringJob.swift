package import Reactor

/// Does something now and then. Replicas do so side by side, at times of their own. Confined to a
/// reactor.
package final class RecurringJob {
  private let interval: Duration
  private let reactor: Reactor
  private let job: () async -> Void
  private var timer: LoopTimer?

  /// - Parameter interval: the longest between two times; the shortest is half of it.
  package init(every interval: Duration, on reactor: Reactor, _ job: @escaping () async -> Void) {
    self.interval = interval
    self.reactor = reactor
    self.job = job
  }

  package func start() {
    timer = reactor.loop.schedule(after: interval * Double.random(in: 0.5...1)) {
      self.reactor.loop.spawn(on: self.reactor) { await self.job() }
      self.start()
    }
  }

  package func stop() {
    if let timer { reactor.loop.cancel(timer) }
    timer = nil
  }
}
