import Logging
import Observability
import Postgres
import Reactor

/// What is measured of the clusters; the same in every replica. Confined to a reactor.
final class ClusterMetrics {
  static let interval: Duration = .seconds(60)
  private static let timeout: Duration = .seconds(5)

  private let catalog: ClusterCatalog
  private let stores: Family<Gauge>
  private let storesMax: Family<Gauge>
  private let schedule: Family<Gauge>
  private let ready: Family<Gauge>
  private let logger: Logger
  private var known: Set<String> = []
  /// Called with the names of the clusters that there are, and of those of them that were not found to be
  /// another one than before.
  var onList: (_ all: Set<String>, _ same: Set<String>) async -> Void = { _, _ in }

  init(catalog: ClusterCatalog, metrics: MetricsRegistry, logger: Logger) {
    self.catalog = catalog
    self.logger = logger
    stores = metrics.gauges(
      "provisioner_cluster_stores", help: "Stores on a cluster that are not deleted.",
      labels: ["cluster"])
    storesMax = metrics.gauges(
      "provisioner_cluster_stores_max",
      help: "The most stores to place on a cluster; 0 where there is no limit.",
      labels: ["cluster"])
    schedule = metrics.gauges(
      "provisioner_cluster_schedule", help: "0 open, 1 cordoned, 2 draining.",
      labels: ["cluster"])
    ready = metrics.gauges(
      "provisioner_cluster_ready", help: "Whether the last checks let stores be placed there.",
      labels: ["cluster"])
  }

  func refresh() async {
    do {
      let clusters = try await catalog.list(deadline: .now() + Self.timeout)
      for cluster in clusters { show(cluster) }
      let names = Set(clusters.map(\.name))
      for name in known.subtracting(names) {
        for family in [stores, storesMax, schedule, ready] { family.remove([name]) }
      }
      known = names
      await onList(names, Set(clusters.filter { !$0.isAnother }.map(\.name)))
    } catch {
      logger.warning("clusters not measured", metadata: ["reason": "\(error)"])
    }
  }

  private func show(_ cluster: ClusterRecord) {
    stores.with(cluster.name).set(Int64(cluster.stores))
    storesMax.with(cluster.name).set(Int64(cluster.storesMax ?? 0))
    let value: Int64 =
      switch cluster.schedule {
      case .open: 0
      case .cordoned: 1
      case .draining: 2
      }
    schedule.with(cluster.name).set(value)
    ready.with(cluster.name).set(cluster.isReady ? 1 : 0)
  }
}
