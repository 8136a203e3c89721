import Contracts
package import Cryptography
package import Logging
package import Postgres
package import RPC
package import Reactor
package import ServiceRuntime

/// The config service on one reactor: tenants, their settings and their secrets.
package final class ConfigService {
  private let database: ConfigDatabase
  private let keys: KeyStore
  private let key: PlatformEncryptionKey
  private let limits: ConfigLimits

  /// - Parameters:
  ///   - database: logs in as the application role.
  ///   - worker: logs in as the worker role, for the list of all tenants.
  ///   - key: `PLATFORM_ENCRYPTION_KEY`, version 1 of the key-encryption keys.
  ///   - now: microseconds since 1970.
  package init(
    database: PostgresPool, worker: PostgresPool, key: PlatformEncryptionKey, logger: Logger,
    limits: ConfigLimits = ConfigLimits(), now: @escaping () -> Int64
  ) throws {
    self.database = ConfigDatabase(pool: database, worker: worker, logger: logger, now: now)
    self.key = key
    self.limits = limits
    keys = KeyStore(
      keys: try KeyEncryptionKeyRing(current: KeyEncryptionKey(version: 1, key: key)))
  }

  /// Refuses a key that is not the one the database was written with; to be called at the start.
  package func checkKey(deadline: Instant) async throws {
    do {
      try await keys.checkKey(database.pool, deadline: deadline)
    } catch let error as ConfigError {
      throw StartError("\(error)")
    }
  }

  /// What a server is to serve.
  package var services: [[ServerMethod]] {
    [
      TenantHandler(database: database).methods,
      SettingsHandler(database: database).methods,
      SecretHandler(
        database: database, key: key, secrets: SecretStore(keys: keys, limits: limits),
        credentials: CredentialStore(
          keys: keys, limits: limits,
          random: { SecureRandom.secretBytes($0).copyBytes() })
      ).methods,
    ]
  }

  /// Who may call what. People reach it through the gateway and never see a secret's value; the
  /// provisioner reads what stores need, and keeps the platform's own; import and export are the
  /// operator's.
  package static func policy() -> AuthorizationPolicy {
    typealias Secrets = ConfigV1.SecretServiceMethods
    let policy = AuthorizationPolicy()
    policy.allow(
      [
        ConfigV1.TenantServiceMethods.listTenants, ConfigV1.TenantServiceMethods.createTenant,
        ConfigV1.TenantServiceMethods.getTenant, ConfigV1.SettingsServiceMethods.getSettings,
        ConfigV1.SettingsServiceMethods.updateSettings, Secrets.setSecret, Secrets.listSecrets,
        Secrets.deleteSecret,
      ], to: .gateway)
    policy.allow(
      [
        Secrets.setSecret, Secrets.listSecrets, Secrets.deleteSecret, Secrets.accessSecret,
        Secrets.ensureStoreCredentials, Secrets.deleteStoreCredentials,
      ], to: .provisioner)
    policy.allow([Secrets.importSecret, Secrets.exportSecret], to: .operator)
    return policy
  }
}
