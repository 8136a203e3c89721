import Postgres
import Reactor

/// A tenant as it is stored.
struct TenantRecord: Equatable {
  let id: String
  let displayName: String
  let revision: Int64
  let createdAt: PostgresTimestamp
  let updatedAt: PostgresTimestamp

  init(_ row: PostgresRow) throws(PostgresError) {
    id = try row.decode("id")
    displayName = try row.decode("display_name")
    revision = try row.decode("revision")
    createdAt = try row.decode("created_at")
    updatedAt = try row.decode("updated_at")
  }
}

/// The table of tenants. What a transaction sees of it depends on its scope.
struct TenantStore {
  enum Creation: Equatable {
    case created(TenantRecord)
    /// The same request created it before.
    case repeated(TenantRecord)
  }

  /// Creates a tenant; `transaction` is in its scope.
  func create(
    _ id: TenantID, _ displayName: DisplayName, requestID: PostgresUUID?,
    in transaction: PostgresTransaction
  ) async throws -> Creation {
    let created = try await transaction.query(
      """
      INSERT INTO tenants (id, display_name, request_id) VALUES ($1, $2, $3)
      ON CONFLICT DO NOTHING RETURNING *
      """, [.text(id.text), .text(displayName.text), .uuid(requestID)])
    if let row = created.first { return .created(try TenantRecord(row)) }
    let present = try await transaction.query(
      "SELECT * FROM tenants WHERE id = $1", [.text(id.text)])
    // The id is free, so that it was the request's id that another tenant has.
    guard let row = present.first else { throw ConfigError.requestIDTaken }
    let tenant = try TenantRecord(row)
    guard let requestID, try row.decode("request_id", as: PostgresUUID?.self) == requestID else {
      throw ConfigError.tenantExists(id.text)
    }
    guard tenant.displayName == displayName.text else { throw ConfigError.requestIDTaken }
    return .repeated(tenant)
  }

  func get(_ id: TenantID, in transaction: PostgresTransaction) async throws -> TenantRecord {
    let rows = try await transaction.query(
      "SELECT * FROM tenants WHERE id = $1", [.text(id.text)])
    guard let row = rows.first else { throw ConfigError.tenantNotFound(id.text) }
    return try TenantRecord(row)
  }

  /// The tenants that the scope of `transaction` shows, by id.
  func list(
    after id: String, count: Int, in transaction: PostgresTransaction
  ) async throws -> [TenantRecord] {
    try await transaction.query(
      "SELECT * FROM tenants WHERE id > $1 ORDER BY id LIMIT $2",
      [.text(id), .int8(Int64(count))]
    ).map { try TenantRecord($0) }
  }

  /// All tenants; for an administrator. `worker` logs in as the worker role.
  func listAll(
    after id: String, count: Int, by worker: PostgresPool, deadline: Instant
  ) async throws -> [TenantRecord] {
    try await worker.query(
      scope: .worker, "SELECT * FROM list_tenants($1, $2::int)",
      [.text(id), .int8(Int64(count))], deadline: deadline
    ).map { try TenantRecord($0) }
  }
}

extension PostgresPipeline {
  /// Gives the writers of a tenant their turns, to the end of the transaction; no row where there is
  /// no such tenant. What is read after it stays as it is until the commit.
  mutating func takeTurn(of tenant: TenantID) {
    query("SELECT 1 FROM tenants WHERE id = $1 FOR NO KEY UPDATE", [.text(tenant.text)])
  }
}
