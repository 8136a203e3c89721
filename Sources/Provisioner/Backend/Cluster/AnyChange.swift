import Kubernetes
import Reactor

/// Wakes its one reader when any of several watches tells of a change in a namespace. Confined to its
/// reactor.
final class AnyChange {
  private let reactor: Reactor
  private let subscriptions: [WatchSubscription]
  private var hasChanged = false
  private var waiting: Resumption<Void>?

  init(
    of watches: [SharedWatch], in namespace: String, on reactor: Reactor
  ) throws(KubernetesError) {
    self.reactor = reactor
    var subscriptions: [WatchSubscription] = []
    do throws(KubernetesError) {
      for watch in watches { subscriptions.append(try watch.subscribe(namespace: namespace)) }
    } catch {
      for subscription in subscriptions { subscription.cancel() }
      throw error
    }
    self.subscriptions = subscriptions
    for subscription in subscriptions {
      reactor.loop.spawn(on: reactor) {
        while (try? await subscription.next()) ?? nil != nil { self.changed() }
      }
    }
  }

  /// Ends the subscriptions, and with them the tasks that hold this.
  func cancel() {
    for subscription in subscriptions { subscription.cancel() }
  }

  /// Returns when something has changed since the last return, when the time has come, or when the
  /// task was cancelled.
  func next(until deadline: Instant) async {
    var timer: LoopTimer?
    await suspended(on: reactor) {
      self.resume()
    } _: { resumption in
      if self.hasChanged || Task.isCancelled { return resumption.resume(()) }
      self.waiting = resumption
      timer = self.reactor.loop.schedule(at: deadline) { self.resume() }
    }
    if let timer { reactor.loop.cancel(timer) }
    hasChanged = false
  }

  private func changed() {
    hasChanged = true
    resume()
  }

  private func resume() {
    let waiting = self.waiting
    self.waiting = nil
    waiting?.resume(())
  }
}
