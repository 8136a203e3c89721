package import Reactor

/// Keeps the objects of one kind and selector in memory, as a list and then a watch tell of them;
/// one for a cluster and kind, whatever the number of stores. Confined to its reactor.
///
/// A watch that breaks goes on from the last version it heard of; where the server has forgotten
/// that one (410), everything is listed again and the differences are told as changes.
package final class SharedWatch {
  /// A watch that ends sooner was not served.
  private static let shortestWatch = Duration.seconds(1)

  package let kind: ResourceKind
  package let selection: ObjectSelection
  let reactor: Reactor
  private let client: KubernetesClient
  private let limits: WatchLimits
  private var store: ObjectStore
  private var subscribers: [ObjectIdentifier: WatchSubscription] = [:]
  /// Where the next watch goes on from; nil: list again.
  var resourceVersion: String?
  private var response: (any KubernetesResponse)?
  private var task: Task<Void, Never>?
  private var pause: (resumption: Resumption<Void>, timer: LoopTimer)?
  private var isStopped = false
  private var failures = 0

  /// How often everything was listed, for metrics.
  package private(set) var lists = 0
  /// How often a watch was begun, for metrics.
  package private(set) var watches = 0
  /// Why the last attempt failed; nil while all is well.
  package private(set) var lastError: KubernetesError?

  init(
    _ client: KubernetesClient, kind: ResourceKind, namespace: String?, labelSelector: String?,
    limits: WatchLimits
  ) {
    self.client = client
    self.kind = kind
    self.limits = limits
    reactor = client.reactor
    selection = ObjectSelection(namespace: namespace, labelSelector: labelSelector)
    store = ObjectStore(objectsMax: limits.objectsMax)
  }

  // MARK: For readers

  /// Whether a first list has come: before, `objects` says nothing.
  package private(set) var isSynced = false
  package var count: Int { store.count }

  package func object(namespace: String = "", name: String) -> KubernetesObject? {
    store[ObjectKey(namespace: namespace, name: name)]
  }

  package func objects(namespace: String? = nil) -> [KubernetesObject] {
    store.objects(namespace: namespace)
  }

  /// Hears of every change from now on, of one namespace or of all. Cancel it when done.
  package func subscribe(
    namespace: String? = nil, where predicate: @escaping (KubernetesObject) -> Bool = { _ in true }
  ) throws(KubernetesError) -> WatchSubscription {
    guard subscribers.count < limits.subscribersMax else {
      throw KubernetesError(
        .limitReached,
        "the watch of \(kind) has \(subscribers.count) subscribers (subscribersMax)")
    }
    let subscription = WatchSubscription(
      self, namespace: namespace, pendingMax: limits.pendingChangesMax, where: predicate)
    subscribers[ObjectIdentifier(subscription)] = subscription
    if isStopped { subscription.end() }
    return subscription
  }

  /// Returns when a first list has come; throws why not by the deadline.
  package func waitUntilSynced(deadline: Instant) async throws(KubernetesError) {
    if isSynced { return }
    let subscription = try subscribe()
    defer { subscription.cancel() }
    while !isSynced {
      do throws(KubernetesError) {
        let change = try await subscription.next(until: deadline)
        if change == nil { throw KubernetesError(.cancelled, "the watch of \(kind) was stopped") }
      } catch {
        throw error.kind == .timeout ? lastError ?? error : error
      }
    }
  }

  func remove(_ subscription: WatchSubscription) {
    subscribers[ObjectIdentifier(subscription)] = nil
  }

  // MARK: Running

  func start() {
    task = reactor.loop.spawn(on: reactor) { await self.run() }
  }

  func stop() {
    isStopped = true
    response?.cancel()
    task?.cancel()
    resumePause()
    for subscription in subscribers.values { subscription.end() }
    subscribers = [:]
  }

  private func run() async {
    while !isStopped {
      do throws(KubernetesError) {
        if resourceVersion == nil { try await list() }
        let began = Instant.now()
        try await watch()
        // A server that hangs up at once must not be asked in a circle.
        if Instant.now() - began < Self.shortestWatch {
          await pause(for: backoff())
          failures += 1
        } else {
          failures = 0
        }
      } catch {
        await failed(error)
      }
    }
  }

  private func failed(_ error: KubernetesError) async {
    if isStopped { return }
    if error.kind == .expired, resourceVersion != nil {
      // Nothing is wrong: we were away for too long.
      resourceVersion = nil
      return
    }
    lastError = error
    // Of a watch that took too many objects nothing can be kept.
    if error.kind == .limitReached { resourceVersion = nil }
    await pause(for: max(backoff(), error.retryAfter ?? .zero))
    failures += 1
  }

  private func backoff() -> Duration {
    let doubled = limits.backoff * (1 << min(failures, 16))
    return min(doubled, limits.backoffMax) * Double.random(in: 0.75...1.25)
  }

  private func pause(for duration: Duration) async {
    await suspended(on: reactor) {
      self.resumePause()
    } _: { resumption in
      if self.isStopped { return resumption.resume(()) }
      let timer = self.reactor.loop.schedule(after: duration) { [weak self] in
        self?.resumePause()
      }
      self.pause = (resumption, timer)
    }
  }

  private func resumePause() {
    guard let pause else { return }
    self.pause = nil
    reactor.loop.cancel(pause.timer)
    pause.resumption.resume(())
  }

  private func list() async throws(KubernetesError) {
    lists += 1
    let list = try await client.listAll(
      kind, selection, deadline: Instant.now() + limits.listDeadline)
    let changes = try store.replace(with: list.objects.map(ObjectStore.trimmed))
    resourceVersion = list.resourceVersion
    failures = 0
    lastError = nil
    let isFirst = !isSynced
    isSynced = true
    if isFirst { return tell(.resynced) }
    for change in changes { tell(change) }
  }

  private func watch() async throws(KubernetesError) {
    watches += 1
    var request = KubernetesClient.Request(path: kind.path(namespace: selection.namespace))
    request.query = selection.query
    request.query += [
      ("watch", "true"), ("allowWatchBookmarks", "true"),
      ("resourceVersion", resourceVersion ?? ""),
      ("timeoutSeconds", String(limits.requestLifetime.components.seconds)),
    ]
    let deadline = Instant.now() + limits.requestLifetime + limits.graceAfterEnd
    let response = try await client.send(request, deadline: deadline)
    if isStopped { return }
    self.response = response
    defer { self.response = nil }
    lastError = nil
    var lines = LineSplitter(lineBytesMax: limits.eventBytesMax)
    while let chunk = try await response.next() {
      try lines.feed(chunk) { line throws(KubernetesError) in
        try self.take(
          WatchEvent(line: line, kind: self.kind, bytesMax: self.limits.eventBytesMax))
      }
    }
  }

  private func take(_ event: WatchEvent) throws(KubernetesError) {
    switch event {
    case .added(let object), .modified(let object):
      let kept = ObjectStore.trimmed(object)
      if try store.put(kept) { tell(.updated(kept)) }
      resourceVersion = object.resourceVersion
    case .deleted(let object):
      let kept = ObjectStore.trimmed(object)
      if store.remove(ObjectKey(object)) != nil { tell(.deleted(kept)) }
      resourceVersion = object.resourceVersion
    case .bookmark(let version): if !version.isEmpty { resourceVersion = version }
    }
  }

  private func tell(_ change: WatchChange) {
    for subscription in subscribers.values { subscription.offer(change) }
  }
}
