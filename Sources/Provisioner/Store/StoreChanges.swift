package import JSON
package import Postgres
package import Reactor
import ServiceRuntime

/// What is asked of a ready store.
package enum StoreChange: Sendable {
  /// - Parameter patch: a merge patch of the store's values.
  case upgrade(patch: JSONObject)
  /// - Parameter release: its number; nil for the one before the current.
  case rollback(release: Int?)
  case suspend, resume, backup
  /// - Parameter from: the id of a backup.
  case restore(from: PostgresUUID)
  /// - Parameter of: the id of a backup.
  case backupTest(of: PostgresUUID)

  package var kind: OperationKind {
    switch self {
    case .upgrade: .upgrade
    case .rollback: .rollback
    case .suspend: .suspend
    case .resume: .resume
    case .backup: .backup
    case .restore: .restore
    case .backupTest: .backupTest
    }
  }

  /// Why it cannot be asked in any other state.
  var readiness: String {
    switch self {
    case .backupTest: "a backup is tested beside its store, which has to be ready"
    default: "this can be asked of a ready store only"
    }
  }

  /// Whether it would bring more onto a cluster that is being emptied.
  var isRefusedByDrain: Bool {
    switch self {
    case .upgrade, .resume, .restore: true
    case .rollback, .suspend, .backup, .backupTest: false
    }
  }

  /// Whether `operation`, which was asked for with the same key, can have been asked for by this.
  func isAnswered(by operation: OperationRecord) -> Bool {
    switch self {
    case .upgrade(let patch):
      let values = operation.aim.parameters?.values ?? JSONObject()
      return JSON.object(values.merging(patch: patch)) == .object(values)
    case .rollback(let release): return release == nil || release == operation.aim.release
    case .suspend, .resume, .backup: return true
    case .restore(let backup), .backupTest(let backup): return backup == operation.aim.backup
    }
  }
}

/// How a store is to be looked after; what is nil stays as it is.
package struct StoreCare: Equatable, Sendable {
  package var driftPolicy: DriftPolicy?
  package var backupSchedule: BackupSchedule?

  package init(driftPolicy: DriftPolicy? = nil, backupSchedule: BackupSchedule? = nil) {
    self.driftPolicy = driftPolicy
    self.backupSchedule = backupSchedule
  }
}

extension BackupSchedule {
  /// Seconds; nil for the platform's own.
  var stored: Int64? {
    switch self {
    case .standard: nil
    case .never: 0
    case .every(let interval): interval.components.seconds
    }
  }

  init(stored seconds: Int64?) {
    switch seconds {
    case nil: self = .standard
    case 0?: self = .never
    case let seconds?: self = .every(.seconds(seconds))
    }
  }
}

extension StoreCatalog {
  /// Begins work on a ready store. Asked again without a key while it goes on, it gives the operation
  /// that is at it.
  ///
  /// - Parameters:
  ///   - version: the one that the caller knows; nil for any.
  ///   - key: asking again with the same one gives the operation of the first time.
  /// - Throws: `StoreRefusal.notFound`, `.etagMismatch`, `.wrongState`, `.clusterDraining`, `.busy`,
  ///   `.requestKeyReused`, `.noBackups`, `.tooManyBackups`, `.backupNotUsable`; `InvalidField`.
  package func change(
    _ reference: StoreReference, _ change: StoreChange, version: Int64? = nil,
    key: PostgresUUID? = nil, tenant: String, origin: ChangeOrigin, deadline: Instant
  ) async throws -> OperationRecord {
    try await pool.withTransaction(scope: .tenant(tenant), deadline: deadline) { transaction in
      guard let (store, _) = try await self.lock(reference, in: transaction) else {
        throw StoreRefusal.notFound
      }
      if let before = try await OperationRows.asked(
        change.kind, under: key, of: store.id, in: transaction)
      {
        guard change.isAnswered(by: before) else { throw StoreRefusal.requestKeyReused }
        return before
      }
      guard store.state == .ready else {
        throw StoreRefusal.wrongState(store.state, change.readiness)
      }
      try await self.clearSchedule(of: store, in: transaction)
      if let alive = try await OperationRows.find(store.operation, in: transaction),
        !alive.state.isDone
      {
        guard alive.kind == change.kind, key == nil, !alive.isCancelRequested,
          try await self.isAim(alive.aim, of: change, on: store, in: transaction)
        else { throw StoreRefusal.busy(alive) }
        return alive
      }
      if let version, version != store.version { throw StoreRefusal.etagMismatch }
      try Self.check(change, on: store)
      if change.isRefusedByDrain { try await self.requireNoDrain(of: store, in: transaction) }
      let operation = try await OperationRows.insert(
        change.kind, of: store.id, tenant: tenant, for: origin.request,
        try await self.aim(of: change, on: store, in: transaction), key: key, in: transaction)
      if change.kind == .backup {
        try await StoreBackups.begin(operation, of: store, in: transaction)
      }
      try await transaction.query(
        """
        UPDATE stores SET operation = $2, version = version + 1, updated_at = clock_timestamp()
        WHERE id = $1
        """, [.text(store.id), .uuid(operation.id)])
      try await OutboxWriter().append(
        StoreEventMessage.began(operation, on: store, origin), in: transaction)
      return operation
    }
  }

  private static func check(
    _ change: StoreChange, on store: StoreRecord
  ) throws(StoreRefusal) {
    switch change {
    case .upgrade, .rollback, .backup, .restore, .backupTest:
      if store.isSuspended {
        throw .wrongState(store.state, "it is suspended; resume it first")
      }
    case .suspend:
      if store.isSuspended { throw .wrongState(store.state, "it is suspended already") }
      if store.release == nil {
        throw .wrongState(
          store.state, "there is no release on record to resume it from; upgrade it first")
      }
    case .resume:
      // What failed to come back may be asked again.
      if !store.isSuspended, store.isReleased {
        throw .wrongState(store.state, "it is not suspended")
      }
    }
  }

  private func isAim(
    _ aim: OperationAim, of change: StoreChange, on store: StoreRecord,
    in transaction: PostgresTransaction
  ) async throws -> Bool {
    // Each has a name of its own.
    if change.kind == .backup { return true }
    return try await self.aim(of: change, on: store, in: transaction) == aim
  }

  private func aim(
    of change: StoreChange, on store: StoreRecord, in transaction: PostgresTransaction
  ) async throws -> OperationAim {
    switch change {
    case .upgrade(let patch):
      var parameters = store.parameters
      parameters.values = parameters.values.merging(patch: patch)
      try parameters.checkValues(at: "values")
      return OperationAim(parameters: parameters)
    case .rollback(let release):
      let numbers = try await StoreReleases.all(of: store.id, in: transaction).map(\.number)
      let earlier = numbers.first { $0 < store.release ?? 0 }
      guard let target = release ?? earlier, numbers.contains(target) else {
        let known = numbers.isEmpty ? "none" : numbers.map(String.init).joined(separator: ", ")
        throw InvalidField(
          "release", "is not one that the store can go back to; there are: \(known)")
      }
      return OperationAim(release: target)
    case .suspend: return OperationAim()
    case .resume: return OperationAim(release: store.release)
    case .backup:
      try await checkRoom(forBackupOf: store, in: transaction)
      return OperationAim(backup: .random())
    case .restore(let backup):
      try await checkBackup(
        backup, for: store.engine, of: store.id, "backup", in: transaction)
      return OperationAim(backup: backup)
    case .backupTest(let backup):
      try await checkBackup(
        backup, for: store.engine, of: store.id, "backup", in: transaction)
      return OperationAim(backup: backup)
    }
  }

  /// Changes how a store is looked after, and has it looked at soon. Where it is so already nothing
  /// happens.
  ///
  /// - Parameter version: the one that the caller knows; nil for any.
  /// - Throws: `StoreRefusal.notFound`, `.etagMismatch`, `.wrongState`, `.noBackups`.
  package func update(
    _ reference: StoreReference, _ care: StoreCare, version: Int64?, tenant: String,
    origin: ChangeOrigin, deadline: Instant
  ) async throws -> StoreRecord {
    try await pool.withTransaction(scope: .tenant(tenant), deadline: deadline) { transaction in
      guard let (store, _) = try await self.lock(reference, in: transaction) else {
        throw StoreRefusal.notFound
      }
      if let version, version != store.version { throw StoreRefusal.etagMismatch }
      let (policy, schedule) = (care.driftPolicy, care.backupSchedule)
      if policy ?? store.driftPolicy == store.driftPolicy,
        schedule ?? store.backupSchedule == store.backupSchedule
      {
        return store
      }
      guard store.state != .deleting, store.state != .deleted else {
        throw StoreRefusal.wrongState(store.state, "it can be changed no more")
      }
      try self.check(schedule)
      let updated = try await Self.write(care, on: store, in: transaction)
      try await OutboxWriter().append(
        StoreEventMessage.updated(updated, origin), in: transaction)
      return updated
    }
  }

  /// Without an object store nothing can be made as often as that.
  func check(_ schedule: BackupSchedule?) throws(StoreRefusal) {
    if case .every = schedule, !keepsBackups { throw .noBackups }
  }

  @discardableResult
  static func write(
    _ care: StoreCare, on store: StoreRecord, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> StoreRecord {
    let schedule = care.backupSchedule ?? store.backupSchedule
    let policy = care.driftPolicy ?? store.driftPolicy
    let rows = try await transaction.query(
      """
      UPDATE stores SET drift_policy = $2, version = version + 1, updated_at = clock_timestamp(),
        drift_corrections = CASE WHEN drift_policy = $2 THEN drift_corrections ELSE 0 END,
        drift_check_at =
          CASE WHEN drift_policy = $2 THEN drift_check_at ELSE clock_timestamp() END,
        backup_interval = $3::int,
        backup_due_at = CASE WHEN $3::int = 0 THEN NULL
          ELSE least(backup_due_at, clock_timestamp() + make_interval(secs => $3::int)) END
      WHERE id = $1 RETURNING \(StoreRecord.columns)
      """, [.text(store.id), .text(policy.rawValue), .int8(schedule.stored)])
    return try StoreRecord(rows[0])
  }

  /// The releases that a store can go back to, the newest first.
  ///
  /// - Throws: `StoreRefusal.notFound`.
  package func releases(
    of reference: StoreReference, tenant: String, deadline: Instant
  ) async throws -> (store: StoreRecord, releases: [StoreReleaseRecord]) {
    try await pool.withTransaction(
      scope: .tenant(tenant), isolation: .repeatableRead, deadline: deadline
    ) { transaction in
      let (condition, text) = reference.condition
      let rows = try await transaction.query(
        "SELECT \(StoreRecord.columns) FROM stores WHERE \(condition)", [.text(text)])
      guard let row = rows.first else { throw StoreRefusal.notFound }
      let store = try StoreRecord(row)
      return (store, try await StoreReleases.all(of: store.id, in: transaction))
    }
  }
}
