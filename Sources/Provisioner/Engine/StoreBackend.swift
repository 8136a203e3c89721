/// A store as its backend sees it: where it is, and what it is to be.
package struct StoreSite: Equatable, Sendable {
  package let store: String
  package let tenant: String
  package let name: String
  package let engine: StoreEngine
  package let cluster: String
  package let clusterAccess: ClusterAccess
  package let namespace: String
  package let host: String
  package let parameters: StoreParameters
  /// Whether nothing of it is to run.
  package let isSuspended: Bool
  /// Helm's record of the release that it is brought back to, else of the one that it runs; nil where
  /// there is none.
  package let helmRevision: Int?
  /// The chart of that release.
  package let chart: String?
  /// The id of the operation that the call is a part of.
  package let operation: String
  /// The backup that it makes, or takes the data from.
  package let backup: StoreBackup?
  /// The token of the lease under which the call is made.
  package let fence: Int64
  /// When this operation first asked for pods, whoever held it then, in seconds since 1970; nil before
  /// it has.
  package let releasedAt: Int64?

  package init(
    store: String, tenant: String, name: String, engine: StoreEngine, cluster: String,
    clusterAccess: ClusterAccess = ClusterAccess(), namespace: String, host: String,
    parameters: StoreParameters, isSuspended: Bool = false, helmRevision: Int? = nil,
    chart: String? = nil, operation: String = "", backup: StoreBackup? = nil, fence: Int64,
    releasedAt: Int64? = nil
  ) {
    self.store = store
    self.tenant = tenant
    self.name = name
    self.engine = engine
    self.cluster = cluster
    self.clusterAccess = clusterAccess
    self.namespace = namespace
    self.host = host
    self.parameters = parameters
    self.isSuspended = isSuspended
    self.helmRevision = helmRevision
    self.chart = chart
    self.operation = operation
    self.backup = backup
    self.fence = fence
    self.releasedAt = releasedAt
  }

  /// The title of the front page.
  package var title: String { parameters.title.isEmpty ? name : parameters.title }
}

/// What Helm has made of a store's release.
package struct InstalledRelease: Equatable, Sendable {
  /// Counts what Helm made of it, failures included.
  package let revision: Int
  /// The chart's name and version.
  package let chart: String

  package init(revision: Int, chart: String) {
    self.revision = revision
    self.chart = chart
  }
}

/// A copy of a store's data, as the backend sees it.
package struct StoreBackup: Equatable, Sendable {
  /// Names its file, together with the store and the tenant that it is of.
  package let id: String
  package let store: String
  package let tenant: String
  /// Nil until it is made.
  package let contents: BackupContents?

  package init(id: String, store: String, tenant: String, contents: BackupContents? = nil) {
    self.id = id
    self.store = store
    self.tenant = tenant
    self.contents = contents
  }
}

/// What the file of a backup is known by.
package struct BackupContents: Equatable, Sendable {
  package let bytes: Int64
  /// In 64 hexadecimal digits.
  package let sha256: String

  package init(bytes: Int64, sha256: String) {
    self.bytes = bytes
    self.sha256 = sha256
  }
}

/// How far something is that takes its time: pods that start, a namespace that goes away.
package struct BackendProgress: Equatable, Sendable {
  package let isDone: Bool
  /// 0 to 1.
  package let fraction: Double
  /// What is being waited for, for people.
  package let detail: String

  package init(isDone: Bool, fraction: Double, detail: String) {
    self.isDone = isDone
    self.fraction = fraction
    self.detail = detail
  }
}

/// Everything that the engine does outside the database, one call a step.
///
/// What every implementation keeps to (`StoreBackendConformance` asks for it):
/// - **Idempotent.** Each call may come again after it succeeded, failed or was cut off anywhere: the
///   outcome is that of one call.
/// - **Cancellable.** When the calling task is cancelled, the call stops its effects and ends, with any
///   failure, within a second.
/// - **Honest.** What it throws says whether trying again helps and what it means for the circuit
///   breaker; `detail` names what failed and never a secret.
/// - Calls for different stores come at the same time, for one store one after another, all on the
///   reactor that made the backend.
package protocol StoreBackend: AnyObject {
  // MARK: Provisioning

  func ensureNamespace(_ site: StoreSite) async throws(ProvisionFailure)
  /// Has the store's credentials generated if absent, and applies them as its Kubernetes Secret.
  func applyCredentials(_ site: StoreSite) async throws(ProvisionFailure)
  /// Installs the chart or brings the release up to date; does not wait for pods. What is to be
  /// suspended is so with the chart that it runs: throws `.chartOutdated` where that is not to be had.
  @discardableResult
  func installRelease(_ site: StoreSite) async throws(ProvisionFailure) -> InstalledRelease
  /// Where the pods are: at once when that differs from `previous` (nil at first), else when it
  /// changes. Throws what makes waiting pointless.
  func rolloutStatus(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress
  func setUp(_ site: StoreSite) async throws(ProvisionFailure)
  /// Reads back the title and the admin login through the ingress.
  func verify(_ site: StoreSite) async throws(ProvisionFailure)

  // MARK: Changes of a ready store

  /// Brings the release back to what it was at `helmRevision`; does not wait for pods. Throws
  /// `.releaseGone` where there is no record of it.
  @discardableResult
  func rollBackRelease(_ site: StoreSite) async throws(ProvisionFailure) -> InstalledRelease
  /// Sees that the store answers through the ingress. What its title and its logins are is its
  /// tenant's business by now.
  func check(_ site: StoreSite) async throws(ProvisionFailure)

  /// What of the store is not as its release says. It changes nothing.
  func drift(of site: StoreSite) async throws(ProvisionFailure) -> [Drift]

  /// Whether the store's address has its certificate; nil where it asks for none. It changes nothing.
  func certificate(of site: StoreSite) async throws(ProvisionFailure) -> StoreCondition?

  // MARK: Backups

  /// Has the store's data copied to `backup`; how far that is, as `rolloutStatus`.
  func backUp(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress
  /// What the copy holds, once the file is seen to be there as it was written.
  func checkBackup(_ site: StoreSite) async throws(ProvisionFailure) -> BackupContents
  /// Stops what serves and brings the store's data to what `backup` has; how far that is. Where
  /// nothing was changed, what served does so again when this throws.
  func restore(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress
  /// Starts what `restore` has stopped; how far that is.
  func start(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress
  /// Brings the data that `backup` has back in a database of its own, which goes with it, beside the
  /// store that it is of; how far that is. The store is not touched.
  func testBackup(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress
  /// Removes what `backUp`, `restore` and `testBackup` have left in the cluster.
  func removeJob(_ site: StoreSite) async throws(ProvisionFailure)
  /// Removes the file of a backup, if it is there.
  func removeBackup(_ backup: StoreBackup) async throws(ProvisionFailure)

  // MARK: Deletion; what is not there is gone already

  func uninstallRelease(_ site: StoreSite) async throws(ProvisionFailure)
  func deleteNamespace(_ site: StoreSite) async throws(ProvisionFailure)
  /// How far the removal of the namespace is; as `rolloutStatus`.
  func removalStatus(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress
  /// Has the config service forget the store's credentials.
  func forgetCredentials(_ site: StoreSite) async throws(ProvisionFailure)

  // MARK: Stopping

  /// Stops whatever is still being done for the store, by force where need be (a Helm call is killed
  /// with its worker). Returns when nothing acts any more; at once where nothing does.
  ///
  /// - Parameter isLate: somebody else may act already: nothing is left time to end by itself.
  func abandon(_ site: StoreSite, isLate: Bool) async
}

extension StoreSite {
  /// A ready store that is only looked at.
  init(_ store: StoreRecord, _ release: StoreReleaseRecord, _ access: ClusterAccess) {
    self.init(
      store: store.id, tenant: store.tenant, name: store.name, engine: store.engine,
      cluster: store.cluster, clusterAccess: access, namespace: store.namespace, host: store.host,
      parameters: release.parameters, helmRevision: release.helmRevision, chart: release.chart,
      fence: 0)
  }

  init(_ task: OperationTask, _ claim: Claim, releasedAt: Int64?) {
    let store = task.store
    self.init(
      store: store.id, tenant: store.tenant, name: store.name, engine: store.engine,
      cluster: store.cluster, clusterAccess: task.clusterAccess, namespace: store.namespace,
      host: store.host, parameters: task.operation.aim.parameters ?? store.parameters,
      isSuspended: claim.kind == .suspend, helmRevision: task.release?.helmRevision,
      chart: task.release?.chart, operation: "\(claim.operation)", backup: task.backup,
      fence: claim.fence, releasedAt: releasedAt)
  }
}
