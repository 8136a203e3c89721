package import ProvisionerService
import Synchronization

/// A cluster that is only imagined: what each store has in it, what its calls are told to do, and what
/// ought not to have happened. Any number of backends, on reactors of their own, act on one.
package final class FakeCluster: Sendable {
  /// What a call does instead of simply succeeding.
  package enum Behaviour: Sendable {
    case fail(ProvisionFailure)
    /// Does its work, and then fails.
    case failAfterwards(ProvisionFailure)
    /// Does nothing until it is cancelled.
    case hang
    /// Does its work, and then nothing until it is cancelled.
    case hangAfterwards
    /// Does nothing, and ends by force only.
    case hangStubbornly
    /// As `hangStubbornly`, and not by force either.
    case hangForever
  }

  /// What a store can have.
  package enum Part: String, CaseIterable, Sendable {
    case namespace, credentials, release, pods, setup
  }

  /// A revision of a store's release.
  package struct Revision: Equatable, Sendable {
    package let parameters: StoreParameters
    package let isSuspended: Bool
  }

  package struct Call: Equatable, Sendable {
    package let store: String
    package let step: OperationStep
    package let fence: Int64
    package let releasedAt: Int64?
  }

  private struct ScriptKey: Hashable {
    let name: String?
    let step: OperationStep
  }

  /// Waits for a step of a store to have begun, or ended, so many times.
  private struct Waiter {
    let key: ScriptKey
    let isEnd: Bool
    let count: Int
    let continuation: CheckedContinuation<Void, Never>
  }

  private struct State {
    var parts: [String: Set<Part>] = [:]
    var revisions: [String: [Revision]] = [:]
    var drift: [String: [Drift]] = [:]
    var certificate: StoreCondition?
    /// What each store holds for its customers, and what the backups of the object store do, by id.
    var data: [String: String] = [:]
    var archives: [String: String] = [:]
    /// Why files are not removed; nil: they are.
    var removalFailure: ProvisionFailure?
    var jobs: Set<String> = []
    var scripts: [ScriptKey: [Behaviour]] = [:]
    var calls: [Call] = []
    var begun: [ScriptKey: Int] = [:]
    var ended: [ScriptKey: Int] = [:]
    /// The backends with a call under way, by store.
    var active: [String: Set<Int>] = [:]
    var fences: [String: Int64] = [:]
    var violations: [String] = []
    var waiters: [Waiter] = []
    var backends = 0
    var activeMax = 0
    var isDown = false
  }

  private let state = Mutex(State())

  package init() {}

  // MARK: For tests

  /// Has the next calls of `step`, one each, do as told; later ones succeed.
  ///
  /// - Parameter name: of the store; nil for any without a script of its own.
  package func script(_ step: OperationStep, of name: String?, _ behaviours: [Behaviour]) {
    state.withLock { $0.scripts[ScriptKey(name: name, step: step), default: []] += behaviours }
  }

  /// While it is down, whatever calls Kubernetes or Helm fails.
  package func setDown(_ isDown: Bool) { state.withLock { $0.isDown = isDown } }

  /// Waits until a step of a store was begun `count` times.
  package func reached(_ step: OperationStep, of name: String, count: Int = 1) async {
    await wait(ScriptKey(name: name, step: step), isEnd: false, count: count)
  }

  /// Waits until a step of a store has ended `count` times, in whatever way.
  package func left(_ step: OperationStep, of name: String, count: Int = 1) async {
    await wait(ScriptKey(name: name, step: step), isEnd: true, count: count)
  }

  private func wait(_ key: ScriptKey, isEnd: Bool, count: Int) async {
    await withCheckedContinuation { continuation in
      let isReached = state.withLock { state in
        if (isEnd ? state.ended : state.begun)[key, default: 0] >= count { return true }
        state.waiters.append(
          Waiter(key: key, isEnd: isEnd, count: count, continuation: continuation))
        return false
      }
      if isReached { continuation.resume() }
    }
  }

  /// A backend's process died: what it was at has ended.
  package func died(_ backend: Int) {
    state.withLock { state in
      for store in state.active.keys { state.active[store]?.remove(backend) }
    }
  }

  /// What a store has, by its id.
  package func parts(of store: String) -> Set<Part> { state.withLock { $0.parts[store] ?? [] } }

  /// What a store holds for its customers.
  package func data(of store: String) -> String { state.withLock { $0.data[store] ?? "" } }
  package func setData(of store: String, to text: String) {
    state.withLock { $0.data[store] = text }
  }

  /// What a backup holds; nil where there is no file.
  package func archive(_ id: String) -> String? { state.withLock { $0.archives[id] } }
  package var archives: Set<String> { state.withLock { Set($0.archives.keys) } }

  /// Whether a job was left in a store's namespace.
  package func hasJob(_ store: String) -> Bool { state.withLock { $0.jobs.contains(store) } }

  /// Has the object store refuse to remove files; nil: it does so again.
  package func refuseRemovals(_ failure: ProvisionFailure?) {
    state.withLock { $0.removalFailure = failure }
  }

  /// The revisions of a store's release, from the first.
  package func revisions(of store: String) -> [Revision] {
    state.withLock { $0.revisions[store] ?? [] }
  }

  /// Somebody else changes what runs of a store; the next revision takes it back.
  package func change(_ store: String, _ drift: [Drift]) {
    state.withLock { $0.drift[store] = drift }
  }

  /// Of every store.
  package func set(certificate: StoreCondition?) {
    state.withLock { $0.certificate = certificate }
  }

  func certificate(of store: String) -> StoreCondition? { state.withLock { $0.certificate } }

  func drift(of store: String) -> [Drift] { state.withLock { $0.drift[store] ?? [] } }

  package var calls: [Call] { state.withLock { $0.calls } }

  /// Two that acted on one store at once, or one that acted after its successor had.
  package var violations: [String] { state.withLock { $0.violations } }

  /// The most stores that were acted on at the same time.
  package var activeMax: Int { state.withLock { $0.activeMax } }

  // MARK: For backends

  func register() -> Int {
    state.withLock { state in
      state.backends += 1
      return state.backends
    }
  }

  /// A call begins; what it is to do.
  func begin(_ step: OperationStep, _ site: StoreSite, backend: Int) -> Behaviour? {
    let (behaviour, reached) = state.withLock { state in
      state.calls.append(
        Call(
          store: site.store, step: step, fence: site.fence, releasedAt: site.releasedAt))
      Self.check(site, step, backend, &state)
      let key = ScriptKey(name: site.name, step: step)
      state.begun[key, default: 0] += 1
      return (Self.behaviour(key, site, &state), Self.takeWaiters(key, isEnd: false, &state))
    }
    for waiter in reached { waiter.continuation.resume() }
    return behaviour
  }

  private static func takeWaiters(
    _ key: ScriptKey, isEnd: Bool, _ state: inout State
  ) -> [Waiter] {
    let count = (isEnd ? state.ended : state.begun)[key, default: 0]
    let isReached = { (waiter: Waiter) in
      waiter.key == key && waiter.isEnd == isEnd && waiter.count <= count
    }
    let reached = state.waiters.filter(isReached)
    state.waiters.removeAll(where: isReached)
    return reached
  }

  private static func check(
    _ site: StoreSite, _ step: OperationStep, _ backend: Int, _ state: inout State
  ) {
    let newest = state.fences[site.store] ?? 0
    if site.fence < newest {
      state.violations.append("\(site.name): \(step.rawValue) by a stale holder")
    }
    state.fences[site.store] = max(newest, site.fence)
    if !(state.active[site.store] ?? []).isEmpty {
      state.violations.append("\(site.name): \(step.rawValue) while another call was under way")
    }
    state.active[site.store, default: []].insert(backend)
    let busy = state.active.values.count { !$0.isEmpty }
    state.activeMax = max(state.activeMax, busy)
  }

  private static func behaviour(
    _ key: ScriptKey, _ site: StoreSite, _ state: inout State
  ) -> Behaviour? {
    if let dependency = key.step.dependency, let failure = failure(of: dependency, state) {
      return .fail(failure)
    }
    for key in [key, ScriptKey(name: nil, step: key.step)] {
      if let script = state.scripts[key], !script.isEmpty {
        return state.scripts[key]?.removeFirst()
      }
    }
    return nil
  }

  /// Of any call while it is down.
  func failure(of dependency: Dependency) -> ProvisionFailure? {
    state.withLock { Self.failure(of: dependency, $0) }
  }

  private static func failure(of dependency: Dependency, _ state: State) -> ProvisionFailure? {
    if !state.isDown { return nil }
    let code: FailureCode = dependency == .helm ? .helmUnavailable : .clusterUnreachable
    return ProvisionFailure(code, "connection refused")
  }

  func end(_ step: OperationStep, _ site: StoreSite, backend: Int) {
    let reached = state.withLock { state in
      state.active[site.store]?.remove(backend)
      let key = ScriptKey(name: site.name, step: step)
      state.ended[key, default: 0] += 1
      return Self.takeWaiters(key, isEnd: true, &state)
    }
    for waiter in reached { waiter.continuation.resume() }
  }

  func install(_ revision: Revision, of store: String) -> InstalledRelease {
    state.withLock { state in
      state.revisions[store, default: []].append(revision)
      state.drift[store] = nil
      return InstalledRelease(revision: state.revisions[store]?.count ?? 0, chart: "fake-1.0.0")
    }
  }

  func backUp(_ site: StoreSite) {
    guard let backup = site.backup else { return }
    state.withLock { state in
      state.jobs.insert(site.store)
      // What a store holds is never nothing.
      state.archives[backup.id] = "data: " + (state.data[site.store] ?? "")
    }
  }

  func restore(_ site: StoreSite) {
    guard let backup = site.backup else { return }
    state.withLock { state in
      state.jobs.insert(site.store)
      state.data[site.store] = state.archives[backup.id].map { String($0.dropFirst(6)) }
    }
  }

  func testBackup(_ site: StoreSite) { state.withLock { _ = $0.jobs.insert(site.store) } }

  func removeJob(of store: String) { state.withLock { _ = $0.jobs.remove(store) } }

  func removeArchive(_ id: String) throws(ProvisionFailure) {
    let failure: ProvisionFailure? = state.withLock { state in
      if state.removalFailure == nil { state.archives[id] = nil }
      return state.removalFailure
    }
    if let failure { throw failure }
  }

  func forgetRevisions(of store: String) { state.withLock { $0.revisions[store] = nil } }

  func update<R: Sendable>(_ store: String, _ body: (inout Set<Part>) -> R) -> R {
    state.withLock { body(&$0.parts[store, default: []]) }
  }
}
