import Contracts
import Cryptography
import Foundation
import Logging
import Postgres
import RPC
import RPCCore
import Reactor
import ServiceRuntime
import TestKit

@testable import AuditService

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

extension Instant {
  /// Far enough for anything that works, near enough for a test that does not end.
  static var soon: Instant { .now() + .seconds(20) }
}

/// Runs `body` on a reactor of its own.
func onReactor<R: Sendable>(
  _ body: @Sendable (isolated Reactor) async throws -> R
) async throws -> R {
  let reactor = try Reactor.start(name: "test")
  defer { reactor.loop.stop() }
  return try await reactor.run(body)
}

func rpcError(_ body: () async throws -> Void) async -> RPCError? {
  do {
    try await body()
    return nil
  } catch {
    return error as? RPCError ?? RPCError(.unknown, "another error: \(error)")
  }
}

/// The schema of audit in a database of its own.
enum AuditDatabase {
  static let blocking = BlockingPool()

  /// With room for the connections of all tests at once.
  private static let server = Result {
    var options = ThrowawayPostgres.Options()
    options.maxConnections = 400
    return try ThrowawayPostgres(options)
  }

  /// An empty database; the superuser's URL of it.
  static func createDatabase() throws -> String { try server.get().createDatabase() }

  /// Roles are common to all databases of a server: they get their passwords once.
  private static let roles = Task {
    let admin = try createDatabase()
    return (admin, try await prepare(admin, present: nil))
  }

  static func make() async throws -> ServiceDatabase {
    let (firstAdmin, first) = try await roles.value
    let admin = try createDatabase()
    let (old, new) = ("/\(try name(firstAdmin))", "/\(try name(admin))")
    func moved(_ url: DatabaseURL) -> DatabaseURL {
      DatabaseURL(
        url.revealed.replacingOccurrences(of: old, with: new, options: [.anchored, .backwards]))
    }
    let database = try await prepare(
      admin,
      present: ServiceDatabase(
        owner: moved(first.owner), application: moved(first.application),
        worker: moved(first.worker)))
    _ = try await onReactor { reactor in
      try await Migrator(logger: quiet).run(
        AuditMigrations.all(), owner: database.owner, on: reactor, blocking: blocking)
    }
    return database
  }

  private static func name(_ url: String) throws -> String {
    try PostgresConfiguration(url: url).database ?? ""
  }

  private static func prepare(
    _ admin: String, present: ServiceDatabase?
  ) async throws -> ServiceDatabase {
    try await onReactor { reactor in
      var setup = DatabaseSetup(logger: quiet)
      setup.timeout = .seconds(60)
      return try await setup.prepare(
        service: "audit", admin: DatabaseURL(admin), present: present, on: reactor,
        blocking: blocking)
    }
  }
}

/// The audit service on a loopback port, and whom it is called by. Confined to a reactor.
final class AuditPeers {
  static let key = P256PrivateKey.generate()

  let reactor: Reactor
  let application: PostgresPool
  let worker: PostgresPool
  let owner: PostgresPool
  let hub: TailHub
  let server: Server
  let address: SocketAddress
  private let listener: PostgresListener
  private let certificates: TestCertificates
  private var channels: [Channel] = []
  private var clients: [String: AuditV1.AuditServiceClient] = [:]

  init(
    _ reactor: Reactor, _ database: ServiceDatabase, _ certificates: TestCertificates,
    limits: AuditLimits
  ) throws {
    func configuration(_ url: DatabaseURL) throws -> PostgresConfiguration {
      var configuration = try PostgresConfiguration(url: url.revealed)
      configuration.connectTimeout = .seconds(20)
      return configuration
    }
    func pool(_ url: DatabaseURL, _ role: PostgresPool.Role) throws -> PostgresPool {
      var limits = PoolConfiguration()
      limits.connectionsMax = 4
      // A busy machine is no failure.
      limits.acquireTimeout = .seconds(30)
      return PostgresPool(
        try configuration(url), as: role, limits: limits, on: reactor,
        blocking: AuditDatabase.blocking, logger: quiet)
    }
    self.reactor = reactor
    self.certificates = certificates
    application = try pool(database.application, .application)
    worker = try pool(database.worker, .worker)
    owner = try pool(database.owner, .owner)
    listener = PostgresListener(
      try configuration(database.application), on: reactor, blocking: AuditDatabase.blocking,
      logger: quiet)
    hub = TailHub(pool: application, reactor: reactor, limits: limits, logger: quiet)
    try hub.start(listener: listener)
    let handler = AuditHandler(
      application: application, worker: worker, hub: hub, limits: limits)
    server = Server(
      reactor: reactor,
      interceptors: [
        RequestContextInterceptor(), AuditHandler.policy(),
        CallerInterceptor(
          audience: .audit, keys: try TokenKeySet([AuditPeers.key.publicKey]),
          now: { Int64(time(nil)) }),
      ])
    server.register(handler.methods)
    address = try server.listen(
      on: .ipv4(address: 0x7F00_0001, port: 0),
      tls: TLSContext.server(certificates.configuration(for: "audit")))
  }

  func client(as service: String) throws -> AuditV1.AuditServiceClient {
    if let known = clients[service] { return known }
    let address = address
    let client = AuditV1.AuditServiceClient(
      channel: try channel(as: service) { return [address] })
    clients[service] = client
    return client
  }

  func channel(
    as service: String, to addresses: @escaping () async throws -> [SocketAddress]
  ) throws -> Channel {
    var configuration = ChannelConfiguration()
    configuration.tls = try TLSContext.client(certificates.configuration(for: service))
    configuration.expectedServer = .spiffe(ServiceIdentity.audit.spiffe)
    configuration.backoff = .milliseconds(5)
    let channel = Channel(reactor: reactor, configuration: configuration, resolve: addresses)
    channels.append(channel)
    return channel
  }

  /// A call for a person of `tenant`, as the gateway makes it.
  static func options(tenant: String?) throws -> CallOptions {
    let issuer = TokenIssuer(rules: CallerTokens.rules(for: .audit), key: .es256(key))
    let token = try issuer.issue(
      for: TokenPrincipal(subject: "anna", tenant: tenant, roles: []), now: Int64(time(nil)),
      lifetimeSeconds: CallerTokens.lifetimeSeconds
    ).token
    var options = CallOptions()
    options.metadata.append("authorization", "Bearer \(token)")
    return options
  }

  func close() {
    hub.stop()
    for channel in channels { channel.close() }
    listener.close()
    for pool in [application, worker, owner] { pool.close() }
  }

  /// Records events as the provisioner.
  @discardableResult
  func append(_ events: [AuditV1.Event]) async throws -> [Outcome] {
    try await client(as: "provisioner").appendEvents(.init(events: events)).results.map(\.outcome)
  }

  func list(
    _ tenant: String, _ request: AuditV1.ListEventsRequest = .init()
  ) async throws -> AuditV1.ListEventsResponse {
    try await client(as: "gateway").listEvents(request, options: AuditPeers.options(tenant: tenant))
  }

  func tail(
    _ tenant: String, _ request: AuditV1.TailEventsRequest = .init()
  ) async throws -> ResponseStream<AuditV1.Event> {
    try await client(as: "gateway").tailEvents(request, options: AuditPeers.options(tenant: tenant))
  }

  /// Waits until that many tails are served.
  func waitForTails(_ count: Int) async throws {
    while hub.tailCount != count { try await ping() }
  }

  /// A round trip to the database, which lets everything else on the reactor go on.
  func ping() async throws {
    try await application.query(scope: .none, "SELECT 1", deadline: .soon)
  }
}

typealias Outcome = AuditV1.AppendEventsResponse.Result.Outcome

/// Runs `body` beside an audit service with a database of its own.
func withAudit<R: Sendable>(
  limits: AuditLimits = AuditLimits(), _ body: @Sendable (AuditPeers) async throws -> R
) async throws -> R {
  let database = try await AuditDatabase.make()
  let certificates = try TestCertificates()
  nonisolated(unsafe) let own = certificates
  return try await onReactor { reactor in
    let peers = try AuditPeers(reactor, database, own, limits: limits)
    defer { peers.close() }
    return try await body(peers)
  }
}

/// A good event of the provisioner, which occurred `number` seconds after a time in 2025.
func event(
  _ number: Int = 0, tenant: String = "acme", store: String = "", name: String = "",
  action: String = "store.transition", actor: String = "anna"
) -> AuditV1.Event {
  AuditV1.Event(
    id: PostgresUUID.random().description, tenant: tenant, store: store, revision: Int64(number),
    action: action,
    occurTime: GoogleProtobuf.Timestamp(seconds: 1_750_000_000 + Int64(number), nanos: 123_000),
    actor: AuditV1.Actor(kind: .user, id: actor, address: "192.0.2.7"), previousState: "requested",
    newState: "provisioning", requestID: "r-1", traceID: "0123456789abcdef0123456789abcdef",
    service: "provisioner", operation: "o-1", storeName: name)
}
