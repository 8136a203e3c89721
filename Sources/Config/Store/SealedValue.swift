import Cryptography
import Postgres

/// How a stored value is sealed.
enum SealedFormat: Int64 {
  /// The versioned envelope, bound to tenant, name and version.
  case envelope = 1
}

/// A sealed value of a row, and the wrapped key it is sealed with.
struct SealedValue {
  private let format: Int64
  private let envelope: [UInt8]
  private let wrappedKey: [UInt8]

  /// The columns of `secrets` or `store_credentials` and of their data key; see `init`.
  static let columns = "s.format::bigint AS format, s.envelope, k.wrapped"

  init(_ row: PostgresRow) throws(PostgresError) {
    format = try row.decode("format")
    envelope = try row.decode("envelope")
    wrappedKey = try row.decode("wrapped")
  }

  /// Opens the value for the row that it is bound to.
  func open(
    _ binding: SecretBinding, keys: KeyStore
  ) throws(ConfigError) -> SecretBytes {
    guard SealedFormat(rawValue: format) == .envelope else {
      throw .damaged(
        what: binding.description, reason: "sealed in format \(format), which is not known")
    }
    let key = try keys.unwrap(wrappedKey, of: binding.tenant, for: binding.description)
    do {
      return try SecretEnvelope.open(envelope, with: key, associatedData: binding.associatedData)
    } catch {
      throw ConfigError(error, what: binding.description)
    }
  }
}

/// The row that a sealed value belongs to.
enum SecretBinding: CustomStringConvertible {
  case secret(TenantID, SecretName, version: Int64)
  /// A credential has one version: it never changes.
  case credential(TenantID, StoreID, SecretName)

  var tenant: TenantID {
    switch self {
    case .secret(let tenant, _, _), .credential(let tenant, _, _): tenant
    }
  }

  var associatedData: SecretAssociatedData {
    switch self {
    case .secret(let tenant, let name, let version):
      SecretAssociatedData(
        tenant: tenant.text, name: name.text, version: UInt64(clamping: version))
    case .credential(let tenant, let store, let name):
      // No secret's name has a slash.
      SecretAssociatedData(
        tenant: tenant.text, name: "stores/\(store.text)/\(name.text)", version: 1)
    }
  }

  var description: String {
    switch self {
    case .secret(_, let name, _): "secret '\(name.text)'"
    case .credential(_, let store, let name):
      "credential '\(name.text)' of store '\(store.text)'"
    }
  }

  func seal(_ plaintext: SecretBytes, with key: DataKey) throws(ConfigError) -> [UInt8] {
    do {
      return try SecretEnvelope.seal(
        plaintext: plaintext, with: key, associatedData: associatedData)
    } catch {
      throw ConfigError(error, what: description)
    }
  }
}
