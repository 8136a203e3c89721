package import Reactor

/// One reader of a shared watch. Confined to its reactor.
///
/// Changes of one object that were not read yet become one, so what waits is bounded by the objects
/// that the subscriber looks at, and by `WatchLimits.pendingChangesMax`.
package final class WatchSubscription {
  private let watch: SharedWatch
  private let namespace: String?
  private let predicate: (KubernetesObject) -> Bool
  private let pendingMax: Int
  private var pending: [ObjectKey: WatchChange] = [:]
  private var order: [ObjectKey] = []
  private var head = 0
  private var mustResync = false
  private var waiting: Resumption<Void>?
  private var timer: LoopTimer?
  private var isEnded = false

  init(
    _ watch: SharedWatch, namespace: String?, pendingMax: Int,
    where predicate: @escaping (KubernetesObject) -> Bool
  ) {
    self.watch = watch
    self.namespace = namespace
    self.pendingMax = pendingMax
    self.predicate = predicate
  }

  /// The next change; waits for one until `deadline`, then throws `timeout`. Nil when the
  /// subscription was cancelled or its watch stopped. Throws `cancelled` when the task is cancelled.
  package func next(
    until deadline: Instant = .distantFuture
  ) async throws(KubernetesError) -> WatchChange? {
    while true {
      if let change = take() { return change }
      if isEnded { return nil }
      if Task.isCancelled { throw KubernetesError(.cancelled, "cancelled while watching") }
      if deadline <= Instant.now() {
        throw KubernetesError(.timeout, "no change of \(watch.kind) before the deadline")
      }
      await wait(until: deadline)
    }
  }

  /// Objects as they are now, of this subscription's namespace and predicate.
  package var objects: [KubernetesObject] {
    watch.objects(namespace: namespace).filter(predicate)
  }

  /// Ends it; a reader that waits gets nil.
  package func cancel() {
    watch.remove(self)
    end()
  }

  // MARK: For the watch

  func offer(_ change: WatchChange) {
    if mustResync { return }
    switch change {
    case .updated(let object), .deleted(let object):
      if let namespace, object.namespace != namespace { return }
      guard predicate(object) else { return }
      add(change, ObjectKey(object))
    case .resynced: collapse()
    }
    wake()
  }

  func end() {
    isEnded = true
    wake()
  }

  private func add(_ change: WatchChange, _ key: ObjectKey) {
    if pending.updateValue(change, forKey: key) == nil { order.append(key) }
    if pending.count > pendingMax { collapse() }
  }

  private func collapse() {
    mustResync = true
    pending = [:]
    order = []
    head = 0
  }

  private var hasNews: Bool { isEnded || mustResync || head < order.count }

  private func take() -> WatchChange? {
    if mustResync {
      mustResync = false
      return .resynced
    }
    guard head < order.count else { return nil }
    let change = pending.removeValue(forKey: order[head])
    head += 1
    if head == order.count {
      order.removeAll(keepingCapacity: true)
      head = 0
    }
    return change
  }

  private func wait(until deadline: Instant) async {
    precondition(waiting == nil, "a subscription has one reader at a time")
    await suspended(on: watch.reactor) {
      self.wake()
    } _: { resumption in
      // A change may have come before the wait began, and a cancellation too.
      if self.hasNews || Task.isCancelled { return resumption.resume(()) }
      self.waiting = resumption
      if deadline == .distantFuture { return }
      self.timer = self.watch.reactor.loop.schedule(at: deadline) { [weak self] in
        self?.timer = nil
        self?.wake()
      }
    }
  }

  private func wake() {
    if let timer { watch.reactor.loop.cancel(timer) }
    timer = nil
    let resumption = waiting
    waiting = nil
    resumption?.resume(())
  }
}
