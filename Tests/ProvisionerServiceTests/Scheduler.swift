import Observability
import Postgres
import ProvisionerTestKit
import Reactor
import Resilience
import TestKit

@testable import ProvisionerService

/// What looks for due backups, as a replica does.
final class Scheduler {
  let schedules: BackupSchedules
  let breakers: DependencyBreakers
  private let metrics = MetricsRegistry()

  init(_ desk: Desk, breaker: CircuitBreaker.Settings = .init()) {
    schedules = BackupSchedules(worker: desk.worker, application: desk.application)
    breakers = DependencyBreakers(
      settings: breaker, clock: SystemTimeSource(), logger: quiet, metrics: EngineMetrics(metrics))
  }

  func run(backup: Duration = .seconds(86_400), backupTest: Duration = .zero) async {
    await BackupScheduling(
      schedules, breakers: breakers, every: .init(backup: backup, backupTest: backupTest),
      testsAfter: .zero, logger: quiet, metrics: metrics
    ).run()
  }

  func counted(_ kind: String, _ outcome: String) -> Bool {
    String(decoding: metrics.exposition(), as: UTF8.self)
      .contains("provisioner_due_backups_total{kind=\"\(kind)\",outcome=\"\(outcome)\"}")
  }
}

extension Desk {
  func execute(_ sql: String) async throws {
    try await owner.query(scope: .none, sql, deadline: .soon)
  }

  /// Has all stores due that have a time.
  func makeDue() async throws {
    for column in ["backup_due_at", "backup_test_due_at"] {
      try await execute(
        "UPDATE stores SET \(column) = now() - interval '1 s' WHERE \(column) IS NOT NULL")
    }
  }

  /// Seconds until a store is backed up, or has a backup tested; nil where it is not.
  func dueIn(_ store: String, _ column: String = "backup_due_at") async throws -> Double? {
    let rows = try await owner.query(
      scope: .none,
      """
      SELECT (extract(epoch FROM \(column) - clock_timestamp()) * 1000)::bigint FROM stores
      WHERE name = $1
      """, [.text(store)], deadline: .soon)
    return try rows[0].decode(0, as: Int64?.self).map { Double($0) / 1_000 }
  }

  @discardableResult
  func update(_ store: String, _ care: StoreCare) async throws -> StoreRecord {
    try await catalog.update(
      StoreReference(store), care, version: nil, tenant: Desk.tenant, origin: Desk.origin(),
      deadline: .soon)
  }
}

extension Double {
  func isBetween(_ low: Double, _ high: Double) -> Bool { self >= low && self <= high }
}

/// With ready stores, and nobody who works on them any more.
func withoutEngine(
  _ stores: [String] = ["demo"], _ body: @Sendable (Desk, TestDatabase) async throws -> Void
) async throws {
  try await atDesk { desk, database in
    let engine = try await Engine.start(database, FakeCluster())
    for store in stores { try await desk.ready(store) }
    await engine.stop()
    try await body(desk, database)
  }
}
