package import Contracts
package import ProvisionerService
import Reactor

/// A cluster that is connected to: one connection, one set of watches, for all its stores.
package struct OpenCluster {
  package let backend: any StoreBackend
  /// Ends the connection. Nothing may be under way any more.
  package let close: () async -> Void

  package init(_ backend: any StoreBackend, close: @escaping () async -> Void) {
    self.backend = backend
    self.close = close
  }
}

/// The backend of all clusters: hands each call to the backend of the store's cluster, which it connects
/// to with the first call, and anew when it is to be reached in another way. Confined to its reactor.
package final class ClusterBackends: StoreBackend {
  /// Clusters that are connected to at once; the one that was used least recently makes room.
  package static let openMax = 32

  package typealias Connect = (
    _ cluster: String, _ access: ClusterAccess
  ) async throws(ProvisionFailure) -> OpenCluster

  private final class Entry {
    let cluster: String
    let access: ClusterAccess
    let open: OpenCluster
    var users = 0
    var lastUse = Instant.now()
    /// Another one is in its place: it goes with its last user.
    var isRetired = false

    init(_ cluster: String, _ access: ClusterAccess, _ open: OpenCluster) {
      self.cluster = cluster
      self.access = access
      self.open = open
    }
  }

  private let connect: Connect
  private let config: ConfigV1.SecretServiceClient?
  private let objects: ObjectStore?
  private let openMax: Int
  private var entries: [Entry] = []
  private var isClosed = false

  /// - Parameters:
  ///   - config: has the credentials of all clusters' stores, which go without a cluster; nil: each
  ///     cluster's backend sees to it.
  ///   - objects: has the backups of all clusters' stores.
  package init(
    openMax: Int = ClusterBackends.openMax, config: ConfigV1.SecretServiceClient? = nil,
    objects: ObjectStore? = nil, connect: @escaping Connect
  ) {
    self.openMax = openMax
    self.config = config
    self.objects = objects
    self.connect = connect
  }

  /// Clusters that are connected to.
  package var openCount: Int { entries.count }

  /// Ends all connections. Nothing may be under way any more.
  package func close() async {
    isClosed = true
    let entries = self.entries
    self.entries = []
    for entry in entries { await entry.open.close() }
  }

  /// Ends the connections to other clusters than these; what is under way there goes on to its end.
  package func retain(_ clusters: Set<String>) async {
    for entry in entries where !entry.isRetired && !clusters.contains(entry.cluster) {
      await retire(entry)
    }
  }

  // MARK: StoreBackend

  package func ensureNamespace(_ site: StoreSite) async throws(ProvisionFailure) {
    try await on(site) { backend throws(ProvisionFailure) in
      try await backend.ensureNamespace(site)
    }
  }

  package func applyCredentials(_ site: StoreSite) async throws(ProvisionFailure) {
    try await on(site) { backend throws(ProvisionFailure) in
      try await backend.applyCredentials(site)
    }
  }

  @discardableResult
  package func installRelease(
    _ site: StoreSite
  ) async throws(ProvisionFailure) -> InstalledRelease {
    try await on(site) { backend throws(ProvisionFailure) in
      try await backend.installRelease(site)
    }
  }

  package func rolloutStatus(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await on(site) { backend throws(ProvisionFailure) in
      try await backend.rolloutStatus(of: site, after: previous)
    }
  }

  package func setUp(_ site: StoreSite) async throws(ProvisionFailure) {
    try await on(site) { backend throws(ProvisionFailure) in try await backend.setUp(site) }
  }

  package func verify(_ site: StoreSite) async throws(ProvisionFailure) {
    try await on(site) { backend throws(ProvisionFailure) in try await backend.verify(site) }
  }

  @discardableResult
  package func rollBackRelease(
    _ site: StoreSite
  ) async throws(ProvisionFailure) -> InstalledRelease {
    try await on(site) { backend throws(ProvisionFailure) in
      try await backend.rollBackRelease(site)
    }
  }

  package func check(_ site: StoreSite) async throws(ProvisionFailure) {
    try await on(site) { backend throws(ProvisionFailure) in try await backend.check(site) }
  }

  package func drift(of site: StoreSite) async throws(ProvisionFailure) -> [Drift] {
    try await on(site) { backend throws(ProvisionFailure) in try await backend.drift(of: site) }
  }

  package func certificate(
    of site: StoreSite
  ) async throws(ProvisionFailure) -> StoreCondition? {
    try await on(site) { backend throws(ProvisionFailure) in
      try await backend.certificate(of: site)
    }
  }

  package func backUp(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await on(site) { backend throws(ProvisionFailure) in
      try await backend.backUp(site, after: previous)
    }
  }

  package func checkBackup(_ site: StoreSite) async throws(ProvisionFailure) -> BackupContents {
    try await on(site) { backend throws(ProvisionFailure) in try await backend.checkBackup(site) }
  }

  package func restore(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await on(site) { backend throws(ProvisionFailure) in
      try await backend.restore(site, after: previous)
    }
  }

  package func testBackup(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await on(site) { backend throws(ProvisionFailure) in
      try await backend.testBackup(site, after: previous)
    }
  }

  package func start(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await on(site) { backend throws(ProvisionFailure) in
      try await backend.start(site, after: previous)
    }
  }

  package func removeJob(_ site: StoreSite) async throws(ProvisionFailure) {
    try await on(site) { backend throws(ProvisionFailure) in try await backend.removeJob(site) }
  }

  package func removeBackup(_ backup: StoreBackup) async throws(ProvisionFailure) {
    guard let objects else { throw ProvisionFailure.noObjectStore }
    try await objects.remove(backup)
  }

  package func uninstallRelease(_ site: StoreSite) async throws(ProvisionFailure) {
    try await on(site) { backend throws(ProvisionFailure) in
      try await backend.uninstallRelease(site)
    }
  }

  package func deleteNamespace(_ site: StoreSite) async throws(ProvisionFailure) {
    try await on(site) { backend throws(ProvisionFailure) in
      try await backend.deleteNamespace(site)
    }
  }

  package func removalStatus(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await on(site) { backend throws(ProvisionFailure) in
      try await backend.removalStatus(of: site, after: previous)
    }
  }

  package func forgetCredentials(_ site: StoreSite) async throws(ProvisionFailure) {
    if let config { return try await StoreCredentials.forget(site, config) }
    try await on(site) { backend throws(ProvisionFailure) in
      try await backend.forgetCredentials(site)
    }
  }

  /// Of a cluster that is not connected to, nothing acts.
  package func abandon(_ site: StoreSite, isLate: Bool) async {
    for entry in entries where entry.cluster == site.cluster {
      entry.users += 1
      await entry.open.backend.abandon(site, isLate: isLate)
      await leave(entry)
    }
  }

  // MARK: Connections

  private func on<R>(
    _ site: StoreSite,
    _ body: (any StoreBackend) async throws(ProvisionFailure) -> R
  ) async throws(ProvisionFailure) -> R {
    let entry = try await enter(site.cluster, site.clusterAccess)
    do throws(ProvisionFailure) {
      let result = try await body(entry.open.backend)
      await leave(entry)
      return result
    } catch {
      await leave(entry)
      throw error
    }
  }

  /// The connection to use, counted as used.
  private func enter(
    _ cluster: String, _ access: ClusterAccess
  ) async throws(ProvisionFailure) -> Entry {
    if let entry = current(cluster), entry.access.serves(access) { return used(entry) }
    let open = try await connect(cluster, access)
    // Somebody else may have connected meanwhile.
    if let entry = current(cluster), entry.access.serves(access) {
      _ = used(entry)
      await open.close()
      return entry
    }
    let entry = used(Entry(cluster, access, open))
    if isClosed {
      await open.close()
      throw ProvisionFailure(.interrupted)
    }
    let former = current(cluster)
    entries.append(entry)
    if let former { await retire(former) }
    do throws(ProvisionFailure) {
      try await makeRoom()
    } catch {
      await leave(entry)
      await retire(entry)
      throw error
    }
    return entry
  }

  private func current(_ cluster: String) -> Entry? {
    entries.first { $0.cluster == cluster && !$0.isRetired }
  }

  private func used(_ entry: Entry) -> Entry {
    entry.users += 1
    return entry
  }

  private func leave(_ entry: Entry) async {
    entry.users -= 1
    entry.lastUse = .now()
    if entry.isRetired { await closeIfUnused(entry) }
  }

  private func retire(_ entry: Entry) async {
    entry.isRetired = true
    await closeIfUnused(entry)
  }

  private func closeIfUnused(_ entry: Entry) async {
    guard entry.users == 0, let index = entries.firstIndex(where: { $0 === entry }) else { return }
    entries.remove(at: index)
    await entry.open.close()
  }

  private func makeRoom() async throws(ProvisionFailure) {
    guard entries.count > openMax else { return }
    let unused = entries.filter { $0.users == 0 }
    guard let oldest = unused.min(by: { $0.lastUse < $1.lastUse }) else {
      throw ProvisionFailure(
        .clusterThrottled,
        "\(openMax) other clusters are worked on by this process (ClusterBackends.openMax)")
    }
    await retire(oldest)
  }
}
