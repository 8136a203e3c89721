package import Logging
package import Observability
import Postgres

/// Tells of work that nobody has taken up though it could be: too few workers, limits that are too low,
/// or a fault of ours. Confined to a reactor.
package final class NeglectedOperations {
  package static let interval: Duration = .seconds(60)
  /// How long work waits on a busy platform before somebody should look.
  package static let patience: Duration = .seconds(300)
  /// Named in the log at once.
  static let namedMax = 10

  private let ledger: OperationLedger
  private let patience: Duration
  private let gauge: Gauge
  private let logger: Logger

  package init(
    ledger: OperationLedger, patience: Duration = NeglectedOperations.patience,
    metrics: MetricsRegistry, logger: Logger
  ) {
    self.ledger = ledger
    self.patience = patience
    self.logger = logger
    gauge = metrics.gauge(
      "provisioner_operations_neglected",
      help: "Operations that nobody has taken up for five minutes, of all replicas.")
  }

  package func look() async {
    do {
      let (count, oldest) = try await ledger.neglected(Self.namedMax, for: patience)
      gauge.set(count)
      if count == 0 { return }
      logger.warning(
        """
        operations wait and nobody takes them: add replicas or PROVISIONER_WORKERS, or raise \
        OPERATIONS_PER_TENANT, OPERATIONS_PER_CLUSTER or OPERATIONS_OVERALL
        """,
        metadata: [
          "count": "\(count)",
          "oldest": "\(oldest.map(\.description).joined(separator: " "))",
        ])
    } catch {
      logger.warning("neglected operations not looked for", metadata: ["reason": "\(error)"])
    }
  }
}
