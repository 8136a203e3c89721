import Cryptography
import Postgres

/// What is stored about a secret beside its value.
struct SecretRecord: Equatable {
  let name: String
  let version: Int64
  let createdAt: PostgresTimestamp
  let updatedAt: PostgresTimestamp

  init(_ row: PostgresRow) throws(PostgresError) {
    name = try row.decode("name")
    version = try row.decode("version")
    createdAt = try row.decode("created_at")
    updatedAt = try row.decode("updated_at")
  }
}

/// Secrets, one row each. A transaction is in the scope of the tenant it works for.
struct SecretStore {
  private static let columns = "name, version, created_at, updated_at"

  let keys: KeyStore
  let limits: ConfigLimits

  /// Gives a secret a value, and its next version.
  ///
  /// - Parameter expected: the version that it must have now, 0 for none; nil for any.
  func set(
    _ tenant: TenantID, _ name: SecretName, _ value: SecretBytes, expected: Int64?,
    in transaction: PostgresTransaction
  ) async throws -> SecretRecord {
    let results = try await transaction.pipeline { pipeline in
      pipeline.takeTurn(of: tenant)
      pipeline.currentDataKey(of: tenant)
      pipeline.query(
        "SELECT version FROM secrets WHERE tenant = $1 AND name = $2",
        [.text(tenant.text), .text(name.text)])
      pipeline.query(
        "SELECT count(*) AS count FROM secrets WHERE tenant = $1", [.text(tenant.text)])
    }
    guard !results[0].isEmpty else { throw ConfigError.tenantNotFound(tenant.text) }
    let current = try results[2].first?.decode("version", as: Int64.self) ?? 0
    try check(name, expected: expected, current: current)
    let count = try results[3][0].decode("count", as: Int.self)
    guard current > 0 || count < limits.secretsPerTenantMax else {
      throw ConfigError.limitReached(
        name: "secretsPerTenantMax", maximum: limits.secretsPerTenantMax, of: "secrets of a tenant")
    }
    let binding = SecretBinding.secret(tenant, name, version: current + 1)
    let key = try await keys.sealingKey(
      results[1].first?.decode("wrapped"), of: tenant, for: binding.description, in: transaction)
    return try await write(binding, name, binding.seal(value, with: key), key, in: transaction)
  }

  private func check(
    _ name: SecretName, expected: Int64?, current: Int64
  ) throws(ConfigError) {
    guard let expected, expected != current else { return }
    throw .versionMismatch(name, expected: expected, current: current)
  }

  private func write(
    _ binding: SecretBinding, _ name: SecretName, _ envelope: [UInt8], _ key: DataKey,
    in transaction: PostgresTransaction
  ) async throws -> SecretRecord {
    let rows = try await transaction.query(
      """
      INSERT INTO secrets (tenant, name, version, format, envelope, data_key)
      VALUES ($1, $2, $3, $4::bigint, $5, $6)
      ON CONFLICT (tenant, name) DO UPDATE SET version = excluded.version, format = excluded.format,
        envelope = excluded.envelope, data_key = excluded.data_key, updated_at = now()
      RETURNING \(Self.columns)
      """,
      [
        .text(binding.tenant.text), .text(name.text),
        .int8(Int64(binding.associatedData.version)), .int8(SealedFormat.envelope.rawValue),
        .bytea(envelope), .uuid(key.identifier.uuid),
      ])
    return try SecretRecord(rows[0])
  }

  func list(
    _ tenant: TenantID, after name: String, count: Int, in transaction: PostgresTransaction
  ) async throws -> [SecretRecord] {
    try await transaction.query(
      """
      SELECT \(Self.columns) FROM secrets WHERE tenant = $1 AND name > $2 ORDER BY name LIMIT $3
      """, [.text(tenant.text), .text(name), .int8(Int64(count))]
    ).map { try SecretRecord($0) }
  }

  /// Deletes a secret; returns the version it had.
  func delete(
    _ tenant: TenantID, _ name: SecretName, expected: Int64?,
    in transaction: PostgresTransaction
  ) async throws -> Int64 {
    let rows = try await transaction.query(
      "SELECT version FROM secrets WHERE tenant = $1 AND name = $2 FOR UPDATE",
      [.text(tenant.text), .text(name.text)])
    guard let version = try rows.first?.decode("version", as: Int64.self) else {
      throw ConfigError.secretNotFound(name)
    }
    try check(name, expected: expected, current: version)
    try await transaction.query(
      "DELETE FROM secrets WHERE tenant = $1 AND name = $2",
      [.text(tenant.text), .text(name.text)])
    return version
  }

  /// A secret and its value.
  func open(
    _ tenant: TenantID, _ name: SecretName, in transaction: PostgresTransaction
  ) async throws -> (SecretRecord, SecretBytes) {
    let rows = try await transaction.query(
      """
      SELECT s.name, s.version, s.created_at, s.updated_at, \(SealedValue.columns)
      FROM secrets s JOIN data_keys k ON k.tenant = s.tenant AND k.id = s.data_key
      WHERE s.tenant = $1 AND s.name = $2
      """, [.text(tenant.text), .text(name.text)])
    guard let row = rows.first else { throw ConfigError.secretNotFound(name) }
    let record = try SecretRecord(row)
    let binding = SecretBinding.secret(tenant, name, version: record.version)
    return (record, try SealedValue(row).open(binding, keys: keys))
  }
}
