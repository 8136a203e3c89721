import ConfigService
import Configuration
import Cryptography
import Glibc
import Postgres
import Reactor
import ServiceRuntime

/// The process of the config service: its parts, put together.
@main enum ConfigMain {
  /// How long the database may take to prove that the key is the right one.
  private static let keyCheckTimeout: Duration = .seconds(30)

  static func main() throws {
    ServiceProcess.run(.config, migrations: try ConfigMigrations.all()) { service, _ in
      let key = service.configuration[PlatformSettings.platformEncryptionKey]
      let worker = try service.pool(.worker)
      let config = try ConfigService(
        database: service.pool(.application), worker: worker,
        key: PlatformEncryptionKey(hexadecimal: key.revealed()), logger: service.logger,
        now: microsecondsSince1970)
      try await config.checkKey(deadline: .now() + keyCheckTimeout)
      try service.deliverOutbox(by: worker)
      try service.serve(config.services, policy: ConfigService.policy())
    }
  }

  private static func microsecondsSince1970() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec / 1000)
  }
}
