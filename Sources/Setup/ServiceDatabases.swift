import Configuration
import Logging
package import Postgres
package import Reactor

/// Makes each service's schema and roles, and keeps the URLs that they log in with.
package struct ServiceDatabases: Sendable {
  private let logger = Logger(label: "setup") { _ in SwiftLogNoOpLogHandler() }

  package init() {}

  /// - Parameter admin: a role that may create roles and schemas; without it, the URLs that are kept
  ///   must let in.
  package func prepare(
    _ settings: InstallationSettings, admin: DatabaseURL?, on reactor: Reactor,
    blocking: BlockingPool
  ) async throws {
    try await reactor.run { reactor in
      try await prepareAll(settings, admin: admin, on: reactor, blocking: blocking)
    }
  }

  private func prepareAll(
    _ settings: InstallationSettings, admin: DatabaseURL?, on reactor: Reactor,
    blocking: BlockingPool
  ) async throws {
    var settings = settings
    var problems = ProblemCollector()
    for service in PlatformService.allCases {
      let present = Self.database(settings.databaseURLs(of: service))
      guard admin != nil || present != nil else {
        problems.add(
          SetupProblem(
            subject: "\(service.rawValue)'s database", reason: "has no URLs yet",
            remedy: "give DATABASE_URL, of a role that may create roles and schemas"))
        continue
      }
      let database: ServiceDatabase?
      do throws(PostgresError) {
        database = try await self.database(
          of: service, admin: admin, present: present, on: reactor, blocking: blocking)
      } catch {
        problems.add(Self.problem(service, error, isAdmin: admin != nil))
        // Every other service would say the same of the same server.
        break
      }
      if let database { try settings.keep(Self.urls(database), for: service) }
    }
    try problems.check()
  }

  private func database(
    of service: PlatformService, admin: DatabaseURL?, present: ServiceDatabase?,
    on reactor: Reactor, blocking: BlockingPool
  ) async throws(PostgresError) -> ServiceDatabase? {
    if let admin {
      return try await DatabaseSetup(logger: logger).prepare(
        service: service.rawValue, admin: admin, present: present, on: reactor, blocking: blocking)
    }
    if let present { try await enter(present, on: reactor, blocking: blocking) }
    return present
  }

  private func enter(
    _ database: ServiceDatabase, on reactor: Reactor, blocking: BlockingPool
  ) async throws(PostgresError) {
    for url in [database.owner, database.application, database.worker] {
      try await PostgresConnection.connect(
        PostgresConfiguration(url: url.revealed), on: reactor, blocking: blocking, logger: logger
      ).close()
    }
  }

  private static func problem(
    _ service: PlatformService, _ error: PostgresError, isAdmin: Bool
  ) -> SetupProblem {
    isAdmin
      ? SetupProblem(
        subject: "DATABASE_URL", reason: "did not serve to prepare \(service.rawValue): \(error)",
        remedy: "check that the server is up, and that the role may create roles and schemas")
      : SetupProblem(
        subject: "\(service.rawValue)'s database URLs", reason: "do not let in: \(error)",
        remedy:
          "check that the server is up; or give DATABASE_URL, and the roles get new passwords")
  }

  private static func database(_ urls: [String: String]) -> ServiceDatabase? {
    guard let owner = urls[PlatformSettings.databaseOwnerURL.key],
      let application = urls[PlatformSettings.databaseURL.key],
      let worker = urls[PlatformSettings.databaseWorkerURL.key]
    else { return nil }
    return ServiceDatabase(
      owner: DatabaseURL(owner), application: DatabaseURL(application), worker: DatabaseURL(worker))
  }

  private static func urls(_ database: ServiceDatabase) -> [String: String] {
    [
      PlatformSettings.databaseOwnerURL.key: database.owner.revealed,
      PlatformSettings.databaseURL.key: database.application.revealed,
      PlatformSettings.databaseWorkerURL.key: database.worker.revealed,
    ]
  }
}
