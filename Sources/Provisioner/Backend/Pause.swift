import Reactor

/// Returns after `duration`, or when the task is cancelled.
func pause(_ duration: Duration, on reactor: Reactor) async {
  var timer: LoopTimer?
  var waiting: Resumption<Void>?
  func resume() {
    let resumption = waiting
    waiting = nil
    resumption?.resume(())
  }
  await suspended(on: reactor) {
    resume()
  } _: { resumption in
    waiting = resumption
    if Task.isCancelled { return resume() }
    timer = reactor.loop.schedule(after: duration) { resume() }
  }
  if let timer { reactor.loop.cancel(timer) }
}
