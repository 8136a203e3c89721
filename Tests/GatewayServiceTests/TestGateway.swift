import Configuration
import Contracts
import Cryptography
import Foundation
import GatewayService
import HTTP
import Logging
import Observability
import Postgres
import RPC
import Reactor
import Resilience
import ServiceRuntime
import Synchronization
import TestKit

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// The database of all tests here. Its roles belong to the whole server, so that it is made once.
enum GatewayDatabase {
  private static let prepared = Task { () throws -> ServiceDatabase in
    let admin = try ThrowawayPostgres.shared().createDatabase()
    let reactor = try Reactor.start(name: "set-up")
    defer { reactor.loop.stop() }
    return try await reactor.run { reactor in
      let blocking = BlockingPool()
      var setup = DatabaseSetup(logger: quiet)
      setup.timeout = .seconds(60)
      let urls = try await setup.prepare(
        service: "gateway", admin: DatabaseURL(admin), on: reactor, blocking: blocking)
      try await Migrator(logger: quiet).run(
        GatewayMigrations.all(), owner: urls.owner, on: reactor, blocking: blocking)
      return urls
    }
  }

  static func urls() async throws -> ServiceDatabase { try await prepared.value }
}

/// A gateway with fake services behind it, each on real sockets, over mutual TLS between them.
final class TestGateway: Sendable {
  /// What is confined to the reactor.
  final class Parts {
    let gateway: Gateway
    let server: HTTPServer
    let provisioner = FakeProvisioner()
    let settings = FakeSettings()
    let metrics = MetricsRegistry()
    let application: PostgresPool
    let worker: PostgresPool
    let owner: PostgresPool
    let users: UserStore
    fileprivate var servers: [Server] = []
    fileprivate let channels: [Channel]
    fileprivate let pools: [PostgresPool]

    fileprivate init(
      _ options: Options, _ database: ServiceDatabase, _ certificates: TestCertificates,
      _ keys: GatewayKeys, clock: ManualClock, on reactor: isolated Reactor
    ) throws {
      let blocking = BlockingPool()
      func pool(_ url: DatabaseURL, _ role: PostgresPool.Role) throws -> PostgresPool {
        try PostgresPool(
          PostgresConfiguration(url: url.revealed), as: role, on: reactor, blocking: blocking,
          logger: quiet)
      }
      application = try pool(database.application, .application)
      worker = try pool(database.worker, .worker)
      owner = try pool(database.owner, .owner)
      pools = [application, worker, owner]
      users = UserStore(pool: worker)
      var channels: [ServiceIdentity: Channel] = [:]
      for service in [ServiceIdentity.provisioner, .config, .audit] {
        var configuration = ChannelConfiguration()
        configuration.tls = try TLSContext.client(certificates.configuration(for: "gateway"))
        configuration.expectedServer = .spiffe(service.spiffe)
        // Where nobody listens: the port is reserved and refused.
        var address = SocketAddress.ipv4(address: 0x7F00_0001, port: 1)
        if service != .audit, !options.isCutOff {
          let server = try Self.server(service, keys, clock, on: reactor)
          server.register(service == .config ? settings.methods : provisioner.methods)
          address = try server.listen(
            on: .ipv4(address: 0x7F00_0001, port: 0),
            tls: TLSContext.server(certificates.configuration(for: service.rawValue)))
          servers.append(server)
        }
        channels[service] = Channel(
          reactor: reactor, configuration: configuration,
          interceptors: [RequestContextInterceptor()], address: address)
      }
      self.channels = Array(channels.values)
      var parts = GatewayParts(
        keys: keys, storeCreationCooldown: options.cooldown, application: application,
        worker: worker, channels: channels, metrics: metrics, logger: options.logger)
      parts.limits = options.limits
      parts.trustedProxies = options.trustedProxies
      parts.time = clock
      parts.passwordParameters = TestGateway.cheap
      gateway = try Gateway(parts, on: reactor)
      server = HTTPServer(reactor: reactor, handler: gateway.handler)
    }

    /// Cuts the connections of all services off, which can be reached no more.
    func loseServices() async {
      for server in servers { await server.drain(until: .now()) }
    }

    private static func server(
      _ service: ServiceIdentity, _ keys: GatewayKeys, _ clock: ManualClock,
      on reactor: Reactor
    ) throws -> Server {
      let caller = CallerInterceptor(audience: service, keys: try keys.published.tokenKeySet()) {
        clock.wallNow.seconds
      }
      return Server(reactor: reactor, interceptors: [RequestContextInterceptor(), caller])
    }
  }

  struct Options: Sendable {
    var limits = GatewayLimits()
    var cooldown: Duration = .zero
    var keys: GatewayKeys?
    var trustedProxies: [AddressRange] = []
    /// No service listens.
    var isCutOff = false
    var logger = quiet
  }

  /// Cheap to check: nobody guesses the passwords of tests.
  static let cheap = PasswordHashParameters(costExponent: 4, blockSize: 1, parallelism: 1)

  let reactor: Reactor
  let port: UInt16
  let clock: ManualClock
  let signingKey: P256PrivateKey
  private let parts: Confined<Parts>

  /// The certificates of all gateways of the tests: making keys takes time.
  static let certificates = Result { Confined(value: try TestCertificates()) }
  static let sharedKey = P256PrivateKey.generate()

  init(_ options: Options = Options(), clock: ManualClock = ManualClock()) async throws {
    let database = try await GatewayDatabase.urls()
    let certificates = try Self.certificates.get()
    let keys = try options.keys ?? GatewayKeys(signingKey: Self.sharedKey, secret: nil)
    signingKey = Self.sharedKey
    self.clock = clock
    reactor = try Reactor.start(name: "gateway")
    (parts, port) = try await reactor.run { reactor in
      let parts = try Parts(
        options, database, certificates.value, keys, clock: clock, on: reactor)
      let address = try parts.server.listen(on: .ipv4(address: 0x7F00_0001, port: 0))
      return (Confined(value: parts), address.port ?? 0)
    }
  }

  /// Runs `body` where the gateway runs.
  func inside<R: Sendable>(
    _ body: @escaping @Sendable (Parts) async throws -> R
  ) async throws -> R {
    let parts = parts
    return try await reactor.run { _ in try await body(parts.value) }
  }

  func stop() async throws {
    try await inside { parts in
      await parts.server.drain(until: .now())
      await parts.gateway.stop()
      for channel in parts.channels { channel.close() }
      await parts.loseServices()
      for pool in parts.pools { pool.close() }
    }
    reactor.loop.stop()
  }

  // MARK: Users

  static let password = "correct horse battery"

  /// A new user, whose name is returned.
  func addUser(tenant: String? = "acme", roles: [UserRole] = [.member]) async throws -> String {
    let name = "user-\(UInt64.random(in: 0 ... .max))"
    guard let username = Username(name) else { return "" }
    let hash = try PasswordHash.hash(Self.password, parameters: TestGateway.cheap)
    let isNew = try await inside { parts in
      try await parts.users.create(
        username, displayName: "A user", tenant: tenant, roles: roles, passwordHash: hash,
        deadline: .now() + .seconds(20))
    }
    precondition(isNew)
    return name
  }

  // MARK: Calls

  func call(
    _ method: String, _ path: String, token: String? = nil, headers: [String: String] = [:],
    body: String? = nil
  ) throws -> HTTPReply {
    try RawClient(port: port).call(method, path, token: token, headers: headers, body: body)
  }

  func login(
    _ username: String, _ password: String = password, headers: [String: String] = [:]
  ) throws -> HTTPReply {
    try call(
      "POST", "/v1/auth/login", headers: headers,
      body: #"{"username": "\#(username)", "password": "\#(password)"}"#)
  }

  /// An access token of this gateway's key, without a login.
  func token(
    tenant: String? = "acme", subject: String = "u-\(UInt64.random(in: 0 ... .max))",
    roles: [String] = ["member"]
  ) throws -> String {
    try TokenIssuer(rules: AccessTokens.rules, key: .es256(signingKey)).issue(
      for: TokenPrincipal(subject: subject, tenant: tenant, roles: roles),
      now: clock.wallNow.seconds, lifetimeSeconds: AccessTokens.lifetimeSeconds
    ).token
  }
}

/// Runs `body` with a gateway that is gone afterwards.
func withGateway(
  _ options: TestGateway.Options = TestGateway.Options(),
  _ body: (TestGateway) async throws -> Void
) async throws {
  let gateway = try await TestGateway(options)
  do {
    try await body(gateway)
  } catch {
    try await gateway.stop()
    throw error
  }
  try await gateway.stop()
}

/// A tenant of the test's own: what is counted for it is no other test's.
func newTenant() -> String { "t\(UInt32.random(in: 0 ... .max))" }
