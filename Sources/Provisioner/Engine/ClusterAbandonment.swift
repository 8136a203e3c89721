package import Logging
import Postgres
package import Reactor

/// Has the stores of clusters that were given up deleted, and forgets such a cluster when none is left.
/// Replicas do so side by side; each goes on from what is written. Confined to its reactor.
package final class ClusterAbandonment {
  package static let interval: Duration = .seconds(60)
  /// Between two looks while there is something to wait for.
  private static let followUp: Duration = .seconds(5)
  /// Stores whose deletion is asked for after one question.
  static let batch = 100
  private static let timeout: Duration = .seconds(5)

  private let clusters: ClusterCatalog
  private let stores: StoreCatalog
  private let secrets: any ClusterSecrets
  private let reactor: Reactor
  private let logger: Logger
  private var isRunning = false
  private var isStopped = false
  private var timer: LoopTimer?

  package init(
    clusters: ClusterCatalog, stores: StoreCatalog, secrets: any ClusterSecrets,
    on reactor: Reactor, logger: Logger
  ) {
    self.clusters = clusters
    self.stores = stores
    self.secrets = secrets
    self.reactor = reactor
    self.logger = logger
  }

  package func runSoon(after wait: Duration = .zero) {
    if isStopped { return }
    if let timer { reactor.loop.cancel(timer) }
    timer = reactor.loop.schedule(after: wait) {
      self.timer = nil
      self.reactor.loop.spawn(on: self.reactor) { await self.run() }
    }
  }

  package func stop() {
    isStopped = true
    if let timer { reactor.loop.cancel(timer) }
    timer = nil
  }

  package func run() async {
    if isRunning { return }
    isRunning = true
    defer { isRunning = false }
    do {
      let abandoned = try await clusters.list(deadline: .now() + Self.timeout)
        .filter { $0.abandonment != nil }
      if abandoned.isEmpty { return }
      // Whatever fails, the rest goes on, and all is looked at again soon.
      runSoon(after: Self.followUp)
      for cluster in abandoned where cluster.stores == 0 { await end(cluster) }
      try await deleteStores(of: abandoned)
    } catch {
      logger.warning("clusters that were given up not seen to", metadata: ["reason": "\(error)"])
    }
  }

  private func deleteStores(of clusters: [ClusterRecord]) async throws {
    var last = ""
    while true {
      let found = try await self.clusters.abandonedStores(
        after: last, count: Self.batch, deadline: .now() + Self.timeout)
      for store in found {
        last = store.id
        guard let cluster = clusters.first(where: { $0.name == store.cluster }),
          let abandonment = cluster.abandonment
        else { continue }
        do {
          _ = try await stores.delete(
            .id(store.id), version: nil, tenant: store.tenant,
            origin: .principal(of: abandonment.request), deadline: .now() + Self.timeout)
        } catch {
          // Somebody else was faster, say; what is left is found again.
          logger.log(
            level: error is StoreRefusal ? .info : .warning,
            "a store of a cluster that was given up is not deleted yet",
            metadata: ["store": "\(store.id)", "reason": "\(error)"])
        }
      }
      if found.count < Self.batch { return }
    }
  }

  private func end(_ cluster: ClusterRecord) async {
    do {
      let gone = try await clusters.endAbandonment(of: cluster, deadline: .now() + Self.timeout)
      guard let gone else { return }
      logger.notice(
        "a cluster that was given up is forgotten", metadata: ["cluster": "\(gone.name)"])
      if let secret = gone.access.secret {
        try await secrets.forget(secret, timeout: Self.timeout)
      }
    } catch {
      logger.warning(
        "a cluster that was given up is not forgotten yet",
        metadata: ["cluster": "\(cluster.name)", "reason": "\(error)"])
    }
  }
}
