package import Postgres
package import Reactor
import ServiceRuntime

/// A store that is asked for.
package struct StoreDraft: Sendable {
  package var name: String
  package var engine: StoreEngine
  package var parameters: StoreParameters
  /// Nil: that of the platform, or, where the store is there already, what it is.
  package var driftPolicy: DriftPolicy?
  /// As `driftPolicy`.
  package var backupSchedule: BackupSchedule?
  package var wish: ClusterWish
  /// The backup that its data is taken from; nil for an empty store.
  package var backup: PostgresUUID?

  package init(
    name: String, engine: StoreEngine, parameters: StoreParameters,
    driftPolicy: DriftPolicy? = nil, backupSchedule: BackupSchedule? = nil,
    wish: ClusterWish = ClusterWish(), backup: PostgresUUID? = nil
  ) {
    self.name = name
    self.engine = engine
    self.parameters = parameters
    self.driftPolicy = driftPolicy
    self.backupSchedule = backupSchedule
    self.wish = wish
    self.backup = backup
  }
}

/// How a caller names a store.
package enum StoreReference: Equatable, Sendable {
  case id(String)
  /// Names are of stores that are not deleted.
  case name(String)

  package init(_ text: String) { self = StoreID.isOne(text) ? .id(text) : .name(text) }
}

/// The stores of tenants as they and their callers see them. Every function is for one tenant, whose
/// rows alone it reaches.
package final class StoreCatalog {
  /// Stores of a tenant that are not deleted.
  package static let storesPerTenantMax = 1_000

  let pool: PostgresPool
  private let hostSuffix: String
  /// Whether a cluster answers, as far as is known here: new stores go elsewhere while it does not.
  package var isReachable: (String) -> Bool = { _ in true }
  /// Whether there is an object store for them.
  let keepsBackups: Bool

  /// - Parameters:
  ///   - pool: of the application role.
  ///   - hostSuffix: what follows a store's name in its host, where its cluster has no suffix of its own.
  package init(pool: PostgresPool, hostSuffix: String, keepsBackups: Bool = false) {
    self.pool = pool
    self.hostSuffix = hostSuffix
    self.keepsBackups = keepsBackups
  }

  // MARK: Changes

  /// Asks for a store: makes it, or retries one that failed.
  ///
  /// - Parameter key: asking again with the same one gives the operation of the first time.
  /// - Throws: `StoreRefusal.conflict`, `.tooManyStores`, `.noCluster`, `.clusterDraining`,
  ///   `.noFreeHost`, `.requestKeyReused`, `.noBackups`, `.backupNotUsable`; `InvalidField`.
  package func create(
    _ draft: StoreDraft, key: PostgresUUID? = nil, tenant: String, origin: ChangeOrigin,
    deadline: Instant
  ) async throws -> OperationRecord {
    try await pool.withTransaction(scope: .tenant(tenant), deadline: deadline) { transaction in
      // One after another in a tenant: the second of two sees what the first has made.
      try await transaction.query(
        "SELECT pg_advisory_xact_lock(hashtextextended('storeplane-stores:' || $1, 0))",
        [.text(tenant)])
      let existing = try await self.lock(.name(draft.name), in: transaction)
      if let before = try await OperationRows.asked(
        under: key, of: existing?.store.id, in: transaction)
      {
        return before
      }
      try self.check(draft.backupSchedule)
      if let backup = draft.backup {
        try await self.checkBackup(backup, for: draft.engine, "from_backup", in: transaction)
      }
      var found: StoreCreation.Existing?
      if let (store, last) = existing {
        found = StoreCreation.Existing(
          state: store.state, engine: store.engine, parameters: store.parameters,
          lastOperation: last,
          backup: try await self.wantedSource(of: store, in: transaction)?.description)
      }
      let creation = StoreCreation.decide(
        engine: draft.engine, parameters: draft.parameters,
        backup: draft.backup?.description, existing: found)
      switch (creation, existing?.store) {
      case (.conflict(let conflict), _): throw StoreRefusal.conflict(conflict)
      case (.retry, let store?):
        // It stays where it was placed.
        if let cluster = draft.wish.cluster, cluster != store.cluster {
          throw StoreRefusal.conflict(.otherParameters)
        }
        let care = StoreCare(
          driftPolicy: draft.driftPolicy, backupSchedule: draft.backupSchedule)
        if care != StoreCare() { try await Self.write(care, on: store, in: transaction) }
        return try await self.retry(store, draft.backup, key, origin: origin, in: transaction)
      default:
        return try await self.insert(draft, key, tenant: tenant, origin: origin, in: transaction)
      }
    }
  }

  /// Provisions a failed store again.
  ///
  /// - Parameter key: as `create` has it.
  /// - Throws: `StoreRefusal.notFound`, `.wrongState`, `.clusterDraining`, `.requestKeyReused`.
  package func retry(
    _ reference: StoreReference, key: PostgresUUID? = nil, tenant: String, origin: ChangeOrigin,
    deadline: Instant
  ) async throws -> OperationRecord {
    try await pool.withTransaction(scope: .tenant(tenant), deadline: deadline) { transaction in
      guard let (store, last) = try await self.lock(reference, in: transaction) else {
        throw StoreRefusal.notFound
      }
      if let before = try await OperationRows.asked(under: key, of: store.id, in: transaction) {
        return before
      }
      guard store.state == .failed else {
        throw StoreRefusal.wrongState(store.state, "only a store that failed can be retried")
      }
      guard last == .provision else {
        throw StoreRefusal.wrongState(
          store.state, "its deletion failed, and its data may be gone: it can only be deleted")
      }
      return try await self.retry(
        store, try await self.source(of: store, in: transaction), key, origin: origin,
        in: transaction)
    }
  }

  /// Has a store deleted. Asked again, it gives the operation that is at it, or did it.
  ///
  /// While other work on the store goes on, that is cancelled: the deletion is there at once, as an
  /// operation that waits for the one before it to end.
  ///
  /// - Parameters:
  ///   - etag: the version the caller knows; nil for any.
  ///   - finalBackup: whether it is backed up first.
  /// - Throws: `StoreRefusal.notFound`, `.etagMismatch`; with a final backup `.wrongState`, `.busy`,
  ///   `.noBackups`, `.tooManyBackups`.
  package func delete(
    _ reference: StoreReference, version: Int64?, finalBackup: Bool = false, tenant: String,
    origin: ChangeOrigin, deadline: Instant
  ) async throws -> OperationRecord {
    try await pool.withTransaction(scope: .tenant(tenant), deadline: deadline) { transaction in
      guard let (store, _) = try await self.lock(reference, in: transaction) else {
        throw StoreRefusal.notFound
      }
      if let alive = try await self.deletion(of: store, in: transaction) { return alive }
      if let version, version != store.version { throw StoreRefusal.etagMismatch }
      try await self.clearSchedule(of: store, in: transaction)
      var aim = OperationAim()
      if finalBackup {
        try await self.checkFinalBackup(of: store, in: transaction)
        aim.backup = .random()
      }
      let operation = try await OperationRows.insert(
        .delete, of: store.id, tenant: tenant, for: origin.request, aim, in: transaction)
      if finalBackup { try await StoreBackups.begin(operation, of: store, in: transaction) }
      if try await self.isWorkedOn(store, in: transaction) {
        try await self.requestCancellation(of: store, in: transaction)
      } else {
        if store.state == .requested { try await self.withdraw(store, in: transaction) }
        try await StoreTransitions.apply(
          .delete, to: store, operation: operation.id, origin: origin, in: transaction)
      }
      return operation
    }
  }

  /// Has an operation stopped. Asked again, it gives the operation as it is.
  ///
  /// - Throws: `StoreRefusal.notFound`, `.notCancellable`.
  package func cancel(
    _ id: PostgresUUID, tenant: String, origin: ChangeOrigin, deadline: Instant
  ) async throws -> OperationRecord {
    try await pool.withTransaction(scope: .tenant(tenant), deadline: deadline) { transaction in
      guard let named = try await OperationRows.find(id, in: transaction),
        let (store, _) = try await self.lock(.id(named.store), in: transaction),
        // With the store locked it can end no more.
        let operation = try await OperationRows.find(id, in: transaction)
      else { throw StoreRefusal.notFound }
      if operation.isCancelRequested || operation.state == .cancelled { return operation }
      guard !operation.state.isDone else {
        throw StoreRefusal.notCancellable("it has \(operation.state.rawValue) already")
      }
      guard operation.isCancellable else {
        throw StoreRefusal.notCancellable(
          operation.aim.remedies.map { "it takes back what operation \($0) has changed" }
            ?? "a \(operation.kind.noun) goes on to its end")
      }
      try await self.requestCancellation(of: store, in: transaction)
      let event = StoreEventMessage.cancellation(of: operation, on: store, origin)
      try await OutboxWriter().append(event, in: transaction)
      return try await OperationRows.find(id, in: transaction) ?? operation
    }
  }

  private func insert(
    _ draft: StoreDraft, _ key: PostgresUUID?, tenant: String, origin: ChangeOrigin,
    in transaction: PostgresTransaction
  ) async throws -> OperationRecord {
    let count: Int64 = try await transaction.query(
      "SELECT count(*) FROM stores WHERE state <> 'deleted'")[0].decode(0)
    if count >= StoreCatalog.storesPerTenantMax { throw StoreRefusal.tooManyStores }
    let cluster = try await place(draft.wish, in: transaction)
    let suffix = cluster.domainSuffix.isEmpty ? hostSuffix : cluster.domainSuffix
    var generator = SystemRandomNumberGenerator()
    let id = StoreID.make(using: &generator)
    let operation = PostgresUUID.random()
    for host in StorePlace.hosts(name: draft.name, id: id, suffix: suffix) {
      let rows = try await transaction.query(
        """
        INSERT INTO stores
          (id, tenant, name, engine, cluster, namespace, host, parameters, state, operation,
           drift_policy, backup_interval)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'requested', $9, $10, $11)
        ON CONFLICT (host) WHERE state <> 'deleted' DO NOTHING
        RETURNING \(StoreRecord.columns)
        """,
        [
          .text(id), .text(tenant), .text(draft.name), .text(draft.engine.rawValue),
          .text(cluster.name), .text(StorePlace.namespace(id: id)), .text(host),
          .jsonb(draft.parameters.stored), .uuid(operation),
          .text((draft.driftPolicy ?? .correct).rawValue),
          .int8((draft.backupSchedule ?? .standard).stored),
        ])
      guard let row = rows.first else { continue }
      try await StoreTransitions.begin(StoreRecord(row), origin: origin, in: transaction)
      return try await OperationRows.insert(
        .provision, of: id, tenant: tenant, for: origin.request,
        OperationAim(backup: draft.backup), key: key, id: operation, in: transaction)
    }
    throw StoreRefusal.noFreeHost
  }

  /// The cluster of a new store, whose row is kept from changing until the transaction ends, with those
  /// of the others that it might have gone to: nobody else takes a last place.
  private func place(
    _ wish: ClusterWish, in transaction: PostgresTransaction
  ) async throws -> ClusterRecord {
    let columns = ClusterRecord.columns
    let candidates = try await transaction.query(
      """
      SELECT \(columns) FROM clusters
      WHERE name = coalesce($1, name) AND labels @> $2 AND schedule = 'open' AND ready
      ORDER BY name FOR NO KEY UPDATE
      """, [.text(wish.cluster), .jsonb(ClusterRecord.stored(wish.labels))])
    if case .place(let cluster) = try decide(wish, candidates) { return cluster }
    // Why there is none is seen from all.
    let all = try await transaction.query("SELECT \(columns) FROM clusters ORDER BY name")
    if case .refuse(let refusal) = try decide(wish, all) { throw StoreRefusal.noCluster(refusal) }
    throw StoreRefusal.stale
  }

  private enum Placement {
    case place(ClusterRecord)
    case refuse(ClusterPlacement.Refusal)
  }

  private func decide(_ wish: ClusterWish, _ rows: PostgresRows) throws -> Placement {
    var clusters: [ClusterRecord] = []
    for row in rows { clusters.append(try ClusterRecord(row)) }
    let placement = ClusterPlacement.decide(
      wish, among: clusters.map { $0.candidate(isReachable: self.isReachable($0.name)) })
    switch placement {
    case .refuse(let refusal): return .refuse(refusal)
    case .place(let name):
      guard let cluster = clusters.first(where: { $0.name == name }) else {
        throw StoreRefusal.stale
      }
      return .place(cluster)
    }
  }

  /// Refuses what would keep more going on a cluster that is being emptied.
  func requireNoDrain(
    of store: StoreRecord, in transaction: PostgresTransaction
  ) async throws {
    let rows = try await transaction.query(
      """
      SELECT abandoned_at IS NOT NULL FROM clusters WHERE name = $1 AND schedule = 'draining'
      """, [.text(store.cluster)])
    guard let row = rows.first else { return }
    throw try row.decode(0)
      ? StoreRefusal.clusterAbandoned(store.cluster) : .clusterDraining(store.cluster)
  }

  private func retry(
    _ store: StoreRecord, _ backup: PostgresUUID?, _ key: PostgresUUID?, origin: ChangeOrigin,
    in transaction: PostgresTransaction
  ) async throws -> OperationRecord {
    try await requireNoDrain(of: store, in: transaction)
    let operation = try await OperationRows.insert(
      .provision, of: store.id, tenant: store.tenant, for: origin.request,
      OperationAim(backup: backup), key: key, in: transaction)
    try await StoreTransitions.apply(
      .retry, to: store, operation: operation.id, origin: origin, in: transaction)
    return operation
  }

  /// Reads a store, with the kind of the last operation on it, and keeps it from changing until the
  /// transaction ends.
  func lock(
    _ reference: StoreReference, in transaction: PostgresTransaction
  ) async throws -> (store: StoreRecord, last: OperationKind)? {
    let (condition, text) = reference.condition
    let rows = try await transaction.query(
      "SELECT \(StoreRecord.columns) FROM stores WHERE \(condition) FOR NO KEY UPDATE",
      [.text(text)])
    guard let row = rows.first else { return nil }
    let store = try StoreRecord(row)
    let kinds = try await transaction.query(
      "SELECT kind FROM operations WHERE id = $1", [.uuid(store.operation)])
    return (store, try kinds.first?.decodeCase("kind") ?? .provision)
  }

  /// Whether an operation acts on the store, or may at any time.
  func isWorkedOn(
    _ store: StoreRecord, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> Bool {
    if store.state == .provisioning { return true }
    guard store.state == .ready else { return false }
    let rows = try await transaction.query(
      "SELECT FROM operations WHERE id = $1 AND state IN ('pending', 'running')",
      [.uuid(store.operation)])
    return !rows.isEmpty
  }

  /// The deletion that is under way or was done.
  private func deletion(
    of store: StoreRecord, in transaction: PostgresTransaction
  ) async throws -> OperationRecord? {
    let rows = try await transaction.query(
      """
      SELECT id FROM operations WHERE store = $1 AND kind = 'delete'
        AND (state IN ('pending', 'running') OR (id = $2 AND state = 'succeeded'))
      """, [.text(store.id), .uuid(store.operation)])
    guard let row = rows.first else { return nil }
    return try await OperationRows.find(row.decode("id"), in: transaction)
  }

  /// The holder of the operation, or the next one, stops it and goes on to the deletion.
  private func requestCancellation(
    of store: StoreRecord, in transaction: PostgresTransaction
  ) async throws(PostgresError) {
    try await transaction.pipeline { pipeline in
      pipeline.query(
        """
        UPDATE operations SET cancel_requested_at = clock_timestamp(), revision = revision + 1,
          updated_at = clock_timestamp()
        WHERE id = $1 AND state IN ('pending', 'running') AND cancel_requested_at IS NULL
        """, [.uuid(store.operation)])
      pipeline.query(
        "UPDATE stores SET version = version + 1, updated_at = clock_timestamp() WHERE id = $1",
        [.text(store.id)])
    }
  }

  /// Ends an operation that has done nothing yet. One who has just claimed it is refused when it
  /// begins.
  private func withdraw(
    _ store: StoreRecord, in transaction: PostgresTransaction
  ) async throws(PostgresError) {
    try await transaction.pipeline { pipeline in
      pipeline.query(
        """
        UPDATE operations SET state = 'cancelled', ended_at = clock_timestamp(), holder = NULL,
          lease_expires_at = NULL, revision = revision + 1, updated_at = clock_timestamp()
        WHERE id = $1 AND state IN ('pending', 'running')
        """, [.uuid(store.operation)])
      pipeline.query(
        "UPDATE operation_steps SET state = 'skipped' WHERE operation = $1 AND state = 'pending'",
        [.uuid(store.operation)])
    }
  }
}

extension StoreReference {
  /// A condition on `stores` with `$1`, and what that is.
  var condition: (sql: String, parameter: String) {
    switch self {
    case .id(let id): ("id = $1", id)
    case .name(let name): ("name = $1 AND state <> 'deleted'", name)
    }
  }
}
