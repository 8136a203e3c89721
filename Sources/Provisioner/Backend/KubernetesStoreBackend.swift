import Configuration
package import Contracts
import JSON
package import Kubernetes
package import Logging
package import ProvisionerService
package import Reactor

/// Makes and removes stores on one Kubernetes cluster: a namespace each, the chart's release in it, the
/// set-up by a command in its pod. Confined to its reactor.
package final class KubernetesStoreBackend: StoreBackend {
  private let settings: BackendSettings
  private let namespaces: StoreNamespace
  private let volumes: StoreVolumes
  private let credentials: StoreCredentials
  private let releases: HelmReleases
  private let rollouts: StoreRollout
  private let drifts: StoreDrift
  private let certificates: StoreCertificates
  private let setups: StoreSetup
  private let verification: StoreVerification
  /// Nil where there is no object store.
  private let archives: StoreArchives?
  let supervisor: HelmWorkerSupervisor
  private let ownsSupervisor: Bool
  private let kubernetes: KubernetesClient
  private let blocking: BlockingPool

  /// - Parameters:
  ///   - kubernetes: of the same cluster as `settings.kubeconfig`.
  ///   - config: a client of the config service, as the provisioner.
  ///   - supervisor: of helm-workers that are shared; nil for workers of its own, which end with it.
  package init(
    _ settings: BackendSettings, kubernetes: KubernetesClient,
    config: ConfigV1.SecretServiceClient, supervisor shared: HelmWorkerSupervisor? = nil,
    reactor: Reactor, blocking: BlockingPool, logger: Logger
  ) throws {
    self.settings = settings
    self.kubernetes = kubernetes
    self.blocking = blocking
    supervisor =
      shared ?? HelmWorkerSupervisor(settings.helm, reactor: reactor, logger: logger)
    ownsSupervisor = shared == nil
    namespaces = StoreNamespace(
      kubernetes, clusterUID: settings.clusterUID,
      removalPatienceSeconds: settings.removalPatienceSeconds)
    volumes = StoreVolumes(kubernetes, logger: logger)
    credentials = StoreCredentials(config: config, kubernetes: kubernetes)
    releases = HelmReleases(
      supervisor, kubernetes: kubernetes, chart: settings.chart, kubeconfig: settings.kubeconfig)
    rollouts = StoreRollout(kubernetes, credentials: credentials, patience: settings.patience)
    drifts = StoreDrift(kubernetes, releases: releases)
    certificates = StoreCertificates(kubernetes)
    setups = StoreSetup(kubernetes, credentials: credentials)
    if let access = settings.objectStore {
      let objects = try ObjectStore(access, reactor: reactor, blocking: blocking)
      archives = StoreArchives(
        kubernetes, objects: objects, credentials: credentials, rollouts: rollouts)
    } else {
      archives = nil
    }
    verification = try StoreVerification(
      reactor: reactor, blocking: blocking, address: settings.address, ingress: settings.ingress,
      storesMax: settings.storesMax)
  }

  /// Ends the helm-worker, where it has one of its own. Nothing may be under way any more.
  package func close() async { if ownsSupervisor { await supervisor.close() } }

  // MARK: Provisioning

  package func ensureNamespace(_ site: StoreSite) async throws(ProvisionFailure) {
    try await namespaces.ensure(site)
  }

  package func applyCredentials(_ site: StoreSite) async throws(ProvisionFailure) {
    try await credentials.apply(site)
  }

  @discardableResult
  package func installRelease(
    _ site: StoreSite
  ) async throws(ProvisionFailure) -> InstalledRelease {
    if site.isSuspended { try await requireChart(site.chart) }
    // Of work that ended without it: what it does would go on in the pods' place.
    try await archives?.removeJob(site)
    let values = ReleaseValues.make(
      for: site, operatorValues: try await operatorValues(), address: settings.address,
      secret: StoreCredentials.secretName)
    try await RefusedWorkloads.remove(of: site, kubernetes)
    let made = try await ImmutableStatefulSets.replaced(of: site, kubernetes) {
      () async throws(ProvisionFailure) in
      try await releases.install(site, values: values)
    }
    // The first has nothing before it.
    if made.revision > 1 { try await removeLeftovers(site) }
    return made
  }

  private func removeLeftovers(_ site: StoreSite) async throws(ProvisionFailure) {
    let objects = try await releases.manifest(site).objects()
    try await ReleaseLeftovers.remove(from: site, keeping: objects, kubernetes)
  }

  private func requireChart(_ chart: String?) async throws(ProvisionFailure) {
    let path = settings.chart + "/Chart.yaml"
    let present: String
    do {
      present = try await blocking.run { try ChartIdentity.read(path) }
    } catch {
      throw ProvisionFailure(.chartInvalid, "\(error)")
    }
    if let chart, chart != present {
      throw ProvisionFailure(.chartOutdated, "it runs \(chart), the platform has \(present)")
    }
  }

  private func operatorValues() async throws(ProvisionFailure) -> JSONObject {
    let read = settings.chartValues
    do {
      return try await blocking.run { try read() }
    } catch let error as ValuesFile.Failure {
      throw ProvisionFailure(.chartInvalid, error.description)
    } catch {
      throw ProvisionFailure(.unexpected, "\(error)")
    }
  }

  package func rolloutStatus(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await rollouts.status(of: site, after: previous)
  }

  package func setUp(_ site: StoreSite) async throws(ProvisionFailure) {
    try await setups.run(site)
  }

  package func verify(_ site: StoreSite) async throws(ProvisionFailure) {
    let deadline = Instant.now() + StoreVerification.timeout
    let (user, password) = try await credentials.ensure(site).administrator
    try await passingOverCertificate(of: site) { () async throws(ProvisionFailure) in
      try await verification.run(site, user: user, password: password, deadline: deadline)
    }
  }

  /// Nobody can be asked by an address that has no certificate yet, nor told a password: all that can be
  /// said of the store then is that.
  private func passingOverCertificate(
    of site: StoreSite, _ ask: () async throws(ProvisionFailure) -> Void
  ) async throws(ProvisionFailure) {
    do throws(ProvisionFailure) {
      try await ask()
    } catch {
      guard settings.address.scheme == "https", error.code == .verificationFailed,
        let condition = try? await certificates.condition(site), condition.isFalse
      else { throw error }
    }
  }

  // MARK: Changes of a ready store

  @discardableResult
  package func rollBackRelease(
    _ site: StoreSite
  ) async throws(ProvisionFailure) -> InstalledRelease {
    guard let revision = site.helmRevision else { throw ProvisionFailure(.releaseGone) }
    try await archives?.removeJob(site)
    try await RefusedWorkloads.remove(of: site, kubernetes)
    let made = try await ImmutableStatefulSets.replaced(of: site, kubernetes) {
      () async throws(ProvisionFailure) in
      try await releases.rollBack(site, to: revision)
    }
    try await removeLeftovers(site)
    try await archives?.restart(site)
    return made
  }

  package func check(_ site: StoreSite) async throws(ProvisionFailure) {
    let deadline = Instant.now() + StoreVerification.timeout
    try await passingOverCertificate(of: site) { () async throws(ProvisionFailure) in
      try await verification.check(site, deadline: deadline)
    }
  }

  package func drift(of site: StoreSite) async throws(ProvisionFailure) -> [Drift] {
    try await drifts.find(site)
  }

  package func certificate(
    of site: StoreSite
  ) async throws(ProvisionFailure) -> StoreCondition? {
    try await certificates.condition(site)
  }

  // MARK: Backups

  package func backUp(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await keptArchives().backUp(site, after: previous)
  }

  package func checkBackup(_ site: StoreSite) async throws(ProvisionFailure) -> BackupContents {
    try await keptArchives().check(site)
  }

  package func restore(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await keptArchives().restore(site, after: previous)
  }

  package func testBackup(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await keptArchives().test(site, after: previous)
  }

  package func start(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await keptArchives().start(site, after: previous)
  }

  package func removeJob(_ site: StoreSite) async throws(ProvisionFailure) {
    try await keptArchives().removeJob(site)
  }

  package func removeBackup(_ backup: StoreBackup) async throws(ProvisionFailure) {
    try await keptArchives().remove(backup)
  }

  private func keptArchives() throws(ProvisionFailure) -> StoreArchives {
    if let archives { return archives }
    throw ProvisionFailure.noObjectStore
  }

  // MARK: Deletion

  package func uninstallRelease(_ site: StoreSite) async throws(ProvisionFailure) {
    // With its namespace the release goes by itself; in somebody else's there is none of ours.
    guard case .ours(let namespace) = try await namespaces.presence(site),
      !namespace.isBeingDeleted
    else { return }
    try await releases.uninstall(site)
    try await rollouts.waitForEnd(of: site)
  }

  package func deleteNamespace(_ site: StoreSite) async throws(ProvisionFailure) {
    try await namespaces.delete(site)
  }

  package func removalStatus(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    let progress = try await namespaces.removal(of: site, after: previous)
    // Where somebody else's is in its place, so are the volumes.
    guard progress.isDone, case .absent = try await namespaces.presence(site) else {
      return progress
    }
    return try await volumes.removal(of: site, after: previous)
  }

  package func forgetCredentials(_ site: StoreSite) async throws(ProvisionFailure) {
    try await credentials.forget(site)
  }

  // MARK: Stopping

  package func abandon(_ site: StoreSite, isLate: Bool) async {
    await supervisor.abandon(site.store, isLate: isLate)
    await setups.abandon(site)
    await archives?.abandon(site)
  }
}
