import Configuration
import Contracts
import Cryptography
import Glibc
import Postgres
import ProvisionerTestKit
import RPC
import RPCCore
import Reactor
import ServiceRuntime
import TestKit

@testable import ProvisionerService

/// A provisioner's handlers on a loopback port with mutual TLS, and clients of them. Confined to its
/// reactor.
final class ServicePeers {
  let desk: Desk
  let register = FakeClusterRegister()
  private let address: SocketAddress
  private let certificates: TestCertificates
  private let issuer: TokenIssuer
  private let server: Server
  private var channels: [String: Channel] = [:]

  init(_ desk: Desk) throws {
    self.desk = desk
    certificates = try TestCertificates()
    let key = P256PrivateKey.generate()
    issuer = TokenIssuer(rules: CallerTokens.rules(for: .provisioner), key: .es256(key))
    let callers = CallerInterceptor(
      audience: .provisioner, keys: try JSONWebKeySet([key.publicKey]).tokenKeySet(),
      now: { Int64(time(nil)) })
    let stores = StoreHandler(
      catalog: desk.catalog, feed: desk.feed,
      address: HostURLTemplate(scheme: "http", port: 8880), logger: quiet)
    let operations = OperationHandler(catalog: desk.catalog, feed: desk.feed, logger: quiet)
    let clusters = ClusterHandler(
      catalog: desk.clusters, inspector: register, secrets: register, logger: quiet)
    let backups = BackupHandler(catalog: desk.catalog, logger: quiet)
    server = Server(
      reactor: desk.reactor,
      interceptors: [
        RequestContextInterceptor(),
        ProvisionerService.policy(stores, operations, clusters, backups),
        callers,
      ])
    server.register(clusters.methods)
    server.register(stores.methods)
    server.register(operations.methods)
    server.register(backups.methods)
    address = try server.listen(
      on: .ipv4(address: 0x7F00_0001, port: 0),
      tls: TLSContext.server(certificates.configuration(for: "provisioner")))
  }

  func close() async {
    for channel in channels.values { channel.close() }
    await server.drain(until: .now() + .seconds(5))
  }

  private func channel(as identity: String) throws -> Channel {
    if let channel = channels[identity] { return channel }
    var configuration = ChannelConfiguration()
    configuration.tls = try TLSContext.client(certificates.configuration(for: identity))
    configuration.expectedServer = .spiffe("spiffe://storeplane/provisioner")
    let channel = Channel(reactor: desk.reactor, configuration: configuration, address: address)
    channels[identity] = channel
    return channel
  }

  func stores(as identity: String = "gateway") throws -> ProvisionerV1.StoreServiceClient {
    ProvisionerV1.StoreServiceClient(channel: try channel(as: identity))
  }

  func operations() throws -> ProvisionerV1.OperationServiceClient {
    ProvisionerV1.OperationServiceClient(channel: try channel(as: "gateway"))
  }

  func backups() throws -> ProvisionerV1.BackupServiceClient {
    ProvisionerV1.BackupServiceClient(channel: try channel(as: "gateway"))
  }

  func clusters() throws -> ProvisionerV1.ClusterServiceClient {
    ProvisionerV1.ClusterServiceClient(channel: try channel(as: "gateway"))
  }

  func administrator(of tenant: String? = Desk.tenant) throws -> CallOptions {
    try user(of: tenant, roles: ["admin", "member"])
  }

  /// What the gateway sends along for a user.
  func user(
    of tenant: String? = Desk.tenant, roles: [String] = ["member"]
  ) throws -> CallOptions {
    let token = try issuer.issue(
      for: TokenPrincipal(subject: "ada", tenant: tenant, roles: roles),
      now: Int64(time(nil)), lifetimeSeconds: 60
    ).token
    var options = CallOptions()
    options.metadata.append("authorization", "Bearer \(token)")
    options.metadata.append("x-request-id", "request-of-the-test")
    options.metadata.append("x-forwarded-for", "192.0.2.7")
    return options
  }

  @discardableResult
  func create(
    _ name: String, engine: ProvisionerV1.Engine = .woocommerce,
    parameters: ProvisionerV1.StoreParameters? = nil, validateOnly: Bool = false,
    tenant: String = Desk.tenant
  ) async throws -> ProvisionerV1.Operation {
    try await stores().createStore(
      .init(
        name: name, engine: engine, parameters: parameters, validateOnly: validateOnly),
      options: user(of: tenant))
  }
}

/// Runs `body` with the service.
func withService<R: Sendable>(
  on server: ThrowawayPostgres? = nil,
  _ body: @Sendable (ServicePeers, Desk, TestDatabase) async throws -> R
) async throws -> R {
  try await atDesk(on: server) { desk, database in
    let peers = try ServicePeers(desk)
    let result = try await body(peers, desk, database)
    await peers.close()
    return result
  }
}

/// The `RPCError` that `body` throws; nil when it succeeds or throws another error.
func rpcError<R>(_ body: () async throws -> R) async -> RPCError? {
  do {
    _ = try await body()
    return nil
  } catch { return error as? RPCError }
}

/// The field that `body` is refused for; nil where it is not.
func invalidField<R>(_ body: () async throws -> R) async -> String? {
  let error = await rpcError(body)
  return error?.code == .invalidArgument ? error?.fieldViolations.first?.field : nil
}
