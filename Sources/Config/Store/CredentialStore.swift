import Cryptography
import Postgres

/// What was generated for stores. A transaction is in the scope of the tenant it works for.
struct CredentialStore {
  let keys: KeyStore
  let limits: ConfigLimits
  let random: (Int) -> [UInt8]

  typealias Values = [SecretName: SecretBytes]

  /// The values of `specifications`, made up where there is none yet; a value once made stays.
  ///
  /// - Returns: the values, and the names of those made now.
  func ensure(
    _ tenant: TenantID, _ store: StoreID, _ specifications: [CredentialSpecification],
    in transaction: PostgresTransaction
  ) async throws -> (Values, made: [SecretName]) {
    let present = try await open(tenant, store, in: transaction)
    if specifications.allSatisfy({ present[$0.name] != nil }) { return (present, []) }
    let made = try await make(tenant, store, specifications, in: transaction)
    // What is read back is what everybody gets, whoever made it.
    return (try await open(tenant, store, in: transaction), made)
  }

  /// Deletes all credentials of a store; returns the names of those there were.
  func delete(
    _ tenant: TenantID, _ store: StoreID, in transaction: PostgresTransaction
  ) async throws -> [String] {
    try await transaction.query(
      "DELETE FROM store_credentials WHERE tenant = $1 AND store = $2 RETURNING name",
      [.text(tenant.text), .text(store.text)]
    ).map { try $0.decode("name", as: String.self) }.sorted()
  }

  private func open(
    _ tenant: TenantID, _ store: StoreID, in transaction: PostgresTransaction
  ) async throws -> Values {
    let rows = try await transaction.query(
      """
      SELECT s.name, \(SealedValue.columns)
      FROM store_credentials s JOIN data_keys k ON k.tenant = s.tenant AND k.id = s.data_key
      WHERE s.tenant = $1 AND s.store = $2
      """, [.text(tenant.text), .text(store.text)])
    var values: Values = [:]
    for row in rows {
      let name = try SecretName(row.decode("name"))
      values[name] = try SealedValue(row).open(.credential(tenant, store, name), keys: keys)
    }
    return values
  }

  private func make(
    _ tenant: TenantID, _ store: StoreID, _ specifications: [CredentialSpecification],
    in transaction: PostgresTransaction
  ) async throws -> [SecretName] {
    let results = try await transaction.pipeline { pipeline in
      pipeline.takeTurn(of: tenant)
      pipeline.currentDataKey(of: tenant)
      pipeline.query(
        "SELECT name FROM store_credentials WHERE tenant = $1 AND store = $2",
        [.text(tenant.text), .text(store.text)])
    }
    guard !results[0].isEmpty else { throw ConfigError.tenantNotFound(tenant.text) }
    let present = Set(try results[2].map { try $0.decode("name", as: String.self) })
    let missing = specifications.filter { !present.contains($0.name.text) }
    if missing.isEmpty { return [] }
    guard present.count + missing.count <= limits.credentialsPerStoreMax else {
      throw ConfigError.limitReached(
        name: "credentialsPerStoreMax", maximum: limits.credentialsPerStoreMax,
        of: "credentials of a store")
    }
    let key = try await keys.sealingKey(
      results[1].first?.decode("wrapped"), of: tenant, for: "store '\(store.text)'",
      in: transaction)
    return try await insert(tenant, store, missing, key, in: transaction)
  }

  private func insert(
    _ tenant: TenantID, _ store: StoreID, _ missing: [CredentialSpecification], _ key: DataKey,
    in transaction: PostgresTransaction
  ) async throws -> [SecretName] {
    var envelopes: [[UInt8]] = []
    for specification in missing {
      let value = SecretBytes(copying: specification.generate(random: random))
      envelopes.append(
        try SecretBinding.credential(tenant, store, specification.name).seal(value, with: key))
    }
    let rows = try await transaction.query(
      """
      INSERT INTO store_credentials (tenant, store, name, format, envelope, data_key)
      SELECT $1, $2, name, $3::bigint, envelope, $4 FROM unnest($5, $6) AS made (name, envelope)
      ON CONFLICT DO NOTHING RETURNING name
      """,
      [
        .text(tenant.text), .text(store.text), .int8(SealedFormat.envelope.rawValue),
        .uuid(key.identifier.uuid), .textArray(missing.map(\.name.text)), .byteaArray(envelopes),
      ])
    return try rows.map { row throws in try SecretName(row.decode("name")) }
  }
}
