import Cryptography
import Postgres
import Reactor

/// The keys that seal tenants' secrets, and the proof that they can be unwrapped.
struct KeyStore {
  /// The tenant that the key of the proof is bound to; no tenant has this id.
  private static let proofTenant = ""

  let keys: KeyEncryptionKeyRing

  /// Checks that the current key-encryption key is the one this database was written with; the first
  /// to come writes down which that is.
  func checkKey(_ database: PostgresPool, deadline: Instant) async throws {
    let version = Int64(keys.current.version)
    let proof = keys.current.generateDataKey(tenant: Self.proofTenant).wrapped
    let results = try await database.pipeline(scope: .none, deadline: deadline) { pipeline in
      pipeline.query(
        "INSERT INTO key_checks (kek_version, wrapped) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        [.int8(version), .bytea(proof.bytes)])
      pipeline.query("SELECT wrapped FROM key_checks WHERE kek_version = $1", [.int8(version)])
    }
    do throws(SecretError) {
      let wrapped: [UInt8]
      do {
        wrapped = try results[1][0].decode("wrapped")
      } catch {
        throw .truncated(length: 0, minimum: WrappedDataKey.length)
      }
      _ = try keys.unwrap(WrappedDataKey(bytes: wrapped), tenant: Self.proofTenant)
    } catch {
      throw ConfigError.wrongPlatformKey(reason: "\(error)")
    }
  }

  /// The key that `wrapped` is, read from a row of `tenant`.
  func unwrap(
    _ wrapped: [UInt8], of tenant: TenantID, for what: String
  ) throws(ConfigError) -> DataKey {
    do {
      return try keys.unwrap(WrappedDataKey(bytes: wrapped), tenant: tenant.text)
    } catch {
      throw ConfigError(error, what: "the data key of \(what)")
    }
  }

  /// The key to seal with: `wrapped`, or a new one where that is nil. The caller has taken the
  /// tenant's turn, so that nobody else makes one.
  func sealingKey(
    _ wrapped: [UInt8]?, of tenant: TenantID, for what: String,
    in transaction: PostgresTransaction
  ) async throws -> DataKey {
    if let wrapped { return try unwrap(wrapped, of: tenant, for: what) }
    let (key, sealed) = keys.current.generateDataKey(tenant: tenant.text)
    try await transaction.query(
      """
      INSERT INTO data_keys (id, tenant, wrapped, kek_version, is_current)
      VALUES ($1, $2, $3, $4, true)
      """,
      [
        .uuid(key.identifier.uuid), .text(tenant.text), .bytea(sealed.bytes),
        .int8(Int64(sealed.kekVersion)),
      ])
    return key
  }
}

extension PostgresPipeline {
  /// The wrapped key that seals what is new, no row where there is none yet.
  mutating func currentDataKey(of tenant: TenantID) {
    query(
      "SELECT wrapped FROM data_keys WHERE tenant = $1 AND is_current", [.text(tenant.text)])
  }
}

extension DataKeyIdentifier {
  var uuid: PostgresUUID {
    let halves = [bytes.prefix(8), bytes.suffix(8)].map { half in
      half.reduce(0) { $0 << 8 | UInt64($1) }
    }
    return PostgresUUID(high: halves[0], low: halves[1])
  }
}

extension ConfigError {
  /// Tells what was stored wrongly from what needs another key.
  init(_ error: SecretError, what: String) {
    self =
      switch error {
      case .unknownKeyVersion, .wrongKey: .keyMissing(what: what, reason: "\(error)")
      default: .damaged(what: what, reason: "\(error)")
      }
  }
}
