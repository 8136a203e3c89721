import Observability
package import Postgres
import Reactor
import ServiceRuntime

/// The operations as their workers see them: claims, leases, steps, ends.
///
/// Every update names the claim's fencing token and is refused, with `StoreRefusal.leaseLost`, once the
/// lease is over, whether or not somebody else holds the operation by then.
package final class OperationLedger {
  /// The longest for one exchange with the database.
  package static let exchangeTimeout: Duration = .seconds(5)
  /// Operations one call claims or renews.
  package static let claimsMax = 100

  private let worker: PostgresPool
  private let application: PostgresPool

  /// - Parameters:
  ///   - worker: a pool of the worker role: claims cross tenants.
  ///   - application: a pool of the application role: all else is done as the operation's tenant.
  package init(worker: PostgresPool, application: PostgresPool) {
    self.worker = worker
    self.application = application
  }

  // MARK: Leases

  /// Claims up to `count` operations for `lease` from now on, by the database's clock.
  ///
  /// - Parameter scheduled: how many of them may be such as nobody asked for; nil for any.
  package func claim(
    _ count: Int, scheduled: Int? = nil, for holder: String, lease: Duration,
    within limits: OperationLimits = .init()
  ) async throws(PostgresError) -> [Claim] {
    let rows = try await worker.query(
      scope: .worker, "SELECT * FROM claim_operations($1, $2, $3, $4, $5, $6, $7, NULL, $8)",
      [
        .text(holder), .text(String(min(count, OperationLedger.claimsMax))), .text(lease.interval),
        .text(String(limits.perTenant)), .text(String(limits.perCluster)),
        .text(String(limits.overall)), .textArray(OperationKind.allCases.map(\.rawValue)),
        .text(String(min(scheduled ?? count, OperationLedger.claimsMax))),
      ], deadline: .now() + OperationLedger.exchangeTimeout)
    var claims: [Claim] = []
    for row in rows {
      claims.append(
        Claim(
          operation: try row.decode("claimed"), tenant: try row.decode("claimed_tenant"),
          store: try row.decode("claimed_store"), kind: try row.decodeCase("claimed_kind"),
          fence: try row.decode("token"), wasInterrupted: try row.decode("was_interrupted"),
          isScheduled: try row.decode("is_scheduled")))
    }
    return claims
  }

  /// Renews leases, by their fencing tokens; those that are not in the result are lost. True: the work
  /// is to be cancelled.
  package func renew(
    _ claims: [Claim], lease: Duration, timeout: Duration = exchangeTimeout
  ) async throws(PostgresError) -> [Int64: Bool] {
    let rows = try await worker.query(
      scope: .worker, "SELECT * FROM renew_leases($1, $2, $3)",
      [
        .uuidArray(claims.map(\.operation)), .int8Array(claims.map(\.fence)), .text(lease.interval),
      ], deadline: .now() + timeout)
    var renewed: [Int64: Bool] = [:]
    for row in rows { renewed[try row.decode("renewed")] = try row.decode("is_cancelled") }
    return renewed
  }

  /// How long until something can be claimed that cannot be now; nil where nothing waits for a time.
  package func nextClaim() async throws(PostgresError) -> Duration? {
    let rows = try await worker.query(
      scope: .worker,
      "SELECT ceil(extract(epoch FROM next_claim_in()) * 1000)::bigint AS milliseconds",
      deadline: .now() + OperationLedger.exchangeTimeout)
    return try rows[0].decode("milliseconds", as: Int64?.self).map { .milliseconds($0) }
  }

  /// How many operations could have been claimed for longer than `age` and were not, and up to `count` of
  /// them, the oldest first.
  package func neglected(
    _ count: Int, for age: Duration
  ) async throws(PostgresError) -> (count: Int64, oldest: [PostgresUUID]) {
    let rows = try await worker.query(
      scope: .worker, "SELECT * FROM neglected_operations($1, $2)",
      [.text(age.interval), .text(String(count))],
      deadline: .now() + OperationLedger.exchangeTimeout)
    var oldest: [PostgresUUID] = []
    for row in rows { oldest.append(try row.decode("neglected")) }
    return (try rows.first?.decode("of_all") ?? 0, oldest)
  }

  /// Forgets up to `count` operations that ended more than `age` ago; how many there were.
  package func forget(_ count: Int, olderThan age: Duration) async throws(PostgresError) -> Int {
    let rows = try await worker.query(
      scope: .worker, "SELECT forget_operations($1, $2)",
      [.text(age.interval), .text(String(count))],
      deadline: .now() + OperationLedger.exchangeTimeout)
    return try rows[0].decode(0)
  }

  // MARK: Work

  /// Reads what is to be done; a requested store is being provisioned from here on.
  package func begin(_ claim: Claim) async throws -> OperationTask {
    try await withStore(claim) { store, transaction in
      try await self.fence(claim, in: transaction)
      guard let operation = try await OperationRows.find(claim.operation, in: transaction) else {
        throw StoreRefusal.leaseLost
      }
      let cluster = try await ClusterAccess.find(store.cluster, in: transaction)
      let backup = try await StoreBackups.find(operation.aim.backup, in: transaction)?.backup
      guard claim.kind == .provision, store.state == .requested else {
        var release: StoreReleaseRecord?
        if let number = operation.aim.release ?? store.release {
          release = try await StoreReleases.find(number, of: store.id, in: transaction)
        }
        return OperationTask(
          store: store, operation: operation, release: release, clusterAccess: cluster.access,
          isAbandoned: cluster.isAbandoned, backup: backup)
      }
      let started = try await StoreTransitions.apply(
        .start, to: store, origin: .engine(operation.request), in: transaction)
      return OperationTask(
        store: started, operation: operation, release: nil, clusterAccess: cluster.access,
        isAbandoned: cluster.isAbandoned, backup: backup)
    }
  }

  /// Writes down that an attempt is made, before it is.
  package func beginAttempt(_ claim: Claim, _ step: OperationStep) async throws {
    try await update(
      claim, step, to: .running,
      """
      attempts = attempts + 1, started_at = coalesce(started_at, clock_timestamp()),
      next_attempt_at = NULL, detail = ''
      """)
  }

  /// Shows how far a step is. Percents never fall.
  package func report(
    _ claim: Claim, _ step: OperationStep, detail: String, progressPercent: Int
  ) async throws {
    try await update(
      claim, step, to: .running, "detail = $5", [.text(detail)], progressPercent: progressPercent)
  }

  /// - Parameters:
  ///   - installed: what the step has made of the release, where it did.
  ///   - contents: what it has seen of the backup that is made, where it did.
  package func complete(
    _ claim: Claim, _ step: OperationStep, installed: InstalledRelease? = nil,
    contents: BackupContents? = nil, progressPercent: Int
  ) async throws {
    try await update(
      claim, step, to: .succeeded,
      """
      ended_at = clock_timestamp(), error_code = NULL, error_message = NULL, error_retryable = NULL,
      error_user_fault = NULL
      """, installed: installed, contents: contents, progressPercent: progressPercent)
  }

  /// Leaves out a step that is not needed any more.
  package func skip(_ claim: Claim, _ step: OperationStep, detail: String) async throws {
    try await update(
      claim, step, to: .skipped, "detail = $5, next_attempt_at = NULL", [.text(detail)])
  }

  /// Gives the operation back until the step's next attempt is due, by whoever is free then.
  ///
  /// - Parameter problem: why the last attempt failed; nil where none could be made.
  package func park(
    _ claim: Claim, _ step: OperationStep, for wait: Duration, detail: String,
    problem: StoreProblem?
  ) async throws {
    let changes =
      problem == nil
      ? "detail = $5, next_attempt_at = clock_timestamp() + $6::interval"
      : """
      detail = $5, next_attempt_at = clock_timestamp() + $6::interval, failures = failures + 1,
      error_code = $7, error_message = $8, error_retryable = $9, error_user_fault = $10
      """
    let parameters: [PostgresParameter] = [.text(detail), .text(wait.interval)]
    try await inTransaction(claim) { transaction in
      try await self.fence(
        claim, "available_at = clock_timestamp() + $3::interval, \(Self.unheld)",
        [.text(wait.interval)], in: transaction)
      try await self.change(
        claim, step, to: .waiting, changes,
        parameters + (problem == nil ? [] : problem.parameters), in: transaction)
    }
  }

  /// Gives the operation back, for the next holder to go on after `wait`.
  package func release(_ claim: Claim, after wait: Duration = .zero) async throws {
    try await inTransaction(claim) { transaction in
      try await self.fence(
        claim, "available_at = clock_timestamp() + $3::interval, \(Self.unheld)",
        [.text(wait.interval)], in: transaction)
    }
  }

  /// Ends the operation and moves the store with it. What follows begins in the same transaction: the
  /// deletion that was asked for meanwhile, or else the way back from a change that did not succeed.
  ///
  /// - Parameter step: the step that failed.
  package func finish(
    _ claim: Claim, _ outcome: OperationOutcome, at step: OperationStep? = nil,
    certificate: StoreCondition? = nil
  ) async throws {
    try await withStore(claim) { store, transaction in
      try await self.fence(
        claim,
        """
        state = $3, error_code = $4, error_message = $5, error_retryable = $6,
        error_user_fault = $7, ended_at = clock_timestamp(), \(Self.unheld),
        progress_percent = CASE WHEN $3 = 'succeeded' THEN 100 ELSE progress_percent END
        """, [.text(outcome.state.rawValue)] + outcome.failure.parameters, in: transaction)
      if let step, let problem = outcome.failure {
        try await self.change(
          claim, step, to: .failed,
          """
          ended_at = clock_timestamp(), failures = least(failures + 1, attempts), error_code = $5,
          error_message = $6, error_retryable = $7, error_user_fault = $8
          """, (problem as StoreProblem?).parameters, in: transaction)
      }
      try await self.skipTheRest(claim, in: transaction)
      try await StoreBackups.abandon(claim.operation, in: transaction)
      if claim.kind == .backupTest {
        try await StoreBackups.tested(by: claim.operation, outcome, in: transaction)
      }
      guard let operation = try await OperationRows.find(claim.operation, in: transaction) else {
        throw StoreRefusal.leaseLost
      }
      try await self.move(store, outcome, operation, certificate, in: transaction)
    }
  }

  private func move(
    _ store: StoreRecord, _ outcome: OperationOutcome, _ operation: OperationRecord,
    _ certificate: StoreCondition?, in transaction: PostgresTransaction
  ) async throws {
    if operation.kind == .delete {
      let event: StoreEvent = outcome == .succeeded ? .vanish : .fail
      try await StoreTransitions.apply(
        event, to: store, problem: outcome.failure, origin: .engine(operation.request),
        in: transaction)
      return
    }
    let deletion = try await pendingDeletion(of: store, in: transaction)
    if outcome == .succeeded {
      try await StoreOutcomes.succeeded(operation, on: store, certificate, in: transaction)
    }
    var moved = store
    if operation.kind == .provision {
      moved = try await provisioned(store, outcome, operation, in: transaction)
    } else {
      try await OutboxWriter().append(
        StoreEventMessage.ended(operation, on: store), in: transaction)
      try await StoreOutcomes.unsuccessful(
        operation, outcome, on: store, isToBeDeleted: deletion != nil, in: transaction)
    }
    if let deletion {
      try await StoreTransitions.apply(
        .delete, to: moved, operation: deletion.id, origin: .principal(of: deletion.request),
        in: transaction)
    }
  }

  private func provisioned(
    _ store: StoreRecord, _ outcome: OperationOutcome, _ operation: OperationRecord,
    in transaction: PostgresTransaction
  ) async throws -> StoreRecord {
    let event: StoreEvent
    var problem: StoreProblem?
    switch outcome {
    case .succeeded: event = .succeed
    case .failed(let reason): (event, problem) = (.fail, reason)
    case .cancelled(let reason): (event, problem) = (.cancel, reason)
    }
    return try await StoreTransitions.apply(
      event, to: store, problem: problem, origin: .engine(operation.request), in: transaction)
  }

  /// A deletion that was asked for while other work on the store went on.
  private func pendingDeletion(
    of store: StoreRecord, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> OperationRecord? {
    let rows = try await transaction.query(
      "SELECT id FROM operations WHERE store = $1 AND kind = 'delete' AND state = 'pending'",
      [.text(store.id)])
    guard let row = rows.first else { return nil }
    return try await OperationRows.find(row.decode("id"), in: transaction)
  }

  private func skipTheRest(
    _ claim: Claim, in transaction: PostgresTransaction
  ) async throws(PostgresError) {
    try await transaction.query(
      """
      UPDATE operation_steps SET state = 'skipped', next_attempt_at = NULL
      WHERE operation = $1 AND state IN ('pending', 'running', 'waiting')
      """, [.uuid(claim.operation)])
  }

  // MARK: Fenced updates

  private static let unheld = "holder = NULL, lease_expires_at = NULL"

  /// A step's update, which is one of its operation too.
  private func update(
    _ claim: Claim, _ step: OperationStep, to state: StepState, _ changes: String,
    _ parameters: [PostgresParameter] = [], installed: InstalledRelease? = nil,
    contents: BackupContents? = nil, progressPercent: Int = 0
  ) async throws {
    try await inTransaction(claim) { transaction in
      try await self.fence(
        claim,
        """
        progress_percent = greatest(progress_percent, $3), chart = coalesce($4, chart),
        helm_revision = coalesce($5, helm_revision)
        """,
        [
          .text(String(progressPercent)), .text(installed?.chart),
          .int8(installed.map { Int64($0.revision) }),
        ], in: transaction)
      try await self.change(claim, step, to: state, changes, parameters, in: transaction)
      if let contents {
        try await StoreBackups.complete(claim.operation, contents, in: transaction)
      }
    }
  }

  /// Locks the operation's row and changes it, if the claim still holds; nobody else can claim it or
  /// change it before the transaction ends. `$3` and so on are in `parameters`.
  private func fence(
    _ claim: Claim, _ changes: String? = nil, _ parameters: [PostgresParameter] = [],
    in transaction: PostgresTransaction
  ) async throws {
    let result = try await transaction.query(
      """
      UPDATE operations SET revision = revision + 1, updated_at = clock_timestamp()
        \(changes.map { ", " + $0 } ?? "")
      WHERE id = $1 AND fence = $2 AND state = 'running' AND lease_expires_at > clock_timestamp()
      """, [.uuid(claim.operation), .int8(claim.fence)] + parameters)
    guard result.affectedRows == 1 else { throw StoreRefusal.leaseLost }
  }

  /// Changes a step, under the lock that `fence` took. `$5` and so on are in `parameters`.
  private func change(
    _ claim: Claim, _ step: OperationStep, to state: StepState, _ changes: String,
    _ parameters: [PostgresParameter], in transaction: PostgresTransaction
  ) async throws {
    let result = try await transaction.query(
      """
      UPDATE operation_steps SET state = $3, \(changes)
      WHERE operation = $1 AND name = $2 AND state = ANY ($4::text[])
      """,
      [
        .uuid(claim.operation), .text(step.rawValue), .text(state.rawValue),
        .textArray(StepState.sources(of: state).map(\.rawValue)),
      ] + parameters)
    guard result.affectedRows == 1 else { throw StoreRefusal.stale }
  }

  private func inTransaction<R>(
    _ claim: Claim, _ body: (PostgresTransaction) async throws -> R
  ) async throws -> R {
    try await application.withTransaction(
      scope: .tenant(claim.tenant), deadline: .now() + OperationLedger.exchangeTimeout, body)
  }

  /// As `inTransaction`, with the store, whose row is locked before the operation's: as the handlers
  /// do it, so that no two wait for each other.
  private func withStore<R>(
    _ claim: Claim, _ body: (StoreRecord, PostgresTransaction) async throws -> R
  ) async throws -> R {
    try await inTransaction(claim) { transaction in
      let rows = try await transaction.query(
        "SELECT \(StoreRecord.columns) FROM stores WHERE id = $1 FOR NO KEY UPDATE",
        [.text(claim.store)])
      guard let row = rows.first else { throw StoreRefusal.notFound }
      return try await body(StoreRecord(row), transaction)
    }
  }
}

extension Duration {
  /// As PostgreSQL reads an interval.
  var interval: String { "\(nanosecondsSaturating / 1_000) microseconds" }
}
