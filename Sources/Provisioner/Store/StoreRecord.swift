import JSON
package import Postgres

/// A row of `stores`.
package struct StoreRecord: Equatable, Sendable {
  package let id: String
  package let tenant: String
  package let name: String
  package let engine: StoreEngine
  package let cluster: String
  package let namespace: String
  package let host: String
  package let parameters: StoreParameters
  package let state: StoreState
  /// Counts the transitions.
  package let revision: Int64
  /// Counts every change.
  package let version: Int64
  package let operation: PostgresUUID
  /// Why it failed; nil in any other state.
  package let problem: StoreProblem?
  package let createdAt: PostgresTimestamp
  package let updatedAt: PostgresTimestamp
  package let readyAt: PostgresTimestamp?
  package let deletedAt: PostgresTimestamp?
  /// The number of the release that it runs; nil before its first.
  package let release: Int?
  package let isSuspended: Bool
  package let conditions: [StoreConditionRecord]
  package let driftPolicy: DriftPolicy
  /// Of its drift, within the last day.
  package let driftCorrections: Int
  package let backupSchedule: BackupSchedule
  /// When the platform next backs it up; nil where it does not, or that is not drawn yet.
  package let backupDueAt: PostgresTimestamp?

  /// Whether it runs as was last asked for, as far as is known.
  var isReleased: Bool {
    condition(.released)?.isTrue ?? true
  }

  /// Whether a restore has left its data in doubt, and nothing has succeeded since.
  var isRestoreFailed: Bool { condition(.released)?.reason == "RestoreFailed" }

  package func condition(_ kind: StoreCondition.Kind) -> StoreCondition? {
    conditions.first { $0.condition.kind == kind }?.condition
  }

  static let columns = """
    id, tenant, name, engine, cluster, namespace, host, parameters, state, revision, version,
    operation, error_code, error_message, error_retryable, error_user_fault, created_at, updated_at,
    ready_at, deleted_at, release, suspended, conditions, drift_policy, backup_interval, backup_due_at,
    CASE WHEN drift_corrected_at > clock_timestamp() - interval '1 day' THEN drift_corrections
      ELSE 0 END AS drift_corrections
    """

  init(_ row: PostgresRow) throws(PostgresError) {
    id = try row.decode("id")
    tenant = try row.decode("tenant")
    name = try row.decode("name")
    engine = try row.decodeCase("engine")
    cluster = try row.decode("cluster")
    namespace = try row.decode("namespace")
    host = try row.decode("host")
    parameters = try StoreParameters(stored: row.decode("parameters"))
    state = try row.decodeCase("state")
    revision = try row.decode("revision")
    version = try row.decode("version")
    operation = try row.decode("operation")
    problem = try StoreProblem(row)
    createdAt = try row.decode("created_at")
    updatedAt = try row.decode("updated_at")
    readyAt = try row.decode("ready_at")
    deletedAt = try row.decode("deleted_at")
    release = try row.decode("release")
    isSuspended = try row.decode("suspended")
    conditions = try StoreConditionRecord.all(stored: row.decode("conditions"))
    driftPolicy = try row.decodeCase("drift_policy")
    driftCorrections = try row.decode("drift_corrections")
    backupSchedule = BackupSchedule(
      stored: try row.decode("backup_interval", as: Int?.self).map(Int64.init))
    backupDueAt = try row.decode("backup_due_at")
  }
}

/// A row of `store_transitions`.
package struct StoreTransitionRecord: Equatable, Sendable {
  package let revision: Int64
  package let version: Int64
  package let state: StoreState
  package let operation: PostgresUUID
  package let problem: StoreProblem?
  package let occurredAt: PostgresTimestamp

  init(_ row: PostgresRow) throws(PostgresError) {
    revision = try row.decode("revision")
    version = try row.decode("version")
    state = try row.decodeCase("state")
    operation = try row.decode("operation")
    problem = try StoreProblem(row)
    occurredAt = try row.decode("occurred_at")
  }
}

extension StoreProblem {
  /// Reads the `error_` columns; nil where they are NULL.
  init?(_ row: PostgresRow) throws(PostgresError) {
    guard let code = try row.decode("error_code", as: String?.self) else { return nil }
    self.init(
      code: code, message: try row.decode("error_message"),
      isRetryable: try row.decode("error_retryable"),
      isUserFault: try row.decode("error_user_fault"))
  }
}

extension StoreProblem? {
  /// The values of the `error_` columns, in their order.
  var parameters: [PostgresParameter] {
    [
      .text(self?.code), .text(self?.message), .bool(self?.isRetryable), .bool(self?.isUserFault),
    ]
  }
}

extension PostgresRow {
  /// The case whose name a text column holds.
  func decodeCase<T: RawRepresentable>(
    _ column: PostgresColumn
  ) throws(PostgresError) -> T where T.RawValue == String {
    let text: String = try decode(column)
    guard let value = T(rawValue: text) else {
      throw PostgresError(.badValue, "'\(text)' is no \(T.self): perhaps a newer version wrote it")
    }
    return value
  }
}

extension StoreParameters {
  /// As it is kept: a JSON object.
  var stored: String {
    var object = JSONObject()
    object["title"] = .string(title)
    object["admin_email"] = .string(adminEmail)
    object["plan"] = .string(plan)
    object["values"] = .object(values)
    return JSON.object(object).serializedText()
  }

  init(stored text: String) throws(PostgresError) {
    guard let object = try? JSON(parsing: text).object else {
      throw PostgresError(.badValue, "the parameters of a store are no JSON object")
    }
    self.init(
      title: object["title"]?.string ?? "", adminEmail: object["admin_email"]?.string ?? "",
      plan: object["plan"]?.string ?? "", values: object["values"]?.object ?? JSONObject())
  }
}
