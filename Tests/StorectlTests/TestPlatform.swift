import AuditService
import ConfigService
import Configuration
import Cryptography
import Foundation
import GatewayService
import Glibc
import HTTP
import Logging
import Postgres
import ProvisionerService
import ProvisionerTestKit
import Reactor
import Synchronization
import TestKit

@testable import ServiceRuntime

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// The four services on real sockets, over mutual TLS and on a real Postgres; only the provisioner's
/// cluster is imagined. All tests of the module share one, but those that register clusters, where a store
/// that chooses none may be placed: they share another.
final class TestPlatform: Sendable {
  private static let starting = Task { try await TestPlatform(on: .shared()) }
  private static let startingWithClusters = Task { try await TestPlatform(on: ThrowawayPostgres()) }

  static func shared() async throws -> TestPlatform { try await starting.value }
  static func withClusters() async throws -> TestPlatform { try await startingWithClusters.value }

  static let password = "correct horse battery"

  /// What is confined to the gateway's reactor.
  fileprivate final class Inside {
    let gateway: Gateway
    let users: UserStore

    init(_ gateway: Gateway, _ users: UserStore) {
      self.gateway = gateway
      self.users = users
    }
  }

  /// A port of the gateway's.
  final class Door: Sendable {
    let address: String
    private let reactor: Reactor
    private let inside: Confined<Inside>
    private let port: UInt16
    private let server: Mutex<Confined<HTTPServer>?>

    fileprivate init(_ inside: Confined<Inside>, on reactor: Reactor) async throws {
      self.inside = inside
      self.reactor = reactor
      let opened = try await Self.listen(inside, port: 0, on: reactor)
      port = opened.port
      server = Mutex(opened.server)
      address = "http://127.0.0.1:\(port)"
    }

    private static func listen(
      _ inside: Confined<Inside>, port: UInt16, on reactor: Reactor
    ) async throws -> (server: Confined<HTTPServer>, port: UInt16) {
      try await reactor.run { reactor in
        let server = HTTPServer(reactor: reactor, handler: inside.value.gateway.handler)
        let address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: port))
        return (Confined(value: server), address.port ?? 0)
      }
    }

    /// Cuts every connection off, and opens again.
    func restart() async throws {
      guard let server = server.withLock({ $0 }) else { return }
      await reactor.run { _ in await server.value.drain(until: .now()) }
      let opened = try await Self.listen(inside, port: port, on: reactor).server
      self.server.withLock { $0 = opened }
    }
  }

  let address: String
  let cluster = FakeCluster()
  /// A member of `storectl`'s tenants may do less; this one creates them.
  let administrator = "admin"
  private let door: Door
  private let inside: Confined<Inside>
  private let reactor: Reactor
  private let database: ThrowawayPostgres

  private init(on database: ThrowawayPostgres) async throws {
    self.database = database
    let setup = try await PlatformSetup(on: database)
    let cluster = cluster
    try await setup.start(.audit) { service, _ in try AuditApplication.start(service) }
    try await setup.start(.config) { service, _ in
      let key = service.configuration[PlatformSettings.platformEncryptionKey]
      let worker = try service.pool(.worker)
      let config = try ConfigService(
        database: service.pool(.application), worker: worker,
        key: PlatformEncryptionKey(hexadecimal: key.revealed()), logger: quiet,
        now: { Int64(Date().timeIntervalSince1970 * 1_000_000) })
      try await config.checkKey(deadline: .now() + .seconds(30))
      try service.deliverOutbox(by: worker)
      try service.serve(config.services, policy: ConfigService.policy())
    }
    try await setup.start(.provisioner) { service, reactor in
      let register = FakeClusterRegister()
      try ProvisionerService.start(
        service,
        clusters: .init(
          backend: FakeStoreBackend(cluster, on: reactor), inspector: register,
          secrets: register))
    }
    let opened = Mutex<Confined<Inside>?>(nil)
    reactor = try await setup.start(.gateway) { service, reactor in
      let inside = try Self.open(service, setup.keys(), on: reactor)
      opened.withLock { $0 = Confined(value: inside) }
    }
    guard let inside = opened.withLock({ $0 }) else { throw StartError("no gateway") }
    self.inside = inside
    door = try await Door(inside, on: reactor)
    address = door.address
    try await addUser(administrator, tenant: "main", roles: [.admin, .member])
  }

  private static func open(
    _ service: Service, _ keys: GatewayKeys, on reactor: isolated Reactor
  ) throws -> Inside {
    let configuration = service.configuration
    let worker = try service.pool(.worker)
    let audit = try service.channel(to: .audit, at: configuration[PlatformSettings.auditAddress])
    var parts = GatewayParts(
      keys: keys, storeCreationCooldown: .zero, application: try service.pool(.application),
      worker: worker,
      channels: [
        .config: try service.channel(
          to: .config, at: configuration[PlatformSettings.configAddress]),
        .provisioner: try service.channel(
          to: .provisioner, at: configuration[PlatformSettings.provisionerAddress]),
        .audit: audit,
      ], metrics: service.metrics, logger: quiet)
    parts.passwordParameters = cheap
    // Far above what a busy machine needs: these tests are of storectl.
    parts.limits.databaseTimeout = .seconds(25)
    parts.limits.principal = GatewayLimits.principal(perMinute: 100_000)
    parts.limits.address = GatewayLimits.address(perMinute: 100_000)
    let gateway = try Gateway(parts, on: reactor)
    gateway.start()
    try service.deliverOutbox(by: worker, to: audit)
    return Inside(gateway, UserStore(pool: worker))
  }

  /// Cheap to check: nobody guesses the passwords of tests.
  private static let cheap = PasswordHashParameters(
    costExponent: 4, blockSize: 1, parallelism: 1)

  func addUser(_ name: String, tenant: String, roles: [UserRole] = [.member]) async throws {
    guard let username = Username(name) else { throw StartError("\(name) is no username") }
    let hash = try PasswordHash.hash(Self.password, parameters: Self.cheap)
    let inside = inside
    try await reactor.run { _ in
      _ = try await inside.value.users.create(
        username, displayName: "A user", tenant: tenant, roles: roles, passwordHash: hash,
        deadline: .now() + .seconds(20))
    }
  }

  private let administratorSigningIn = Mutex<Task<StorectlUser, any Error>?>(nil)

  /// One login for all tests.
  func signedInAdministrator() async throws -> StorectlUser {
    let task = administratorSigningIn.withLock { task in
      if let task { return task }
      let made = Task {
        let user = try StorectlUser(name: self.administrator, tenant: "main", self.address)
        try user.login()
        return user
      }
      task = made
      return made
    }
    return try await task.value
  }

  /// A door of a test's own.
  func openDoor() async throws -> Door { try await Door(inside, on: reactor) }
}

/// Databases, certificates, ports and keys for the services of a `TestPlatform`.
private final class PlatformSetup: Sendable {
  private let databases: [PlatformService: ServiceDatabase]
  private let ports: [PlatformService: UInt16]
  private let environments: [PlatformService: [String: String]]
  private let signingKey = P256PrivateKey.generate()

  init(on database: ThrowawayPostgres) async throws {
    let admin = DatabaseURL(try database.createDatabase())
    let setupReactor = try Reactor.start(name: "set-up")
    defer { setupReactor.loop.stop() }
    var databases: [PlatformService: ServiceDatabase] = [:]
    for service in PlatformService.allCases {
      databases[service] = try await setupReactor.run { reactor in
        var setup = DatabaseSetup(logger: quiet)
        setup.timeout = .seconds(60)
        return try await setup.prepare(
          service: service.rawValue, admin: admin, on: reactor, blocking: BlockingPool())
      }
    }
    self.databases = databases
    let ports = try freePorts(2 * PlatformService.allCases.count)
    self.ports = Dictionary(uniqueKeysWithValues: zip(PlatformService.allCases, ports))
    let keysFile = FileManager.default.temporaryDirectory.appendingPathComponent(
      "storeplane-keys-\(UUID().uuidString).json")
    try GatewayKeys(signingKey: signingKey, secret: nil).published.encoded.write(
      to: keysFile, atomically: true, encoding: .utf8)
    let certificates = Self.certificates
    var environments: [PlatformService: [String: String]] = [:]
    for (index, service) in PlatformService.allCases.enumerated() {
      let files = try certificates.get().value.files(for: service.rawValue)
      environments[service] = [
        "LISTEN_ADDRESS": "127.0.0.1:\(ports[index])",
        "ADMIN_ADDRESS": "127.0.0.1:\(ports[PlatformService.allCases.count + index])",
        "DATABASE_URL": databases[service]?.application.revealed ?? "",
        "DATABASE_WORKER_URL": databases[service]?.worker.revealed ?? "",
        "DATABASE_OWNER_URL": databases[service]?.owner.revealed ?? "",
        "TLS_CERTIFICATE_FILE": files.certificate, "TLS_KEY_FILE": files.key,
        "TLS_CA_FILE": try certificates.get().value.authorityFile,
        "CALLER_KEYS_FILE": keysFile.path,
        "PLATFORM_ENCRYPTION_KEY": String(repeating: "5a0f", count: 16),
        // Said to be there: the backend is a fake.
        "BACKUP_S3_URL": "http://127.0.0.1:1", "BACKUP_S3_ACCESS_KEY": "key",
        "BACKUP_S3_SECRET_KEY": "secret",
      ]
    }
    for service in PlatformService.allCases {
      for (other, port) in self.ports where other != .gateway {
        environments[service]?["\(other.rawValue.uppercased())_ADDRESS"] = "127.0.0.1:\(port)"
      }
    }
    self.environments = environments
  }

  /// Kept until the process ends: their folder goes with them.
  private static let certificates = Result { Confined(value: try TestCertificates()) }

  func keys() throws -> GatewayKeys { try GatewayKeys(signingKey: signingKey, secret: nil) }

  @discardableResult
  func start(
    _ identity: PlatformService,
    _ start: @escaping @Sendable (Service, isolated Reactor) async throws -> Void
  ) async throws -> Reactor {
    let configuration = try Configuration.load(
      identity.schema, environment: environments[identity] ?? [:])
    let migrations =
      switch identity {
      case .audit: try AuditMigrations.all()
      case .config: try ConfigMigrations.all()
      case .provisioner: try ProvisionerMigrations.all()
      case .gateway: try GatewayMigrations.all()
      }
    let reactor = try Reactor.start(name: identity.rawValue)
    try await reactor.run { reactor in
      let service = try Service(identity, configuration, logger: quiet, reactor: reactor)
      try await service.migrate(migrations)
      try await start(service, reactor)
      try await service.open()
      Self.running.withLock { $0.append(Confined(value: service)) }
    }
    return reactor
  }

  /// Services live as long as the process.
  private static let running = Mutex<[Confined<Service>]>([])
}
