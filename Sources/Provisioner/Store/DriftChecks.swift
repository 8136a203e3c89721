import Contracts
import Observability
package import Postgres
import Reactor
import ServiceRuntime

/// The looks at ready stores, which the replicas share.
package final class DriftChecks {
  /// Until a store is looked at again after a look that came to nothing, for an outage say: longer than
  /// any look. After a correction, too, which is to be seen to have helped.
  package static let repeatWait: Duration = .seconds(120)
  /// The longest until a store is looked at again that waits for its certificate.
  package static let certificateWait: Duration = .seconds(300)

  private let worker: PostgresPool
  private let application: PostgresPool

  /// - Parameters:
  ///   - worker: a pool of the worker role: what is due is of all tenants.
  ///   - application: a pool of the application role: all else is done as the store's tenant.
  package init(worker: PostgresPool, application: PostgresPool) {
    self.worker = worker
    self.application = application
  }

  package struct Due: Equatable, Sendable {
    package let store: String
    package let tenant: String
  }

  /// Takes up to `count` stores that are due.
  package func claim(_ count: Int) async throws(PostgresError) -> [Due] {
    let rows = try await worker.query(
      scope: .worker, "SELECT * FROM claim_drift_checks($1, $2)",
      [.text(String(count)), .text(Self.repeatWait.interval)],
      deadline: .now() + OperationLedger.exchangeTimeout)
    var due: [Due] = []
    for row in rows {
      due.append(
        Due(store: try row.decode("claimed"), tenant: try row.decode("claimed_tenant")))
    }
    return due
  }

  /// A store that is due and what it is to run; nil where it is not to be looked at by now.
  package func subject(
    _ due: Due
  ) async throws -> (store: StoreRecord, release: StoreReleaseRecord, access: ClusterAccess)? {
    try await withStore(due) { store, transaction in
      guard try await self.isAtRest(store, in: transaction), let number = store.release,
        let release = try await StoreReleases.find(number, of: store.id, in: transaction)
      else { return nil }
      let (access, isAbandoned) = try await ClusterAccess.find(store.cluster, in: transaction)
      return isAbandoned ? nil : (store, release, access)
    }
  }

  /// Writes down what was found, and has it corrected where that is to be.
  ///
  /// - Parameters:
  ///   - looked: the store as it was looked at.
  ///   - certificate: whether it has its certificate; nil where it asks for none.
  ///   - interval: until the next look, about: it is drawn from half of it around, so that stores made
  ///     at once are not looked at together for ever.
  /// - Returns: nil where work on the store has begun meanwhile, and nothing is known of it any more.
  package func settle(
    _ looked: StoreRecord, _ drift: [Drift], certificate: StoreCondition?,
    every interval: Duration
  ) async throws -> DriftDecision? {
    try await withStore(Due(store: looked.id, tenant: looked.tenant)) { store, transaction in
      guard store.operation == looked.operation,
        try await self.isAtRest(store, in: transaction)
      else { return nil }
      // While the last work on the store is to be seen to, nothing more is done by itself.
      let policy = store.isReleased ? store.driftPolicy : .report
      let decision = DriftDecision.decide(drift, policy, corrections: store.driftCorrections)
      let condition = decision.condition(drift)
      let before = store.condition(.drifted)
      let certificate =
        certificate
        ?? store.condition(.certificateReady).map { _ in
          StoreCondition(.certificateReady, true, "NotAskedFor")
        }
      let hasChanged = certificate != store.condition(.certificateReady)
      if condition != before || hasChanged || decision == .correct {
        try await self.write(
          [condition] + [certificate].compactMap { $0 }, decision, before, on: store,
          in: transaction)
      }
      if decision != .correct {
        let isPending = certificate?.isFalse == true
        let interval = isPending ? min(interval, Self.certificateWait) : interval
        try await transaction.query(
          """
          UPDATE stores SET drift_check_at = clock_timestamp() + $2::interval * (0.75 + random() / 2)
          WHERE id = $1
          """, [.text(store.id), .text(interval.interval)])
      }
      return decision
    }
  }

  /// - Parameters:
  ///   - conditions: that of drift before others.
  ///   - before: that of drift as it was.
  private func write(
    _ conditions: [StoreCondition], _ decision: DriftDecision, _ before: StoreCondition?,
    on store: StoreRecord, in transaction: PostgresTransaction
  ) async throws {
    let condition = conditions[0]
    var generator = SystemRandomNumberGenerator()
    var request = StoredRequestContext(requestID: RequestID(using: &generator).text)
    request.tenant = store.tenant
    request.store = store.id
    var operation = store.operation
    if decision == .correct {
      let correction = try await OperationRows.insert(
        .rollback, of: store.id, tenant: store.tenant, for: request,
        OperationAim(release: store.release), in: transaction)
      operation = correction.id
      try await OutboxWriter().append(
        StoreEventMessage.began(correction, on: store, .engine(request)), in: transaction)
    }
    let time = try await transaction.query("SELECT clock_timestamp()")[0].decode(
      0, as: PostgresTimestamp.self)
    try await transaction.query(
      """
      UPDATE stores SET version = version + 1, updated_at = $2, operation = $3, conditions = $4,
        drift_corrections = coalesce($5, drift_corrections),
        drift_corrected_at = CASE WHEN $5 IS NULL THEN drift_corrected_at ELSE $2 END
      WHERE id = $1
      """,
      [
        .text(store.id), .timestamp(time), .uuid(operation),
        .jsonb(store.conditions.applying(conditions, at: time).stored),
        .int8(decision == .correct ? Int64(store.driftCorrections + 1) : nil),
      ])
    // That a store is as it should be is no news unless it was not.
    let isNews = condition != before || decision == .correct
    if isNews, condition.isTrue || before?.isTrue == true {
      try await OutboxWriter().append(
        StoreEventMessage.drift(condition, on: store, operation, .engine(request)), in: transaction)
    }
  }

  /// Whether it is a running store that nobody works on.
  private func isAtRest(
    _ store: StoreRecord, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> Bool {
    guard store.state == .ready, !store.isSuspended else { return false }
    let rows = try await transaction.query(
      "SELECT FROM operations WHERE store = $1 AND state IN ('pending', 'running')",
      [.text(store.id)])
    return rows.isEmpty
  }

  private func withStore<R>(
    _ due: Due, _ body: (StoreRecord, PostgresTransaction) async throws -> R?
  ) async throws -> R? {
    try await application.withTransaction(
      scope: .tenant(due.tenant), deadline: .now() + OperationLedger.exchangeTimeout
    ) { transaction in
      let rows = try await transaction.query(
        "SELECT \(StoreRecord.columns) FROM stores WHERE id = $1 FOR NO KEY UPDATE",
        [.text(due.store)])
      guard let row = rows.first else { return nil }
      return try await body(StoreRecord(row), transaction)
    }
  }
}
