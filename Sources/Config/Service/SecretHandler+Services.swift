import Contracts
import Cryptography
import RPC
import ServiceRuntime

// What services with an entitled identity call. They act for the tenant that they name.
extension SecretHandler {
  func accessSecret(
    _ request: ConfigV1.AccessSecretRequest, context: ServerContext
  ) async throws -> ConfigV1.AccessSecretResponse {
    let tenant =
      request.tenant == PlatformTenant.id
      ? .platform : try validated { try TenantID(request.tenant) }
    let (secret, value) = try await read(tenant, request.name, as: "secret.access", context)
    return ConfigV1.AccessSecretResponse(secret: secret, data: value.copyBytes())
  }

  func exportSecret(
    _ request: ConfigV1.ExportSecretRequest, context: ServerContext
  ) async throws -> ConfigV1.ExportSecretResponse {
    let tenant = try validated { try TenantID(request.tenant) }
    let (secret, value) = try await read(tenant, request.name, as: "secret.export", context)
    return ConfigV1.ExportSecretResponse(
      secret: secret, sealed: try SeedFormat.encrypt(value, with: key))
  }

  /// Reads a secret and records `action`: who read a secret is a part of its history.
  private func read(
    _ tenant: TenantID, _ name: String, as action: String, _ context: ServerContext
  ) async throws -> (ConfigV1.Secret, SecretBytes) {
    let name = try validated { try SecretName(name) }
    return try await database.transaction(of: tenant, context) { transaction in
      let (secret, value) = try await self.secrets.open(tenant, name, in: transaction.postgres)
      try await transaction.record(
        action, tenant: tenant, details: .secret(name, version: secret.version))
      return (ConfigV1.Secret(secret), value)
    }
  }

  func importSecret(
    _ request: ConfigV1.ImportSecretRequest, context: ServerContext
  ) async throws -> ConfigV1.Secret {
    let (tenant, name, value, expected) = try validated {
      (
        try TenantID(request.tenant), try SecretName(request.name),
        try self.open(request.sealed), try self.expectedVersion(request.expectedVersion, lowest: 0)
      )
    }
    return try await set(tenant, name, value, expected: expected, as: "secret.import", context)
  }

  private func open(_ sealed: [UInt8]) throws(ConfigError) -> SecretBytes {
    try Self.checkSize(max(0, sealed.count - SeedFormat.overhead), field: "sealed")
    do {
      return try SeedFormat.decrypt(sealed, with: key)
    } catch {
      throw .invalid(field: "sealed", description: "\(error)")
    }
  }

  func ensureStoreCredentials(
    _ request: ConfigV1.EnsureStoreCredentialsRequest, context: ServerContext
  ) async throws -> ConfigV1.EnsureStoreCredentialsResponse {
    let (tenant, store, specifications) = try validated {
      (
        try TenantID(request.tenant), try StoreID(request.store),
        try [CredentialSpecification](request.credentials)
      )
    }
    return try await database.transaction(of: tenant, context) { transaction in
      let (values, made) = try await self.credentials.ensure(
        tenant, store, specifications, in: transaction.postgres)
      if !made.isEmpty {
        try await transaction.record(
          "store_credentials.create", tenant: tenant, store: store,
          details: .names(made.map(\.text).sorted()))
      }
      return ConfigV1.EnsureStoreCredentialsResponse(
        credentials: specifications.map { specification in
          ConfigV1.StoreCredential(
            name: specification.name.text,
            value: values[specification.name]?.copyText() ?? "")
        })
    }
  }

  func deleteStoreCredentials(
    _ request: ConfigV1.DeleteStoreCredentialsRequest, context: ServerContext
  ) async throws -> GoogleProtobuf.Empty {
    let (tenant, store) = try validated {
      (try TenantID(request.tenant), try StoreID(request.store))
    }
    return try await database.transaction(of: tenant, context) { transaction in
      let names = try await self.credentials.delete(tenant, store, in: transaction.postgres)
      if !names.isEmpty {
        try await transaction.record(
          "store_credentials.delete", tenant: tenant, store: store, details: .names(names))
      }
      return GoogleProtobuf.Empty()
    }
  }
}

extension [CredentialSpecification] {
  init(_ requested: [ConfigV1.CredentialSpec]) throws(ConfigError) {
    self = []
    for (index, specification) in requested.enumerated() {
      let field = "credentials[\(index)]"
      append(
        try CredentialSpecification(
          name: SecretName(specification.name, field: "\(field).name"),
          format: .init(specification.format, field: "\(field).format"),
          length: Int(specification.length), field: field))
    }
    self = try checked()
  }
}

extension CredentialSpecification.Format {
  init(_ format: ConfigV1.CredentialSpec.Format, field: String) throws(ConfigError) {
    switch format {
    case .unspecified, .alphanumeric: self = .alphanumeric
    case .hexadecimal: self = .hexadecimal
    case .unrecognized(let number):
      throw .invalid(field: field, description: "format \(number) is not known")
    }
  }
}

extension GoogleProtobuf.Struct {
  fileprivate static func names(_ names: [String]) -> GoogleProtobuf.Struct {
    ["names": .init(kind: .listValue(.init(values: names.map { .init($0) })))]
  }
}
