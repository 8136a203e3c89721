package import Observability
package import Postgres

/// A row of `operations`, with its steps where they were asked for.
package struct OperationRecord: Equatable, Sendable {
  package let id: PostgresUUID
  package let tenant: String
  package let store: String
  package let kind: OperationKind
  package let state: OperationState
  package let progressPercent: Int
  package let problem: StoreProblem?
  package let revision: Int64
  /// The request that asked for the work.
  package let request: StoredRequestContext
  package let createdAt: PostgresTimestamp
  package let startedAt: PostgresTimestamp?
  package let updatedAt: PostgresTimestamp
  package let endedAt: PostgresTimestamp?
  package let isCancelRequested: Bool
  /// The platform has begun it by itself, and nobody asked for it.
  package let isScheduled: Bool
  package let aim: OperationAim
  /// What Helm has made so far.
  package let installed: InstalledRelease?
  package var steps: [StepRecord]

  static let columns = """
    id, tenant, store, kind, state, progress_percent, error_code, error_message, error_retryable,
    error_user_fault, revision, request_id, traceparent, tracestate, principal, created_at,
    started_at, updated_at, ended_at, cancel_requested_at, parameters, release, remedies,
    backup, helm_revision, chart, scheduled
    """

  init(_ row: PostgresRow, steps: [StepRecord]) throws(PostgresError) {
    let id: PostgresUUID = try row.decode("id")
    self.id = id
    tenant = try row.decode("tenant")
    store = try row.decode("store")
    kind = try row.decodeCase("kind")
    state = try row.decodeCase("state")
    progressPercent = try row.decode("progress_percent")
    problem = try StoreProblem(row)
    revision = try row.decode("revision")
    request = StoredRequestContext(
      requestID: try row.decode("request_id"), traceparent: try row.decode("traceparent"),
      tracestate: try row.decode("tracestate"), tenant: tenant, store: store,
      operation: id.description, principal: try row.decode("principal"))
    createdAt = try row.decode("created_at")
    startedAt = try row.decode("started_at")
    updatedAt = try row.decode("updated_at")
    endedAt = try row.decode("ended_at")
    isCancelRequested = try row.decode("cancel_requested_at", as: PostgresTimestamp?.self) != nil
    isScheduled = try row.decode("scheduled")
    aim = try OperationAim(row)
    installed = try InstalledRelease(row)
    self.steps = steps
  }

  /// Whether somebody may have it stopped who does not want the store deleted: not the way back from work
  /// that did not succeed, which brings the store to where it can stay.
  var isCancellable: Bool { kind.isCancellable && aim.remedies == nil }
}

/// What an operation is to make of its store.
package struct OperationAim: Equatable, Sendable {
  /// What the store is to be afterwards; nil: what it is.
  package var parameters: StoreParameters?
  /// The number of the release that it is brought back to.
  package var release: Int?
  /// The operation whose changes are taken back.
  package var remedies: PostgresUUID?
  /// The backup that is made or tested, or that the data is taken from.
  package var backup: PostgresUUID?

  package init(
    parameters: StoreParameters? = nil, release: Int? = nil, remedies: PostgresUUID? = nil,
    backup: PostgresUUID? = nil
  ) {
    self.parameters = parameters
    self.release = release
    self.remedies = remedies
    self.backup = backup
  }

  init(_ row: PostgresRow) throws(PostgresError) {
    if let stored = try row.decode("parameters", as: String?.self) {
      parameters = try StoreParameters(stored: stored)
    }
    release = try row.decode("release")
    remedies = try row.decode("remedies")
    backup = try row.decode("backup")
  }
}

extension InstalledRelease {
  init?(_ row: PostgresRow) throws(PostgresError) {
    guard let revision = try row.decode("helm_revision", as: Int?.self) else { return nil }
    self.init(revision: revision, chart: try row.decode("chart"))
  }
}

/// A row of `operation_steps`.
package struct StepRecord: Equatable, Sendable {
  package let step: OperationStep
  package let state: StepState
  package let attempts: Int
  package let failures: Int
  package let detail: String
  package let problem: StoreProblem?
  package let startedAt: PostgresTimestamp?
  package let endedAt: PostgresTimestamp?
  package let nextAttemptAt: PostgresTimestamp?

  static let columns = """
    operation, name, state, attempts, failures, detail, error_code, error_message, error_retryable,
    error_user_fault, started_at, ended_at, next_attempt_at
    """

  init(_ row: PostgresRow) throws(PostgresError) {
    step = try row.decodeCase("name")
    state = try row.decodeCase("state")
    attempts = try row.decode("attempts")
    failures = try row.decode("failures")
    detail = try row.decode("detail")
    problem = try StoreProblem(row)
    startedAt = try row.decode("started_at")
    endedAt = try row.decode("ended_at")
    nextAttemptAt = try row.decode("next_attempt_at")
  }
}

/// Reads and begins operations inside a transaction.
enum OperationRows {
  static func insert(
    _ kind: OperationKind, of store: String, tenant: String, for request: StoredRequestContext,
    _ aim: OperationAim = OperationAim(), key: PostgresUUID? = nil, id: PostgresUUID = .random(),
    isScheduled: Bool = false, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> OperationRecord {
    let results = try await transaction.pipeline { pipeline in
      pipeline.query(
        """
        INSERT INTO operations
          (id, tenant, store, kind, request_id, traceparent, tracestate, principal, request_key,
           parameters, release, remedies, backup, scheduled)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        RETURNING \(OperationRecord.columns)
        """,
        [
          .uuid(id), .text(tenant), .text(store), .text(kind.rawValue), .text(request.requestID),
          .text(request.traceparent), .text(request.tracestate), .text(request.principal),
          .uuid(key), .jsonb(aim.parameters?.stored), .int8(aim.release.map(Int64.init)),
          .uuid(aim.remedies), .uuid(aim.backup), .bool(isScheduled),
        ])
      pipeline.query(
        """
        INSERT INTO operation_steps (operation, position, tenant, name)
        SELECT $1, position, $2, name FROM unnest($3::text[]) WITH ORDINALITY AS s (name, position)
        RETURNING \(StepRecord.columns)
        """,
        [
          .uuid(id), .text(tenant),
          .textArray(kind.steps(withBackup: aim.backup != nil).map(\.rawValue)),
        ])
    }
    return try OperationRecord(results[0][0], steps: try steps(results[1]))
  }

  static func find(
    _ id: PostgresUUID, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> OperationRecord? {
    let results = try await transaction.pipeline { pipeline in
      pipeline.query(
        "SELECT \(OperationRecord.columns) FROM operations WHERE id = $1", [.uuid(id)])
      pipeline.query(
        "SELECT \(StepRecord.columns) FROM operation_steps WHERE operation = $1 ORDER BY position",
        [.uuid(id)])
    }
    guard let row = results[0].first else { return nil }
    return try OperationRecord(row, steps: try steps(results[1]))
  }

  /// The work of `kind` on `store` that was asked for under `key`.
  ///
  /// - Throws: `StoreRefusal.requestKeyReused` where it was something else.
  static func asked(
    _ kind: OperationKind = .provision, under key: PostgresUUID?, of store: String?,
    in transaction: PostgresTransaction
  ) async throws -> OperationRecord? {
    guard let key else { return nil }
    let rows = try await transaction.query(
      "SELECT id FROM operations WHERE request_key = $1", [.uuid(key)])
    guard let row = rows.first,
      let operation = try await find(row.decode("id"), in: transaction)
    else { return nil }
    guard operation.kind == kind, operation.store == store else {
      throw StoreRefusal.requestKeyReused
    }
    return operation
  }

  static func steps(_ rows: PostgresRows) throws(PostgresError) -> [StepRecord] {
    var steps: [StepRecord] = []
    for row in rows { steps.append(try StepRecord(row)) }
    return steps
  }
}
