package import Postgres
package import Reactor
import ServiceRuntime

/// A row of `backups`.
package struct BackupRecord: Equatable, Sendable {
  package enum State: String, CaseIterable, Sendable { case creating, available, deleting }

  package let id: PostgresUUID
  package let tenant: String
  package let store: String
  package let storeName: String
  package let engine: StoreEngine
  /// The chart that the store ran; nil where that was not known.
  package let chart: String?
  package let operation: PostgresUUID
  package let state: State
  /// Nil until it is made.
  package let contents: BackupContents?
  package let createdAt: PostgresTimestamp
  package let endedAt: PostgresTimestamp?
  /// When it was last seen whether a store can be brought to it, and why not; nil where it can.
  package let testedAt: PostgresTimestamp?
  package let testProblem: StoreProblem?

  static let columns = """
    id, tenant, store, store_name, engine, chart, operation, state, bytes, sha256, created_at,
    ended_at, tested_at, error_code, error_message, error_retryable, error_user_fault
    """

  init(_ row: PostgresRow) throws(PostgresError) {
    id = try row.decode("id")
    tenant = try row.decode("tenant")
    store = try row.decode("store")
    storeName = try row.decode("store_name")
    engine = try row.decodeCase("engine")
    chart = try row.decode("chart")
    operation = try row.decode("operation")
    state = try row.decodeCase("state")
    let bytes: Int64? = try row.decode("bytes")
    let sha256: String? = try row.decode("sha256")
    contents = bytes.flatMap { bytes in sha256.map { BackupContents(bytes: bytes, sha256: $0) } }
    createdAt = try row.decode("created_at")
    endedAt = try row.decode("ended_at")
    testedAt = try row.decode("tested_at")
    testProblem = try StoreProblem(row)
  }

  var backup: StoreBackup {
    StoreBackup(id: id.description, store: store, tenant: tenant, contents: contents)
  }
}

/// The backups of stores, inside transactions of their tenants.
package enum StoreBackups {
  /// Of one store, those that are being made included; retention takes the oldest in time.
  package static let countMax = 100

  static func find(
    _ id: PostgresUUID?, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> BackupRecord? {
    guard let id else { return nil }
    let rows = try await transaction.query(
      "SELECT \(BackupRecord.columns) FROM backups WHERE id = $1 FOR UPDATE", [.uuid(id)])
    guard let row = rows.first else { return nil }
    return try BackupRecord(row)
  }

  static func count(
    of store: String, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> Int64 {
    try await transaction.query(
      "SELECT count(*) FROM backups WHERE store = $1", [.text(store)])[0].decode(0)
  }

  /// Puts down the backup that `operation` is to make.
  static func begin(
    _ operation: OperationRecord, of store: StoreRecord, in transaction: PostgresTransaction
  ) async throws(PostgresError) {
    try await transaction.query(
      """
      INSERT INTO backups (id, tenant, store, store_name, engine, chart, operation)
      SELECT $1, $2, $3, $4, $5,
        (SELECT chart FROM store_releases WHERE store = $3 AND number = $6), $7
      """,
      [
        .uuid(operation.aim.backup), .text(store.tenant), .text(store.id), .text(store.name),
        .text(store.engine.rawValue), .int8(store.release.map(Int64.init)), .uuid(operation.id),
      ])
  }

  /// The backup that `operation` makes is there.
  static func complete(
    _ operation: PostgresUUID, _ contents: BackupContents, in transaction: PostgresTransaction
  ) async throws {
    let result = try await transaction.query(
      """
      UPDATE backups SET state = 'available', bytes = $2, sha256 = $3, ended_at = clock_timestamp()
      WHERE operation = $1 AND state = 'creating'
      """, [.uuid(operation), .int8(contents.bytes), .text(contents.sha256)])
    guard result.affectedRows == 1 else { throw StoreRefusal.stale }
  }

  /// Has what `operation` leaves of a backup that it did not finish removed, if it made one; not before
  /// its job can write no more: the address that it was given is good for an hour.
  static func abandon(
    _ operation: PostgresUUID, in transaction: PostgresTransaction
  ) async throws(PostgresError) {
    try await transaction.query(
      """
      UPDATE backups SET state = 'deleting', tried_at = clock_timestamp() + interval '1 hour'
      WHERE operation = $1 AND state = 'creating'
      """, [.uuid(operation)])
  }

  /// The newest backup of a store that can be used, unless it was tested already.
  static func untested(
    of store: String, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> PostgresUUID? {
    let rows = try await transaction.query(
      """
      SELECT id, tested_at IS NULL AS is_untested FROM backups
      WHERE store = $1 AND state = 'available' ORDER BY ended_at DESC, id DESC LIMIT 1 FOR UPDATE
      """, [.text(store)])
    guard let row = rows.first, try row.decode("is_untested") else { return nil }
    return try row.decode("id")
  }

  /// Writes down what a test has shown of its backup, if it has.
  static func tested(
    by operation: PostgresUUID, _ outcome: OperationOutcome, in transaction: PostgresTransaction
  ) async throws(PostgresError) {
    let verdicts = FailureCode.ofBackups.map(\.rawValue)
    let failure = outcome.failure
    guard outcome == .succeeded || failure.map({ verdicts.contains($0.code) }) == true else {
      return
    }
    try await transaction.query(
      """
      UPDATE backups SET tested_at = clock_timestamp(), error_code = $2, error_message = $3,
        error_retryable = $4, error_user_fault = $5
      WHERE id = (SELECT backup FROM operations WHERE id = $1) AND state = 'available'
      """, [.uuid(operation)] + failure.parameters)
  }
}

extension StoreCatalog {
  // MARK: Rules

  /// - Throws: `StoreRefusal.noBackups`, `.tooManyBackups`.
  func checkRoom(
    forBackupOf store: StoreRecord, in transaction: PostgresTransaction
  ) async throws {
    guard keepsBackups else { throw StoreRefusal.noBackups }
    let count = try await StoreBackups.count(of: store.id, in: transaction)
    if count >= StoreBackups.countMax { throw StoreRefusal.tooManyBackups }
  }

  /// Whether a store of `engine` can take its data from a backup, which is not given up before the
  /// transaction ends.
  ///
  /// - Throws: `InvalidField`, `StoreRefusal.noBackups`, `.backupNotUsable`.
  func checkBackup(
    _ id: PostgresUUID, for engine: StoreEngine, of store: String? = nil, _ field: String,
    in transaction: PostgresTransaction
  ) async throws {
    guard keepsBackups else { throw StoreRefusal.noBackups }
    guard let backup = try await StoreBackups.find(id, in: transaction) else {
      throw InvalidField(field, "is no backup of the tenant")
    }
    guard backup.state == .available else {
      throw StoreRefusal.backupNotUsable(
        "the backup \(id) is \(backup.state.rawValue): choose one that is available")
    }
    // It has the administrator and the title of the store that it is of: a new one is set up again.
    if let store, backup.store != store {
      throw InvalidField(field, "is of another store: make a new store from it (from_backup)")
    }
    guard backup.engine == engine else {
      throw InvalidField(
        field, "is of a store with the engine \(backup.engine.rawValue), not \(engine.rawValue)")
    }
  }

  /// - Throws: `StoreRefusal.wrongState`, `.busy`, and what `checkRoom` does.
  func checkFinalBackup(
    of store: StoreRecord, in transaction: PostgresTransaction
  ) async throws {
    guard store.state == .ready, !store.isSuspended else {
      throw StoreRefusal.wrongState(
        store.state, "a final backup is made of a store that is ready and not suspended")
    }
    if try await isWorkedOn(store, in: transaction),
      let alive = try await OperationRows.find(store.operation, in: transaction)
    {
      throw StoreRefusal.busy(alive)
    }
    try await checkRoom(forBackupOf: store, in: transaction)
  }

  /// The backup that a store whose provisioning failed was to take its data from.
  func source(
    of store: StoreRecord, in transaction: PostgresTransaction
  ) async throws -> PostgresUUID? {
    guard let backup = try await wantedSource(of: store, in: transaction) else { return nil }
    try await checkBackup(backup, for: store.engine, "from_backup", in: transaction)
    return backup
  }

  /// As `source`, whether or not the backup is still there.
  func wantedSource(
    of store: StoreRecord, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> PostgresUUID? {
    try await OperationRows.find(store.operation, in: transaction)?.aim.backup
  }

  // MARK: Calls

  /// - Throws: `StoreRefusal.notFound`.
  package func findBackup(
    _ id: PostgresUUID, tenant: String, deadline: Instant
  ) async throws -> BackupRecord {
    let rows = try await pool.query(
      scope: .tenant(tenant), "SELECT \(BackupRecord.columns) FROM backups WHERE id = $1",
      [.uuid(id)], deadline: deadline)
    guard let row = rows.first else { throw StoreRefusal.notFound }
    return try BackupRecord(row)
  }

  /// - Parameter store: only the backups of this one.
  /// - Throws: `StoreRefusal.notFound`.
  package func listBackups(
    of store: StoreReference?, after position: ListPosition?, count: Int, tenant: String,
    deadline: Instant
  ) async throws -> ListPage<BackupRecord> {
    try await pool.withTransaction(
      scope: .tenant(tenant), isolation: .repeatableRead, deadline: deadline
    ) { transaction in
      let storeID = try await self.id(of: store, in: transaction)
      let rows = try await transaction.query(
        """
        SELECT \(BackupRecord.columns) FROM backups
        WHERE ($1::text IS NULL OR store = $1)
          AND ($2::timestamptz IS NULL OR (created_at, id) < ($2::timestamptz, $3::uuid))
        ORDER BY created_at DESC, id DESC LIMIT $4
        """,
        [
          .text(storeID), .timestamp(position?.createdAt),
          .uuid(position.flatMap { PostgresUUID($0.id) }), .int8(Int64(count + 1)),
        ])
      var backups: [BackupRecord] = []
      for row in rows.prefix(count) { backups.append(try BackupRecord(row)) }
      let next = rows.count > count ? backups.last : nil
      return ListPage(
        items: backups,
        next: next.map { ListPosition(createdAt: $0.createdAt, id: $0.id.description) })
    }
  }

  /// Gives a backup up: its file is removed soon. Asked again, it gives the backup as it is.
  ///
  /// - Throws: `StoreRefusal.notFound`, `.backupNotUsable` while an operation makes or uses it.
  package func deleteBackup(
    _ id: PostgresUUID, tenant: String, origin: ChangeOrigin, deadline: Instant
  ) async throws -> BackupRecord {
    try await pool.withTransaction(scope: .tenant(tenant), deadline: deadline) { transaction in
      // The store before the backup: in the order in which its operations lock them.
      let known = try await self.findBackup(id, in: transaction)
      guard let (store, _) = try await self.lock(.id(known.store), in: transaction),
        let backup = try await StoreBackups.find(id, in: transaction)
      else { throw StoreRefusal.notFound }
      if backup.state == .deleting { return backup }
      let users = try await transaction.query(
        "SELECT id FROM operations WHERE backup = $1 AND state IN ('pending', 'running') LIMIT 1",
        [.uuid(id)])
      if let user = users.first {
        let operation: PostgresUUID = try user.decode("id")
        throw StoreRefusal.backupNotUsable(
          "operation \(operation) works on the backup \(id); wait for its end, or cancel it")
      }
      try await transaction.query(
        "UPDATE backups SET state = 'deleting' WHERE id = $1", [.uuid(id)])
      try await OutboxWriter().append(
        StoreEventMessage.deletion(of: backup, store, origin), in: transaction)
      return try await self.findBackup(id, in: transaction)
    }
  }

  private func findBackup(
    _ id: PostgresUUID, in transaction: PostgresTransaction
  ) async throws -> BackupRecord {
    let rows = try await transaction.query(
      "SELECT \(BackupRecord.columns) FROM backups WHERE id = $1", [.uuid(id)])
    guard let row = rows.first else { throw StoreRefusal.notFound }
    return try BackupRecord(row)
  }
}

/// The backups as their janitor sees them, whichever tenant they are of.
package final class BackupLedger {
  private let worker: PostgresPool

  /// - Parameter worker: a pool of the worker role.
  package init(worker: PostgresPool) { self.worker = worker }

  /// Gives up to `count` backups up that are older than `age`, or not among the `kept` newest of their
  /// stores; how many there were.
  package func expire(
    olderThan age: Duration, beyond kept: Int, _ count: Int
  ) async throws(PostgresError) -> Int {
    let rows = try await worker.query(
      scope: .worker, "SELECT expire_backups($1, $2, $3)",
      [.text(age.interval), .text(String(kept)), .text(String(count))],
      deadline: .now() + OperationLedger.exchangeTimeout)
    return try rows[0].decode(0)
  }

  /// Up to `count` backups whose files are to be removed; nobody else is given them for `patience`.
  package func removable(
    _ count: Int, patience: Duration
  ) async throws(PostgresError) -> [StoreBackup] {
    let rows = try await worker.query(
      scope: .worker, "SELECT * FROM removable_backups($1, $2)",
      [.text(String(count)), .text(patience.interval)],
      deadline: .now() + OperationLedger.exchangeTimeout)
    var backups: [StoreBackup] = []
    for row in rows {
      let id: PostgresUUID = try row.decode("removable")
      backups.append(
        StoreBackup(
          id: id.description, store: try row.decode("removable_store"),
          tenant: try row.decode("removable_tenant")))
    }
    return backups
  }

  /// Forgets a backup whose file is gone.
  package func forget(_ backup: StoreBackup) async throws(PostgresError) {
    guard let id = PostgresUUID(backup.id) else { return }
    _ = try await worker.query(
      scope: .worker, "SELECT forget_backups($1)", [.uuidArray([id])],
      deadline: .now() + OperationLedger.exchangeTimeout)
  }
}
