import Observability
package import Postgres
import Reactor
import ServiceRuntime

/// The backups that are due, and the tests of them, which the replicas share.
package final class BackupSchedules {
  package enum Work: String, CaseIterable, Sendable {
    case backup
    case backupTest = "backup-test"

    var kind: OperationKind { self == .backup ? .backup : .backupTest }
    fileprivate var dueColumn: String {
      self == .backup ? "backup_due_at" : "backup_test_due_at"
    }
  }

  package struct Due: Equatable, Sendable {
    package let store: String
    package let tenant: String
  }

  package enum Outcome: String, Sendable {
    case begun
    /// The store has as many backups as it may, or none that is to be tested; it is looked at again
    /// after `BackupSchedule.retryWait`.
    case postponed
    /// Work on it has begun, say; it is looked at again after `lookWait`.
    case skipped
  }

  /// Until a store that nothing came of is looked at again.
  package static let lookWait: Duration = .seconds(300)
  /// Of what was begun of a kind: where so many of a tenant wait for a worker, no more of it is begun.
  package static let waitingPerTenantMax = 10

  private let worker: PostgresPool
  private let application: PostgresPool

  /// - Parameters:
  ///   - worker: a pool of the worker role: what is due is of all tenants.
  ///   - application: a pool of the application role: all else is done as the store's tenant.
  package init(worker: PostgresPool, application: PostgresPool) {
    self.worker = worker
    self.application = application
  }

  /// Takes up to `count` stores that are due.
  ///
  /// - Parameters:
  ///   - interval: of stores that have none of their own; zero for never.
  ///   - away: the clusters whose stores wait.
  package func claim(
    _ work: Work, every interval: Duration, _ count: Int, away: [String] = [],
    waitingPerTenantMax: Int = waitingPerTenantMax
  ) async throws(PostgresError) -> [Due] {
    let rows = try await worker.query(
      scope: .worker, "SELECT * FROM claim_due($1, $2, $3, $4, $5, $6)",
      [
        .text(work.rawValue), .text(String(interval.components.seconds)), .text(String(count)),
        .text(String(waitingPerTenantMax)), .textArray(away), .text(Self.lookWait.interval),
      ], deadline: .now() + OperationLedger.exchangeTimeout)
    var due: [Due] = []
    for row in rows {
      due.append(
        Due(
          store: try row.decode("claimed"), tenant: try row.decode("claimed_tenant")))
    }
    return due
  }

  /// How many stores have waited for their backup for longer than `age` after it was due.
  package func overdue(by age: Duration) async throws(PostgresError) -> Int64 {
    try await worker.query(
      scope: .worker, "SELECT overdue_backups($1)", [.text(age.interval)],
      deadline: .now() + OperationLedger.exchangeTimeout)[0].decode(0)
  }

  /// Begins the work as an operation that nobody asked for, and moves on when it is due next.
  package func begin(
    _ work: Work, on due: Due, every interval: Duration
  ) async throws -> Outcome {
    try await application.withTransaction(
      scope: .tenant(due.tenant), deadline: .now() + OperationLedger.exchangeTimeout
    ) { transaction in
      try await transaction.query(
        "SELECT FROM stores WHERE id = $1 FOR NO KEY UPDATE", [.text(due.store)])
      // Asked only now: what had begun before the row was locked is seen.
      let rows = try await transaction.query(
        "SELECT \(StoreRecord.columns) FROM stores WHERE id = $1 AND is_at_rest(stores)",
        [.text(due.store)])
      guard let row = rows.first else { return .skipped }
      let store = try StoreRecord(row)
      let interval = work == .backup ? store.backupSchedule.interval(else: interval) : interval
      guard interval > .zero else { return .skipped }
      guard let aim = try await self.aim(of: work, on: store, in: transaction) else {
        try await self.postpone(work, store, in: transaction)
        return .postponed
      }
      try await self.begin(work, aim, on: store, every: interval, in: transaction)
      return .begun
    }
  }

  private func aim(
    of work: Work, on store: StoreRecord, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> OperationAim? {
    switch work {
    case .backup:
      let count = try await StoreBackups.count(of: store.id, in: transaction)
      return count < StoreBackups.countMax ? OperationAim(backup: .random()) : nil
    case .backupTest:
      return try await StoreBackups.untested(of: store.id, in: transaction).map {
        OperationAim(backup: $0)
      }
    }
  }

  private func begin(
    _ work: Work, _ aim: OperationAim, on store: StoreRecord, every interval: Duration,
    in transaction: PostgresTransaction
  ) async throws {
    var generator = SystemRandomNumberGenerator()
    var request = StoredRequestContext(requestID: RequestID(using: &generator).text)
    request.tenant = store.tenant
    request.store = store.id
    let operation = try await OperationRows.insert(
      work.kind, of: store.id, tenant: store.tenant, for: request, aim, isScheduled: true,
      in: transaction)
    if work == .backup { try await StoreBackups.begin(operation, of: store, in: transaction) }
    try await transaction.query(
      """
      UPDATE stores SET operation = $2, version = version + 1, updated_at = clock_timestamp(),
        \(work.dueColumn) = clock_timestamp() + $3::interval * (0.9 + random() / 5)
      WHERE id = $1
      """, [.text(store.id), .uuid(operation.id), .text(interval.interval)])
    try await OutboxWriter().append(
      StoreEventMessage.began(operation, on: store, .engine(request)), in: transaction)
  }

  private func postpone(
    _ work: Work, _ store: StoreRecord, in transaction: PostgresTransaction
  ) async throws(PostgresError) {
    try await transaction.query(
      "UPDATE stores SET \(work.dueColumn) = clock_timestamp() + $2::interval WHERE id = $1",
      [.text(store.id), .text(BackupSchedule.retryWait.interval)])
  }

  /// Forgets when a store is to be backed up, since somebody has just had that done.
  static func drawAnew(
    _ store: String, in transaction: PostgresTransaction
  ) async throws(PostgresError) {
    try await transaction.query(
      "UPDATE stores SET backup_due_at = NULL WHERE id = $1", [.text(store)])
  }

  /// Has scheduled work that came to nothing done again before its time, where that helps.
  static func again(
    _ kind: OperationKind, on store: String, in transaction: PostgresTransaction
  ) async throws(PostgresError) {
    guard let work = Work.allCases.first(where: { $0.kind == kind }) else { return }
    let column = work.dueColumn
    try await transaction.query(
      """
      UPDATE stores SET \(column) =
        least(\(column), clock_timestamp() + $2::interval * (0.9 + random() / 5))
      WHERE id = $1 AND \(column) IS NOT NULL
      """, [.text(store), .text(BackupSchedule.retryWait.interval)])
  }
}

extension StoreCatalog {
  /// What the platform has begun on a schedule, and no worker is at now, gives way to what somebody asks
  /// for. A worker whose lease has ended writes nothing any more, and what it left in the cluster goes with
  /// the next job there.
  func clearSchedule(
    of store: StoreRecord, in transaction: PostgresTransaction
  ) async throws {
    let rows = try await transaction.query(
      """
      UPDATE operations o SET state = 'cancelled', ended_at = clock_timestamp(), holder = NULL,
        lease_expires_at = NULL, revision = revision + 1, updated_at = clock_timestamp()
      WHERE o.store = $1 AND o.scheduled AND o.state IN ('pending', 'running') AND is_unheld(o)
      RETURNING id
      """, [.text(store.id)])
    guard let row = rows.first else { return }
    let id: PostgresUUID = try row.decode("id")
    try await transaction.query(
      "UPDATE operation_steps SET state = 'skipped' WHERE operation = $1 AND state <> 'succeeded'",
      [.uuid(id)])
    try await StoreBackups.abandon(id, in: transaction)
    guard let operation = try await OperationRows.find(id, in: transaction) else { return }
    try await BackupSchedules.again(operation.kind, on: store.id, in: transaction)
    try await OutboxWriter().append(
      StoreEventMessage.ended(operation, on: store), in: transaction)
  }
}
