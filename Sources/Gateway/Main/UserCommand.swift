import Configuration
import Cryptography
import Foundation
import GatewayService
import Glibc
import Logging
import Postgres
import Reactor
import ServiceRuntime

/// `gateway create-admin` and `gateway create-user`: add a user to the database that the gateway's
/// configuration names. The password is read from standard input, never taken as an argument.
/// Running it again changes nothing.
struct UserCommand {
  private static let timeout: Duration = .seconds(60)

  private let name: String
  private let arguments: [String]

  /// Nil for arguments that are the service's.
  init?(_ arguments: [String]) {
    guard let name = arguments.first, name == "create-admin" || name == "create-user" else {
      return nil
    }
    self.name = name
    self.arguments = Array(arguments.dropFirst())
  }

  private static let usage = """
    usage: gateway create-admin --username NAME [--tenant TENANT] [--display-name TEXT] [--config FILE]
           gateway create-user --username NAME --tenant TENANT [--display-name TEXT] [--config FILE]

    Adds an administrator, or a member of a tenant. Reads the password from standard input, without
    the line's end; it has at least \(NewPassword.lengthMin) characters. Needs DATABASE_WORKER_URL; with
    DATABASE_OWNER_URL it migrates the schema first. A user of that name stays as it is.
    """

  private struct Plan {
    var username: Username
    var displayName: String
    var tenant: String?
    var roles: [UserRole]
    var configurationFile: String?
  }

  func run() -> Never {
    do {
      let plan = try plan()
      let configuration = try Configuration.load(
        PlatformService.gateway.schema, environment: ProcessInfo.processInfo.environment,
        filePath: plan.configurationFile)
      let password = try Self.readPassword()
      let reactor = try Reactor.start(name: name)
      let outcome = Outcome()
      Task.detached {
        await outcome.set { try await Self.create(plan, password, configuration, on: reactor) }
      }
      print(try outcome.wait().get())
      exit(EXIT_SUCCESS)
    } catch let error as Misuse {
      Self.fail("\(error.reason)\n\n\(Self.usage)", EX_USAGE)
    } catch let error as ConfigurationError {
      Self.fail("\(error)", EX_CONFIG)
    } catch {
      Self.fail("\(error)", EX_UNAVAILABLE)
    }
  }

  private struct Misuse: Error { let reason: String }

  // MARK: Arguments

  private func plan() throws -> Plan {
    var options: [String: String] = [:]
    var rest = arguments[...]
    while let option = rest.popFirst() {
      if option == "-h" || option == "--help" {
        print(Self.usage)
        exit(EXIT_SUCCESS)
      }
      let known = ["--username", "--tenant", "--display-name", "--config"]
      guard known.contains(option) else { throw Misuse(reason: "\(option) is not an option") }
      guard let value = rest.popFirst(), !value.isEmpty else {
        throw Misuse(reason: "\(option) needs a value")
      }
      guard options.updateValue(value, forKey: option) == nil else {
        throw Misuse(reason: "\(option) is given twice")
      }
    }
    guard let given = options["--username"] else { throw Misuse(reason: "--username is missing") }
    guard let username = Username(given) else {
      throw Misuse(reason: "--username: \(Username.rule)")
    }
    let tenant = options["--tenant"]
    if let tenant, !TenantIDRule.allows(tenant) {
      throw Misuse(reason: "--tenant: \(TenantIDRule.text)")
    }
    let isAdministrator = name == "create-admin"
    if !isAdministrator, tenant == nil { throw Misuse(reason: "--tenant is missing") }
    let displayName = options["--display-name"] ?? username.text
    guard displayName.utf8.count <= 200, !displayName.utf8.contains(0) else {
      throw Misuse(reason: "--display-name has more than 200 bytes")
    }
    return Plan(
      username: username, displayName: displayName, tenant: tenant,
      roles: isAdministrator ? [.admin, .member] : [.member],
      configurationFile: options["--config"])
  }

  private static func readPassword() throws -> String {
    if isatty(STDIN_FILENO) != 0 {
      throw Misuse(reason: "the password is read from standard input: pipe it in")
    }
    let bytes = try FileHandle.standardInput.read(upToCount: NewPassword.bytesMax + 3) ?? Data()
    guard var text = String(validating: bytes, as: UTF8.self) else {
      throw Misuse(reason: "the password is not UTF-8")
    }
    if text.hasSuffix("\r\n") || text.hasSuffix("\n") { text.removeLast() }
    if text.contains(where: \.isNewline) {
      throw Misuse(reason: "the password has more than one line")
    }
    if let objection = NewPassword.objection(to: text) { throw Misuse(reason: objection) }
    return text
  }

  // MARK: Creating

  private static func create(
    _ plan: Plan, _ password: String, _ configuration: Configuration, on reactor: Reactor
  ) async throws -> String {
    let blocking = BlockingPool()
    let hash = try await PasswordChecker(threads: blocking).hash(password)
    return try await reactor.run { reactor in
      try await store(plan, hash, configuration, blocking, on: reactor)
    }
  }

  private static func store(
    _ plan: Plan, _ hash: String, _ configuration: Configuration, _ blocking: BlockingPool,
    on reactor: isolated Reactor
  ) async throws -> String {
    let logger = Logger(label: "gateway") { _ in SwiftLogNoOpLogHandler() }
    if let owner = configuration[PlatformSettings.databaseOwnerURL] {
      try await Migrator(logger: logger).run(
        GatewayMigrations.all(), owner: DatabaseURL(owner.revealed()), on: reactor,
        blocking: blocking)
    }
    guard let worker = configuration[PlatformSettings.databaseWorkerURL] else {
      throw StartError("DATABASE_WORKER_URL is not set: users are kept by the worker role")
    }
    let pool = PostgresPool(
      try PostgresConfiguration(url: worker.revealed()), as: .worker, on: reactor,
      blocking: blocking, logger: logger)
    defer { pool.close() }
    let isNew = try await UserStore(pool: pool).create(
      plan.username, displayName: plan.displayName, tenant: plan.tenant, roles: plan.roles,
      passwordHash: hash, deadline: .now() + timeout)
    return isNew
      ? "created \(plan.username)" : "\(plan.username) exists already and stays as it is"
  }

  private static func fail(_ reason: String, _ code: Int32) -> Never {
    FileHandle.standardError.write(Data("\(reason)\n".utf8))
    exit(code)
  }
}

/// Carries the end of the command's task to the thread that waits for it.
private final class Outcome: @unchecked Sendable {
  private let done = DispatchSemaphore(value: 0)
  private var result: Result<String, any Error>?

  func set(_ body: @Sendable () async throws -> String) async {
    do { result = .success(try await body()) } catch { result = .failure(error) }
    done.signal()
  }

  func wait() throws -> Result<String, any Error> {
    done.wait()
    guard let result else { throw StartError("the command ended without a result") }
    return result
  }
}
