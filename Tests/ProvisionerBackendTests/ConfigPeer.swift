import ConfigService
import Contracts
import Cryptography
import Foundation
import Glibc
import Postgres
import RPC
import RPCCore
import Reactor
import ServiceRuntime
import TestKit

/// The real config service on a socket with mutual TLS, and the provisioner's client of it.
/// Confined to its reactor.
final class ConfigPeer {
  static let server = Result { try ThrowawayPostgres() }

  static let database = Task { () throws -> ServiceDatabase in
    let admin = try server.get().createDatabase()
    return try await onReactor { reactor in
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

  private static let key = PlatformEncryptionKey.generate()

  let secrets: ConfigV1.SecretServiceClient
  private let certificates: TestCertificates
  private let issuer: TokenIssuer
  private let server: Server
  private let address: SocketAddress
  private let pools: [PostgresPool]
  private var channels: [Channel] = []

  private let path: String

  /// - Parameter isAway: it does not listen before `listen`.
  init(_ reactor: isolated Reactor, _ urls: ServiceDatabase, isAway: Bool = false) throws {
    let blocking = BlockingPool()
    func pool(_ url: DatabaseURL, _ role: PostgresPool.Role) throws -> PostgresPool {
      PostgresPool(
        try PostgresConfiguration(url: url.revealed), as: role, limits: PoolConfiguration(),
        on: reactor, blocking: blocking, logger: quiet)
    }
    let application = try pool(urls.application, .application)
    let worker = try pool(urls.worker, .worker)
    pools = [application, worker]
    let service = try ConfigService(
      database: application, worker: worker, key: Self.key, logger: quiet, limits: ConfigLimits(),
      now: { 1_700_000_000_000_000 })
    certificates = try TestCertificates()
    let tokenKey = P256PrivateKey.generate()
    issuer = TokenIssuer(rules: CallerTokens.rules(for: .config), key: .es256(tokenKey))
    let callers = CallerInterceptor(
      audience: .config, keys: try JSONWebKeySet([tokenKey.publicKey]).tokenKeySet(),
      now: { Int64(time(nil)) })
    server = Server(
      reactor: reactor,
      interceptors: [RequestContextInterceptor(), ConfigService.policy(), callers])
    for methods in service.services { server.register(methods) }
    path = "/tmp/storeplane-config-\(UUID().uuidString)"
    address = .unix(path: path)
    let channel = try Self.channel(as: "provisioner", address, certificates, reactor)
    channels = [channel]
    secrets = ConfigV1.SecretServiceClient(channel: channel)
    if !isAway { try listen() }
  }

  func listen() throws {
    _ = try server.listen(
      on: address, tls: TLSContext.server(certificates.configuration(for: "config")))
  }

  func close() async {
    try? FileManager.default.removeItem(atPath: path)
    for channel in channels { channel.close() }
    await server.drain(until: .now() + .seconds(5))
    for pool in pools { pool.close() }
  }

  /// A tenant of its own.
  func newTenant(on reactor: Reactor) async throws -> String {
    let tenant = "t" + String(UInt64.random(in: 0 ... .max), radix: 36)
    let channel = try Self.channel(as: "gateway", address, certificates, reactor)
    channels.append(channel)
    let token = try issuer.issue(
      for: TokenPrincipal(subject: "ada", tenant: nil, roles: ["admin"]), now: Int64(time(nil)),
      lifetimeSeconds: 60
    ).token
    var options = CallOptions()
    options.metadata.append("authorization", "Bearer \(token)")
    _ = try await ConfigV1.TenantServiceClient(channel: channel).createTenant(
      .init(tenant: tenant), options: options)
    return tenant
  }

  private static func channel(
    as identity: String, _ address: SocketAddress, _ certificates: TestCertificates,
    _ reactor: Reactor
  ) throws -> Channel {
    var configuration = ChannelConfiguration()
    configuration.tls = try TLSContext.client(certificates.configuration(for: identity))
    configuration.expectedServer = .spiffe("spiffe://storeplane/config")
    return Channel(reactor: reactor, configuration: configuration, address: address)
  }
}
