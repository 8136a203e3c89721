import ProvisionerService
import Reactor

/// The backend of one machine. Its calls take their time, by the machine's clock, and go wrong as told.
final class SimulatedBackend: StoreBackend {
  private typealias Change = (inout World.Store) throws -> Void

  private unowned let simulation: Simulation
  private let machine: Machine
  /// Ends by force what goes on for a store.
  private var forced: [String: () -> Void] = [:]

  private var world: World { simulation.world }
  private var reactor: Reactor { machine.reactor }

  init(_ simulation: Simulation, _ machine: Machine) {
    self.simulation = simulation
    self.machine = machine
  }

  // MARK: Provisioning

  func ensureNamespace(_ site: StoreSite) async throws(ProvisionFailure) {
    try await call(.namespace, site, 0.02...1) { store in
      if store.namespaceGoneAt != nil { throw ProvisionFailure(.namespaceTerminating) }
      store.hasNamespace = true
    }
  }

  func applyCredentials(_ site: StoreSite) async throws(ProvisionFailure) {
    try await call(.credentials, site, 0.02...1) { store in
      guard store.hasNamespace else { throw ProvisionFailure(.unexpected, "no namespace") }
      store.hasCredentials = true
      store.hasSecret = true
    }
  }

  func installRelease(_ site: StoreSite) async throws(ProvisionFailure) -> InstalledRelease {
    let chart = world.chart
    if site.isSuspended, let running = site.chart, running != chart {
      throw ProvisionFailure(.chartOutdated)
    }
    var number = 0
    try await call(.release, site, 0.5...8) { store in
      guard store.hasSecret else { throw ProvisionFailure(.unexpected, "no secret") }
      self.add(
        World.Revision(parameters: site.parameters, isSuspended: site.isSuspended, chart: chart),
        &store)
      number = store.revisions.count
    }
    return InstalledRelease(revision: number, chart: chart)
  }

  private func add(_ revision: World.Revision, _ store: inout World.Store) {
    store.revisions.append(revision)
    store.drift = nil
    let time = simulation.faults.backendTime(1...15).nanosecondsSaturating
    store.podsReadyAt = simulation.time + time
  }

  func rolloutStatus(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    var isReady = false
    try await call(.rollout, site, 0.01...0.2) { store in
      guard let ready = store.podsReadyAt else { throw ProvisionFailure(.unexpected, "no pods") }
      isReady = ready <= self.simulation.time
    }
    if isReady { return BackendProgress(isDone: true, fraction: 1, detail: "ready") }
    guard previous != nil else {
      return BackendProgress(isDone: false, fraction: 0.5, detail: "pods start")
    }
    while !isReady {
      await rest(for: .seconds(1), on: reactor)
      if Task.isCancelled { throw ProvisionFailure(.cancelled) }
      isReady = (world[site.store].podsReadyAt ?? 0) <= simulation.time
    }
    return BackendProgress(isDone: true, fraction: 1, detail: "ready")
  }

  func setUp(_ site: StoreSite) async throws(ProvisionFailure) {
    try await call(.setup, site, 1...6) { store in
      guard store.podsReadyAt ?? .max <= self.simulation.time else {
        throw ProvisionFailure(.unexpected, "no pods")
      }
      store.isSetUp = true
    }
  }

  func verify(_ site: StoreSite) async throws(ProvisionFailure) { try await answer(.verify, site) }

  // MARK: Changes of a ready store

  func rollBackRelease(_ site: StoreSite) async throws(ProvisionFailure) -> InstalledRelease {
    var made: InstalledRelease?
    try await call(.rollback, site, 0.5...6) { store in
      guard let number = site.helmRevision, store.revisions.indices.contains(number - 1) else {
        throw ProvisionFailure(.releaseGone)
      }
      self.add(store.revisions[number - 1], &store)
      made = InstalledRelease(
        revision: store.revisions.count, chart: store.revisions[number - 1].chart)
    }
    guard let made else { throw ProvisionFailure(.unexpected, "no revision") }
    return made
  }

  func check(_ site: StoreSite) async throws(ProvisionFailure) { try await answer(.check, site) }

  func drift(of site: StoreSite) async throws(ProvisionFailure) -> [Drift] {
    let before = world[site.store].drift
    await rest(for: simulation.faults.seconds(0.01...1), on: reactor)
    if simulation.faults.backend() != nil || failure(of: site) != nil {
      throw ProvisionFailure(.clusterUnreachable, "a fault")
    }
    // What it sees may be over by now, or not have begun.
    let seen = simulation.faults.chance(0.5) ? before : world[site.store].drift
    simulation.coverage.count(seen == nil ? "drift not seen" : "drift seen")
    return seen.map { [$0] } ?? []
  }

  func certificate(of site: StoreSite) async throws(ProvisionFailure) -> StoreCondition? { nil }

  // MARK: Backups

  func backUp(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    guard let backup = site.backup else { throw ProvisionFailure(.unexpected, "no backup") }
    try await call(.backup, site, 0.5...8) { _ = $0.backups.insert(backup.id) }
    return BackendProgress(isDone: true, fraction: 1, detail: "written")
  }

  func checkBackup(_ site: StoreSite) async throws(ProvisionFailure) -> BackupContents {
    try await call(.backupCheck, site, 0.1...2) { store in
      guard let backup = site.backup, store.backups.contains(backup.id) else {
        throw ProvisionFailure(.backupMissing)
      }
    }
    return BackupContents(bytes: 1, sha256: String(repeating: "0", count: 64))
  }

  func restore(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await call(.restore, site, 0.5...8) { store in
      // It may be of another store, which need not be there any more.
      guard let backup = site.backup, self.world[backup.store].backups.contains(backup.id) else {
        throw ProvisionFailure(.backupMissing)
      }
      store.podsReadyAt = nil
    }
    return BackendProgress(isDone: true, fraction: 1, detail: "loaded")
  }

  func testBackup(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await call(.backupTest, site, 0.5...8) { store in
      guard let backup = site.backup, store.backups.contains(backup.id) else {
        throw ProvisionFailure(.backupMissing)
      }
    }
    return BackendProgress(isDone: true, fraction: 1, detail: "good")
  }

  func start(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await call(.start, site, 0.5...8) { $0.podsReadyAt = self.simulation.time }
    return BackendProgress(isDone: true, fraction: 1, detail: "ready")
  }

  func removeJob(_ site: StoreSite) async throws(ProvisionFailure) {
    try await call(.jobRemoval, site, 0.1...2) { _ in }
  }

  func removeBackup(_ backup: StoreBackup) async throws(ProvisionFailure) {
    await rest(for: simulation.faults.seconds(0.01...1), on: reactor)
    // Few backups are removed in a run.
    let isFault = !simulation.faults.isOver && simulation.faults.chance(0.2)
    simulation.coverage.count("backup removal \(isFault ? "failed" : "done")")
    // It may be gone all the same.
    if !isFault || simulation.faults.chance(0.5) { world.forget(backup) }
    if isFault { throw ProvisionFailure(.backupStoreUnreachable, "a fault") }
  }

  private func answer(_ step: OperationStep, _ site: StoreSite) async throws(ProvisionFailure) {
    try await call(step, site, 0.1...2) { store in
      guard store.isSetUp, store.podsReadyAt ?? .max <= self.simulation.time,
        store.revisions.last?.isSuspended == false
      else { throw ProvisionFailure(.verificationFailed) }
    }
  }

  // MARK: Deletion

  func uninstallRelease(_ site: StoreSite) async throws(ProvisionFailure) {
    try await call(.uninstall, site, 0.3...4) { store in
      store.revisions = []
      store.podsReadyAt = nil
      store.isSetUp = false
    }
  }

  func deleteNamespace(_ site: StoreSite) async throws(ProvisionFailure) {
    try await call(.namespaceRemoval, site, 0.02...0.5) { store in
      if store.hasNamespace, store.namespaceGoneAt == nil {
        store.namespaceGoneAt =
          self.simulation.time
          + self.simulation.faults.backendTime(1...10).nanosecondsSaturating
      }
    }
  }

  func removalStatus(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    var isGone = false
    while true {
      try await call(.gone, site, 0.01...0.2) { store in isGone = !store.hasNamespace }
      if isGone { return BackendProgress(isDone: true, fraction: 1, detail: "gone") }
      if previous == nil {
        return BackendProgress(isDone: false, fraction: 0.5, detail: "pods end")
      }
      await rest(for: .seconds(1), on: reactor)
      if Task.isCancelled { throw ProvisionFailure(.cancelled) }
    }
  }

  func forgetCredentials(_ site: StoreSite) async throws(ProvisionFailure) {
    try await call(.credentialsRemoval, site, 0.02...1) { $0.hasCredentials = false }
  }

  // MARK: Stopping

  func abandon(_ site: StoreSite, isLate: Bool) async {
    guard forced[site.store] != nil else { return }
    await rest(for: simulation.faults.seconds(isLate ? 0.01...0.2 : 0.01...1.2), on: reactor)
    forced[site.store]?()
  }

  // MARK: Calls

  private func call(
    _ step: OperationStep, _ site: StoreSite, _ seconds: ClosedRange<Double>, _ change: Change
  ) async throws(ProvisionFailure) {
    let call: World.Call
    do {
      call = try world.begin(step, site, machine)
    } catch { throw ProvisionFailure(.unexpected, "\(error)") }
    defer { world.end(call) }
    let fault = simulation.faults.backend()
    if let fault { world.count(fault.rawValue, call) }
    var duration = simulation.faults.backendTime(seconds)
    if call.isOnCluster, let failure = self.failure(of: site) {
      await rest(for: simulation.faults.seconds(0.01...2), on: reactor)
      if failure.code == .clusterReplaced { world.count("elsewhere", call) }
      throw step.dependency == .helm && failure.code == .clusterUnreachable
        ? ProvisionFailure(.helmUnavailable, "its cluster is away") : failure
    }
    if fault == .slow { duration *= 8 }
    if let failure = failure(fault, step, isBefore: true) {
      await rest(for: duration / 4, on: reactor)
      throw failure
    }
    if fault == .hangs { try await hang(until: nil) }
    if fault == .stubborn { try await hang(until: site.store) }
    await rest(for: duration, on: reactor)
    if Task.isCancelled {
      // It may have come through all the same.
      await rest(for: simulation.faults.seconds(0...0.5), on: reactor)
      if simulation.faults.chance(0.5) { try act(call, change) }
      throw ProvisionFailure(.cancelled)
    }
    try act(call, change)
    if let failure = failure(fault, step, isBefore: false) { throw failure }
    if fault == .hangsAfter { try await hang(until: nil) }
  }

  /// Why nothing can be done where a store is.
  private func failure(of site: StoreSite) -> ProvisionFailure? {
    if world.isAway(site.cluster) {
      return ProvisionFailure(.clusterUnreachable, "its cluster is away")
    }
    let found = world.uid(of: site.cluster)
    if let expected = site.clusterAccess.uid {
      return expected == found ? nil : ProvisionFailure(.clusterReplaced)
    }
    // Of one that is not known yet any will do; that is no fault that anybody could find.
    return found == "another" ? ProvisionFailure(.clusterUnreachable, "its cluster is away") : nil
  }

  private func act(_ call: World.Call, _ change: Change) throws(ProvisionFailure) {
    do {
      try world.act(call, change)
    } catch let failure as ProvisionFailure {
      // What it stood on may be gone meanwhile.
      if failure.code == .unexpected, !call.hasStalled {
        simulation.violate("\(call.site.name): \(call.kind) \(call.step.rawValue) finds \(failure)")
      }
      throw failure
    } catch { throw ProvisionFailure(.unexpected, "\(error)") }
  }

  /// Does nothing until the task is cancelled, or what it is at for the store is ended by force.
  private func hang(until store: String?) async throws(ProvisionFailure) {
    guard let store else {
      while !Task.isCancelled { await rest(for: .seconds(3_600), on: reactor) }
      throw ProvisionFailure(.cancelled)
    }
    var waiter: Resumption<Void>?
    var isOver = false
    forced[store] = {
      isOver = true
      waiter?.resume(())
      waiter = nil
    }
    let onCancel = {}
    await suspended(on: reactor, onCancel: onCancel) { resumption in
      if isOver { return resumption.resume(()) }
      waiter = resumption
    }
    forced[store] = nil
    throw ProvisionFailure(.helmUnavailable)
  }

  private func failure(
    _ fault: Faults.Backend?, _ step: OperationStep, isBefore: Bool
  ) -> ProvisionFailure? {
    switch (fault, isBefore) {
    case (.failsBefore, true), (.failsAfter, false): ProvisionFailure(hopeful(step), "a fault")
    case (.failsForGood, true): ProvisionFailure(.quotaExceeded, "a fault")
    case (.unreachable, true):
      ProvisionFailure(step.dependency == .helm ? .helmUnavailable : .clusterUnreachable, "a fault")
    case (.throttled, true):
      ProvisionFailure(
        .clusterThrottled, "a fault", retryAfter: simulation.faults.seconds(0.5...4))
    case (.crashes, false): ProvisionFailure(.helmCrashed, "a fault")
    default: nil
    }
  }

  private func hopeful(_ step: OperationStep) -> FailureCode {
    switch step {
    case .namespace, .namespaceRemoval, .gone: .clusterUnreachable
    case .credentials, .credentialsRemoval: .credentialsUnavailable
    case .release, .rollback, .uninstall: .helmFailed
    case .rollout, .start: .unschedulable
    case .backup, .backupCheck, .restore, .backupTest: .backupStoreUnreachable
    case .jobRemoval: .clusterUnreachable
    case .setup: .setupInterrupted
    case .verify, .check: .verificationFailed
    }
  }
}
