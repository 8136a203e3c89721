import Contracts
import Cryptography
import Postgres
import RPC
import RPCCore
import ServiceRuntime

/// Serves secrets: people set, list and delete those of their tenant, through the gateway; the
/// provisioner does so with those of the platform itself.
struct SecretHandler: ConfigV1.SecretServiceHandler {
  let database: ConfigDatabase
  /// Seals what is exported and opens what is imported.
  let key: PlatformEncryptionKey
  let secrets: SecretStore
  let credentials: CredentialStore

  func setSecret(
    _ request: ConfigV1.SetSecretRequest, context: ServerContext
  ) async throws -> ConfigV1.Secret {
    let tenant = try context.secretScope()
    let (name, value, expected) = try validated {
      (
        try SecretName(request.name), try self.value(request.payload),
        try self.expectedVersion(request.expectedVersion, lowest: 0)
      )
    }
    return try await set(tenant, name, value, expected: expected, as: "secret.set", context)
  }

  /// Sets a secret and records `action`.
  func set(
    _ tenant: TenantID, _ name: SecretName, _ value: SecretBytes, expected: Int64?,
    as action: String, _ context: ServerContext
  ) async throws -> ConfigV1.Secret {
    try await database.transaction(of: tenant, context) { transaction in
      let secret = try await self.secrets.set(
        tenant, name, value, expected: expected, in: transaction.postgres)
      try await transaction.record(
        action, tenant: tenant, details: .secret(name, version: secret.version))
      return ConfigV1.Secret(secret)
    }
  }

  private func value(
    _ payload: ConfigV1.SetSecretRequest.Payload?
  ) throws(ConfigError) -> SecretBytes {
    let (field, bytes) =
      switch payload {
      case .value(let text): ("value", Array(text.utf8))
      case .data(let bytes): ("data", bytes)
      case nil:
        throw .invalid(field: "value", description: "give the secret as `value` or as `data`")
      }
    try Self.checkSize(bytes.count, field: field)
    return SecretBytes(copying: bytes)
  }

  static func checkSize(_ count: Int, field: String) throws(ConfigError) {
    guard count <= ConfigLimits.secretBytesMax else {
      throw .invalid(
        field: field,
        description: "\(count) bytes; a secret has at most \(ConfigLimits.secretBytesMax)")
    }
  }

  func expectedVersion(
    _ version: Int64?, lowest: Int64
  ) throws(ConfigError) -> Int64? {
    guard let version, version < lowest else { return version }
    throw .invalid(
      field: "expected_version", description: "\(version); versions count from 1")
  }

  func listSecrets(
    _ request: ConfigV1.ListSecretsRequest, context: ServerContext
  ) async throws -> ConfigV1.ListSecretsResponse {
    let tenant = try context.secretScope()
    let (count, token, after) = try validated {
      let token = PageToken(listing: ["secrets", tenant.text])
      return (
        try ConfigLimits.pageSize(request.pageSize), token, try token.name(request.pageToken)
      )
    }
    // One more than fits says whether another page follows.
    let found = try await database.transaction(of: tenant, context) { transaction in
      try await self.secrets.list(
        tenant, after: after, count: count + 1, in: transaction.postgres)
    }
    let page = found.prefix(count)
    return ConfigV1.ListSecretsResponse(
      secrets: page.map(ConfigV1.Secret.init),
      nextPageToken: found.count > count
        ? page.last.map { token.encode(after: [$0.name]) } ?? "" : "")
  }

  func deleteSecret(
    _ request: ConfigV1.DeleteSecretRequest, context: ServerContext
  ) async throws -> GoogleProtobuf.Empty {
    let tenant = try context.secretScope()
    let (name, expected) = try validated {
      (
        try SecretName(request.name), try self.expectedVersion(request.expectedVersion, lowest: 1)
      )
    }
    return try await database.transaction(of: tenant, context) { transaction in
      let version = try await self.secrets.delete(
        tenant, name, expected: expected, in: transaction.postgres)
      try await transaction.record(
        "secret.delete", tenant: tenant, details: .secret(name, version: version))
      return GoogleProtobuf.Empty()
    }
  }
}

extension ServerContext {
  /// The tenant whose secrets the call lists or changes.
  fileprivate func secretScope() throws(RPCError) -> TenantID {
    callingService == .provisioner ? .platform : try caller().scope()
  }
}

extension GoogleProtobuf.Struct {
  static func secret(_ name: SecretName, version: Int64) -> GoogleProtobuf.Struct {
    ["name": .init(name.text), "version": .init(kind: .numberValue(Double(version)))]
  }
}

extension ConfigV1.Secret {
  init(_ record: SecretRecord) {
    self.init(
      name: record.name, version: record.version, createTime: .init(record.createdAt),
      updateTime: .init(record.updatedAt))
  }
}
