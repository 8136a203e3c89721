package import ProvisionerService
package import Reactor

/// A backend that acts on a `FakeCluster`. Confined to its reactor.
package final class FakeStoreBackend: StoreBackend {
  package let number: Int
  private let cluster: FakeCluster
  private let reactor: Reactor
  /// What holds a call up, by store.
  private var held: [String: Hold] = [:]

  private final class Hold {
    let isStubborn: Bool
    let isEndless: Bool
    var waiter: Resumption<Void>?
    var isOver = false

    init(isStubborn: Bool, isEndless: Bool) {
      self.isStubborn = isStubborn
      self.isEndless = isEndless
    }

    func end() {
      isOver = true
      let waiter = self.waiter
      self.waiter = nil
      waiter?.resume(())
    }
  }

  package init(_ cluster: FakeCluster, on reactor: Reactor) {
    self.cluster = cluster
    self.reactor = reactor
    number = cluster.register()
  }

  // MARK: Provisioning

  package func ensureNamespace(_ site: StoreSite) async throws(ProvisionFailure) {
    try await act(.namespace, site) { _ = $0.insert(.namespace) }
  }

  package func applyCredentials(_ site: StoreSite) async throws(ProvisionFailure) {
    try await act(.credentials, site, needs: .namespace) { _ = $0.insert(.credentials) }
  }

  package func installRelease(
    _ site: StoreSite
  ) async throws(ProvisionFailure) -> InstalledRelease {
    try await act(.release, site, needs: .credentials) { _ = $0.insert(.release) }
    return cluster.install(
      .init(parameters: site.parameters, isSuspended: site.isSuspended), of: site.store)
  }

  package func rolloutStatus(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    if previous == nil {
      let isSuspended = cluster.revisions(of: site.store).last?.isSuspended ?? false
      try await act(.rollout, site, needs: .release) {
        if isSuspended { $0.remove(.pods) } else { $0.insert(.pods) }
      }
      return BackendProgress(isDone: false, fraction: 0.5, detail: "1 of 2 pods ready")
    }
    return BackendProgress(isDone: true, fraction: 1, detail: "2 of 2 pods ready")
  }

  package func setUp(_ site: StoreSite) async throws(ProvisionFailure) {
    try await act(.setup, site, needs: .pods) { _ = $0.insert(.setup) }
  }

  package func verify(_ site: StoreSite) async throws(ProvisionFailure) {
    try await act(.verify, site, needs: .setup) { _ in }
  }

  // MARK: Changes of a ready store

  package func rollBackRelease(
    _ site: StoreSite
  ) async throws(ProvisionFailure) -> InstalledRelease {
    try await act(.rollback, site, needs: .release) { _ in }
    let revisions = cluster.revisions(of: site.store)
    guard let revision = site.helmRevision, revisions.indices.contains(revision - 1) else {
      throw ProvisionFailure(.releaseGone)
    }
    return cluster.install(revisions[revision - 1], of: site.store)
  }

  package func check(_ site: StoreSite) async throws(ProvisionFailure) {
    try await act(.check, site, needs: .pods) { _ in }
  }

  package func drift(of site: StoreSite) async throws(ProvisionFailure) -> [Drift] {
    if let failure = cluster.failure(of: .kubernetes) { throw failure }
    return cluster.drift(of: site.store)
  }

  package func certificate(
    of site: StoreSite
  ) async throws(ProvisionFailure) -> StoreCondition? {
    if let failure = cluster.failure(of: .kubernetes) { throw failure }
    return cluster.certificate(of: site.store)
  }

  // MARK: Backups

  package func backUp(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    if previous == nil {
      try await act(.backup, site, needs: .pods, { _ in }, and: { self.cluster.backUp(site) })
      return BackendProgress(isDone: false, fraction: 0.5, detail: "the database is read")
    }
    return BackendProgress(isDone: true, fraction: 1, detail: "the archive is written")
  }

  package func checkBackup(_ site: StoreSite) async throws(ProvisionFailure) -> BackupContents {
    try await act(.backupCheck, site) { _ in }
    guard let archive = site.backup.flatMap({ cluster.archive($0.id) }) else {
      throw ProvisionFailure(.backupMissing)
    }
    return BackupContents(
      bytes: Int64(archive.utf8.count), sha256: String(repeating: "0", count: 64))
  }

  package func restore(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    if previous == nil {
      guard let backup = site.backup, cluster.archive(backup.id) != nil else {
        throw ProvisionFailure(.backupMissing)
      }
      try await act(
        .restore, site, needs: .release, { _ = $0.remove(.pods) },
        and: { self.cluster.restore(site) })
      return BackendProgress(isDone: false, fraction: 0.5, detail: "the data is loaded")
    }
    return BackendProgress(isDone: true, fraction: 1, detail: "the data is there")
  }

  package func testBackup(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    if previous == nil {
      try await act(
        .backupTest, site, needs: .pods, { _ in }, and: { self.cluster.testBackup(site) })
      guard let backup = site.backup, cluster.archive(backup.id) != nil else {
        throw ProvisionFailure(.backupMissing)
      }
      return BackendProgress(isDone: false, fraction: 0.5, detail: "the backup is tested")
    }
    return BackendProgress(isDone: true, fraction: 1, detail: "the backup is good")
  }

  package func start(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    if previous == nil {
      try await act(.start, site, needs: .release) { _ = $0.insert(.pods) }
      return BackendProgress(isDone: false, fraction: 0.5, detail: "1 of 2 pods ready")
    }
    return BackendProgress(isDone: true, fraction: 1, detail: "2 of 2 pods ready")
  }

  package func removeJob(_ site: StoreSite) async throws(ProvisionFailure) {
    try await act(.jobRemoval, site, { _ in }, and: { self.cluster.removeJob(of: site.store) })
  }

  package func removeBackup(_ backup: StoreBackup) async throws(ProvisionFailure) {
    try cluster.removeArchive(backup.id)
  }

  // MARK: Deletion

  package func uninstallRelease(_ site: StoreSite) async throws(ProvisionFailure) {
    try await act(.uninstall, site) { $0.subtract([.release, .pods]) }
    cluster.forgetRevisions(of: site.store)
  }

  package func deleteNamespace(_ site: StoreSite) async throws(ProvisionFailure) {
    try await act(
      .namespaceRemoval, site, { $0.formIntersection([.credentials]) },
      and: { self.cluster.removeJob(of: site.store) })
  }

  package func removalStatus(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    if previous == nil {
      try await act(.gone, site) { _ in }
      return BackendProgress(isDone: false, fraction: 0.5, detail: "1 pod ends")
    }
    let isGone = !cluster.parts(of: site.store).contains(.namespace)
    return BackendProgress(
      isDone: isGone, fraction: 1, detail: isGone ? "gone" : "the namespace is still there")
  }

  package func forgetCredentials(_ site: StoreSite) async throws(ProvisionFailure) {
    try await act(.credentialsRemoval, site) { _ = $0.remove(.credentials) }
  }

  package func abandon(_ site: StoreSite, isLate: Bool) async {
    guard let hold = held[site.store] else { return }
    if hold.isEndless {
      let onCancel = {}
      await suspended(on: reactor, onCancel: onCancel) { (_: Resumption<Void>) in }
      return
    }
    hold.end()
  }

  // MARK: Calls

  private func act(
    _ step: OperationStep, _ site: StoreSite, needs part: FakeCluster.Part? = nil,
    _ effect: (inout Set<FakeCluster.Part>) -> Void, and another: () -> Void = {}
  ) async throws(ProvisionFailure) {
    let behaviour = cluster.begin(step, site, backend: number)
    defer { cluster.end(step, site, backend: number) }
    switch behaviour {
    case .fail(let failure): throw failure
    case .hang: try await hold(site, isStubborn: false)
    case .hangStubbornly: try await hold(site, isStubborn: true)
    case .hangForever: try await hold(site, isStubborn: true, isEndless: true)
    case nil, .failAfterwards, .hangAfterwards: break
    }
    if Task.isCancelled { throw ProvisionFailure(.cancelled) }
    if let part, !cluster.parts(of: site.store).contains(part) {
      throw ProvisionFailure(.unexpected, "\(step.rawValue) came before the \(part.rawValue)")
    }
    cluster.update(site.store) { effect(&$0) }
    another()
    if case .failAfterwards(let failure) = behaviour { throw failure }
    if case .hangAfterwards = behaviour { try await hold(site, isStubborn: false) }
  }

  private func hold(
    _ site: StoreSite, isStubborn: Bool, isEndless: Bool = false
  ) async throws(ProvisionFailure) {
    let hold = Hold(isStubborn: isStubborn, isEndless: isEndless)
    held[site.store] = hold
    let onCancel = { if !isStubborn { hold.end() } }
    if Task.isCancelled { onCancel() }
    while !hold.isOver {
      await suspended(on: reactor, onCancel: onCancel) { resumption in
        // Other jobs may have run on the way here.
        if hold.isOver { return resumption.resume(()) }
        hold.waiter = resumption
      }
    }
    held[site.store] = nil
    throw ProvisionFailure(.cancelled)
  }
}
