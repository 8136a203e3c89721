package import Configuration
import Foundation
import Glibc
import Logging
import Observability
package import Postgres
package import Reactor

/// The life of a service's process: arguments, configuration, start, signals, drain, exit.
///
/// Nothing is started before the whole configuration has been checked, and every problem is named at
/// once. SIGTERM and SIGINT stop the service: it reports not ready, lets the calls under way end for
/// `SHUTDOWN_GRACE`, and exits; a second signal ends it at once. SIGHUP has it look for new certificates.
///
/// `SERVICE migrate` applies the migrations with the owner's database URL and exits.
package enum ServiceProcess {
  /// Exit codes of sysexits.h.
  private static let misuse: Int32 = 64
  private static let unavailable: Int32 = 69
  private static let badConfiguration: Int32 = 78

  /// Runs the service until it is told to stop; never returns.
  ///
  /// - Parameters:
  ///   - migrations: applied at the start where the owner's database URL is given.
  ///   - start: puts the service's parts together and begins to serve.
  package static func run(
    _ service: PlatformService, migrations: [Migration],
    start: @escaping @Sendable (Service, isolated Reactor) async throws -> Void
  ) -> Never {
    let (configuration, isMigration) = loadConfiguration(service)
    let backend = LogBackend(
      service: service.rawValue,
      format: LogFormat(rawValue: configuration[PlatformSettings.logFormat].rawValue) ?? .json,
      level: Logger.Level(rawValue: configuration[PlatformSettings.logLevel].rawValue) ?? .info)
    backend.install()
    let logger = Logger(label: service.rawValue)
    for warning in configuration.warnings {
      logger.warning("configuration", metadata: ["warning": "\(warning)"])
    }
    Signals.block([SIGTERM, SIGINT, SIGHUP])
    do {
      let reactor = try Reactor()
      reactor.launch { reactor in
        if isMigration { await migrate(configuration, logger, migrations, on: reactor) }
        await serve(service, configuration, logger, migrations, start, on: reactor)
      }
      reactor.loop.run()
      exit(EXIT_SUCCESS)
    } catch {
      logger.critical("cannot start", metadata: ["reason": "\(error)"])
      exit(unavailable)
    }
  }

  private static func serve(
    _ identity: PlatformService, _ configuration: Configuration, _ logger: Logger,
    _ migrations: [Migration],
    _ start: @Sendable (Service, isolated Reactor) async throws -> Void,
    on reactor: isolated Reactor
  ) async {
    do {
      let service = try Service(identity, configuration, logger: logger, reactor: reactor)
      try await service.answerProbes()
      try await service.migrate(migrations)
      try await start(service, reactor)
      try await service.open()
      let signals = try Signals([SIGTERM, SIGINT, SIGHUP], loop: reactor.loop) { signal in
        if signal == SIGHUP { service.renewCertificates() } else { service.stop(signal) }
      }
      await service.stopped()
      signals.close()
      reactor.loop.stop()
    } catch {
      logger.critical("cannot start", metadata: ["reason": "\(error)"])
      exit(unavailable)
    }
  }

  /// Brings the schema up to date, and ends the process.
  private static func migrate(
    _ configuration: Configuration, _ logger: Logger, _ migrations: [Migration],
    on reactor: isolated Reactor
  ) async -> Never {
    guard let url = configuration[PlatformSettings.databaseOwnerURL] else {
      fail("DATABASE_OWNER_URL is not set: it names the owner of the schema", badConfiguration)
    }
    do {
      try await Migrator(logger: logger).run(
        migrations, owner: DatabaseURL(url.revealed()), on: reactor, blocking: BlockingPool())
      exit(EXIT_SUCCESS)
    } catch {
      logger.critical("cannot migrate", metadata: ["reason": "\(error)"])
      exit(unavailable)
    }
  }

  private static func loadConfiguration(
    _ service: PlatformService
  ) -> (configuration: Configuration, isMigration: Bool) {
    let file: String?
    var isCheck = false
    var isMigration = false
    switch ServiceArguments.parse(Array(CommandLine.arguments.dropFirst())) {
    case .help:
      print(service.schema.helpText())
      exit(EXIT_SUCCESS)
    case .misuse(let reason): fail(reason, misuse)
    case .run(let path): file = path
    case .check(let path): (file, isCheck) = (path, true)
    case .migrate(let path): (file, isMigration) = (path, true)
    }
    do {
      let configuration = try Configuration.load(
        isMigration ? service.migrationSchema : service.schema,
        environment: ProcessInfo.processInfo.environment, filePath: file)
      if !isMigration { _ = try configuration.rpcServiceConfig() }
      if isCheck {
        print("the configuration is good")
        exit(EXIT_SUCCESS)
      }
      ProcessEnvironment.withdrawSecrets()
      return (configuration, isMigration)
    } catch {
      fail("\(error)", badConfiguration)
    }
  }

  private static func fail(_ reason: String, _ code: Int32) -> Never {
    FileHandle.standardError.write(Data("\(reason)\n".utf8))
    exit(code)
  }
}
