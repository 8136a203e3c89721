import Contracts
import Cryptography
import Foundation
import Glibc
import Logging
import Postgres
import Protobuf
import RPC
import RPCCore
import Reactor
import ServiceRuntime
import Synchronization
import TestKit
import Testing

@testable import ConfigService

extension Instant {
  /// Far enough for anything that works, near enough for a test that does not end.
  static var soon: Instant { .now() + .seconds(30) }
}

/// The one database of the test process: a service's roles belong to the whole server. Tests keep apart
/// by tenants of their own.
enum TestDatabase {
  static let key = PlatformEncryptionKey.generate()

  /// All tests of the process have their pools at the same time.
  private static let server = Result {
    var options = ThrowawayPostgres.Options()
    options.maxConnections = 400
    return try ThrowawayPostgres(options)
  }

  private static let prepared = Task { () throws -> ServiceDatabase in
    let admin = try server.get().createDatabase()
    let reactor = try Reactor.start(name: "set-up")
    defer { reactor.loop.stop() }
    return try await reactor.run { reactor in
      var setup = DatabaseSetup(logger: quiet)
      setup.timeout = .seconds(60)
      let blocking = BlockingPool()
      let urls = try await setup.prepare(
        service: "config", admin: DatabaseURL(admin), on: reactor, blocking: blocking)
      try await Migrator(logger: quiet).run(
        ConfigMigrations.all(), owner: urls.owner, on: reactor, blocking: blocking)
      return urls
    }
  }

  static func urls() async throws -> ServiceDatabase { try await prepared.value }
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// What a service logs, kept to be looked through.
final class LogRecord: LogHandler, Sendable {
  private let lines = Mutex<[String]>([])
  var text: String { lines.withLock { $0.joined(separator: "\n") } }

  var metadata: Logger.Metadata {
    get { [:] }
    set {}
  }
  var logLevel: Logger.Level {
    get { .trace }
    set {}
  }
  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { nil }
    set {}
  }

  func log(event: LogEvent) {
    lines.withLock { $0.append("\(event.level) \(event.message) \(event.metadata ?? [:])") }
  }
}

/// A config service on a loopback port with mutual TLS, and clients of it. Confined to its reactor.
final class ConfigPeers {
  let reactor: Reactor
  let log = LogRecord()
  let service: ConfigService
  let application: PostgresPool
  let worker: PostgresPool
  /// Sees and changes all rows, as somebody who got at the database.
  let owner: PostgresPool
  private let address: SocketAddress
  private let certificates: TestCertificates
  private let issuer: TokenIssuer
  private let server: Server
  private var channels: [String: Channel] = [:]

  init(
    _ reactor: isolated Reactor, urls: ServiceDatabase, key platformKey: PlatformEncryptionKey,
    limits: ConfigLimits
  ) throws {
    self.reactor = reactor
    let blocking = BlockingPool()
    func pool(
      _ url: DatabaseURL, _ role: PostgresPool.Role, connections: Int
    ) throws -> PostgresPool {
      var pool = PoolConfiguration()
      pool.connectionsMax = connections
      // A busy machine is no failure.
      pool.acquireTimeout = .seconds(30)
      var configuration = try PostgresConfiguration(url: url.revealed)
      configuration.connectTimeout = .seconds(30)
      return PostgresPool(
        configuration, as: role, limits: pool, on: reactor, blocking: blocking, logger: quiet)
    }
    application = try pool(urls.application, .application, connections: 4)
    worker = try pool(urls.worker, .worker, connections: 1)
    owner = try pool(urls.owner, .owner, connections: 1)
    let record = log
    let logger = Logger(label: "config") { _ in record }
    service = try ConfigService(
      database: application, worker: worker, key: platformKey, logger: logger, limits: limits,
      now: { 1_700_000_000_000_000 })
    certificates = try TestCertificates()
    let key = P256PrivateKey.generate()
    issuer = TokenIssuer(rules: CallerTokens.rules(for: .config), key: .es256(key))
    let callers = CallerInterceptor(
      audience: .config, keys: try JSONWebKeySet([key.publicKey]).tokenKeySet(),
      now: { Int64(time(nil)) })
    server = Server(
      reactor: reactor,
      interceptors: [RequestContextInterceptor(), ConfigService.policy(), callers])
    for methods in service.services { server.register(methods) }
    address = try server.listen(
      on: .ipv4(address: 0x7F00_0001, port: 0),
      tls: TLSContext.server(certificates.configuration(for: "config")))
  }

  func close() async {
    for channel in channels.values { channel.close() }
    await server.drain(until: .now() + .seconds(5))
    for pool in [application, worker, owner] { pool.close() }
  }

  // MARK: Clients

  func channel(as identity: String) throws -> Channel {
    if let channel = channels[identity] { return channel }
    var configuration = ChannelConfiguration()
    configuration.tls = try TLSContext.client(certificates.configuration(for: identity))
    configuration.expectedServer = .spiffe("spiffe://storeplane/config")
    let channel = Channel(reactor: reactor, configuration: configuration, address: address)
    channels[identity] = channel
    return channel
  }

  func tenants(as identity: String = "gateway") throws -> ConfigV1.TenantServiceClient {
    ConfigV1.TenantServiceClient(channel: try channel(as: identity))
  }

  func settings(as identity: String = "gateway") throws -> ConfigV1.SettingsServiceClient {
    ConfigV1.SettingsServiceClient(channel: try channel(as: identity))
  }

  func secrets(as identity: String = "gateway") throws -> ConfigV1.SecretServiceClient {
    ConfigV1.SecretServiceClient(channel: try channel(as: identity))
  }

  /// What the gateway sends along for a user.
  func user(of tenant: String?, roles: [String] = ["member"]) throws -> CallOptions {
    let token = try issuer.issue(
      for: TokenPrincipal(subject: "ada", tenant: tenant, roles: roles),
      now: Int64(time(nil)), lifetimeSeconds: 60
    ).token
    var options = CallOptions()
    options.metadata.append("authorization", "Bearer \(token)")
    options.metadata.append("x-request-id", "request-of-the-test")
    return options
  }

  func administrator() throws -> CallOptions { try user(of: nil, roles: ["admin"]) }

  // MARK: Short forms

  /// A new tenant, and the options of its user.
  func newTenant() async throws -> (id: String, options: CallOptions) {
    let id = ConfigPeers.newTenantID()
    _ = try await tenants().createTenant(.init(tenant: id), options: administrator())
    return (id, try user(of: id))
  }

  static func newTenantID() -> String {
    "t" + String(UInt64.random(in: 0 ... .max), radix: 36)
  }

  @discardableResult
  func set(
    _ name: String, _ value: String, expecting version: Int64? = nil, _ options: CallOptions
  ) async throws -> ConfigV1.Secret {
    try await secrets().setSecret(
      .init(name: name, payload: .value(value), expectedVersion: version), options: options)
  }

  func access(_ tenant: String, _ name: String) async throws -> String {
    let answer = try await secrets(as: "provisioner").accessSecret(
      .init(tenant: tenant, name: name))
    return String(decoding: answer.data, as: UTF8.self)
  }

  @discardableResult
  func sql(_ statement: String, _ parameters: PostgresParameter...) async throws -> PostgresRows {
    try await owner.query(scope: .none, statement, parameters, deadline: .soon)
  }

  /// The audit events that wait for delivery, in the order they were made.
  func events(of tenant: String) async throws -> [AuditV1.Event] {
    try await sql(
      "SELECT payload FROM outbox WHERE tenant = $1 ORDER BY created_at", .text(tenant)
    ).map { try AuditV1.Event(serialized: $0.decode("payload")) }
  }
}

/// Runs `body` with a config service on a reactor of its own.
func withConfig<R: Sendable>(
  key: PlatformEncryptionKey = TestDatabase.key,
  limits: ConfigLimits = ConfigLimits(),
  _ body: @Sendable (ConfigPeers) async throws -> R
) async throws -> R {
  let urls = try await TestDatabase.urls()
  let reactor = try Reactor.start(name: "config")
  defer { reactor.loop.stop() }
  return try await reactor.run { reactor in
    let peers = try ConfigPeers(reactor, urls: urls, key: key, limits: limits)
    do {
      let value = try await body(peers)
      await peers.close()
      return value
    } catch {
      await peers.close()
      throw error
    }
  }
}

/// The `RPCError` that `body` throws; another error, or none, fails the test.
func refusal<R>(
  _ location: SourceLocation = #_sourceLocation, _ body: () async throws -> R
) async -> RPCError {
  do {
    _ = try await body()
    Issue.record("the call succeeded", sourceLocation: location)
  } catch let error as RPCError {
    return error
  } catch {
    Issue.record("another error: \(error)", sourceLocation: location)
  }
  return RPCError(.ok, "")
}

/// The error of this type that `body` throws; nil for another outcome.
func failure<Failure: Error, R>(
  _ type: Failure.Type, _ body: () async throws -> R
) async -> Failure? {
  do {
    _ = try await body()
    return nil
  } catch {
    return error as? Failure
  }
}

/// What tasks found out; confined to a reactor.
private final class Outcomes<R> {
  var results: [Result<R, any Error>] = []
}

/// Runs `body` `count` times at once on the caller's reactor.
func atOnce<R>(
  _ count: Int, on reactor: Reactor, _ body: @escaping (Int) async throws -> R
) async -> [Result<R, any Error>] {
  let outcomes = Outcomes<R>()
  let tasks = (0..<count).map { number in
    reactor.loop.spawn(on: reactor) {
      do {
        outcomes.results.append(.success(try await body(number)))
      } catch {
        outcomes.results.append(.failure(error))
      }
    }
  }
  for task in tasks { await task.value }
  return outcomes.results
}
