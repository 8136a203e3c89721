package import Reactor

/// Lets one task wait until there may be work: for a call, or for a while at most. A call that comes
/// while nobody waits is kept, so that none is lost between looking for work and waiting for it.
/// Confined to its reactor.
package final class WakeUp {
  private let reactor: Reactor
  private var isCalled = false
  private var waiting: Resumption<Void>?
  private var timer: LoopTimer?

  package init(on reactor: Reactor) { self.reactor = reactor }

  package func call() {
    isCalled = true
    resume()
  }

  /// Returns after a call, after `longest`, or when the task is cancelled. One task at a time.
  package func wait(atMost longest: Duration) async {
    if !isCalled {
      let onCancel = { self.resume() }
      await suspended(on: reactor, onCancel: onCancel) { [self] resumption in
        precondition(waiting == nil, "one task waits at a time")
        waiting = resumption
        timer = reactor.loop.schedule(after: longest) { [unowned self] in resume() }
        // Either may have come before there was anything to resume.
        if isCalled || Task.isCancelled { resume() }
      }
    }
    isCalled = false
  }

  private func resume() {
    guard let waiting else { return }
    self.waiting = nil
    if let timer { reactor.loop.cancel(timer) }
    timer = nil
    waiting.resume(())
  }
}
