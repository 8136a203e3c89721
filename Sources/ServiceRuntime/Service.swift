package import Configuration
import Contracts
import Cryptography
import Descriptors
import Foundation
import Glibc
import HTTP
package import Logging
package import Observability
package import Postgres
package import RPC
import RPCServices
package import Reactor

/// What a service is made of, for its `Main` to put together. Confined to the reactor.
package final class Service {
  package let identity: PlatformService
  package let configuration: Configuration
  package let logger: Logger
  package let reactor: Reactor
  package let metrics = MetricsRegistry()
  package let health = HealthRegistry()
  package let blocking = BlockingPool()
  private let clientObserver: ClientCallObserver
  private let clientConfig: ServiceConfig
  private let grpcHealth = HealthService()
  private let admin: AdminServer
  private let started: ReadinessCheck
  private let certificates: CertificateRenewal?
  private var readiness: DatabaseReadiness?
  private var server: Server?
  private var pools: [PostgresPool] = []
  private var listeners: [PostgresListener] = []
  private var channels: [Channel] = []
  private var drainers: [() -> Void] = []
  private var closers: [() async -> Void] = []
  private var stopWaiter: CheckedContinuation<Void, Never>?
  private var stopSignals = 0

  init(
    _ identity: PlatformService, _ configuration: Configuration, logger: Logger, reactor: Reactor
  ) throws {
    self.identity = identity
    self.configuration = configuration
    self.logger = logger
    self.reactor = reactor
    metrics.collectProcessMetrics()
    clientObserver = ClientCallObserver(metrics: metrics)
    clientConfig = try configuration.rpcServiceConfig()
    admin = AdminServer(reactor: reactor, metrics: metrics, health: health)
    started = health.addCheck("start")
    certificates = try Service.tlsConfiguration(configuration).map { [metrics] tls in
      try CertificateRenewal(tls, loop: reactor.loop, logger: logger, metrics: metrics)
    }
    collectHealth()
  }

  /// Of the servers that the channels are connected to.
  private func collectHealth() {
    // Scrapes are on the service's reactor.
    nonisolated(unsafe) unowned let service = self
    metrics.collect {
      let count = service.channels.reduce(0) { $0 + $1.unhealthyConnections }
      return [
        .gauge(
          "grpc_client_unhealthy_connections",
          help: "Connections to servers that say they take no calls.", Double(count))
      ]
    }
  }

  // MARK: Parts

  /// Has `close` called when the service stops, after the calls under way have ended; the last given
  /// is called first.
  package func onStop(_ close: @escaping () async -> Void) { closers.append(close) }

  /// Has `drain` called when the service begins to stop, while calls still end: the place to end calls
  /// that would otherwise go on until the grace is over.
  package func onDrain(_ drain: @escaping () -> Void) { drainers.append(drain) }

  /// A pool of connections as the application role, or as the worker role for what crosses tenants.
  package func pool(_ role: PostgresPool.Role = .application) throws -> PostgresPool {
    var limits = PoolConfiguration()
    limits.connectionsMax = configuration[PlatformSettings.databaseConnections]
    let pool = PostgresPool(
      try database(role), as: role, limits: limits, on: reactor, blocking: blocking, logger: logger)
    pools.append(pool)
    if role == .application, readiness == nil {
      readiness = DatabaseReadiness(pool, health: health, on: reactor)
    }
    return pool
  }

  /// A connection that hears what is notified.
  package func listener() throws -> PostgresListener {
    let listener = PostgresListener(
      try database(.application), on: reactor, blocking: blocking, logger: logger)
    listeners.append(listener)
    return listener
  }

  private func database(_ role: PostgresPool.Role) throws -> PostgresConfiguration {
    let url: Secret? =
      switch role {
      case .application: configuration[PlatformSettings.databaseURL]
      case .worker: configuration[PlatformSettings.databaseWorkerURL]
      case .owner: configuration[PlatformSettings.databaseOwnerURL]
      }
    guard let url else { throw StartError("the URL of the database's \(role) role is not set") }
    var database = try PostgresConfiguration(url: url.revealed())
    database.applicationName = "storeplane-\(identity.rawValue)"
    return database
  }

  /// A channel to another service, over mutual TLS where certificates are configured.
  package func channel(to service: ServiceIdentity, at address: HostPort) throws -> Channel {
    var configuration = ChannelConfiguration()
    configuration.service = clientConfig
    configuration.authority = address.description
    if let certificates {
      configuration.tls = certificates.client
      configuration.expectedServer = .spiffe(service.spiffe)
    }
    let resolver = NameResolver(blocking: blocking)
    let channel = Channel(
      reactor: reactor, configuration: configuration,
      interceptors: [RequestContextInterceptor(), clientObserver],
      resolve: { try await resolver.resolve(address.host, port: address.port) })
    channel.observer = ServerHealthLog(of: service, logger: logger)
    channels.append(channel)
    return channel
  }

  /// The gRPC server with the interceptors that every service has; it listens once all is put
  /// together. `policy` says who may call what; health and reflection are for every service.
  package func serve(_ services: [[ServerMethod]], policy: AuthorizationPolicy) throws {
    let descriptors = try DescriptorPool(serialized: DescriptorSet.serialized)
    let names = Set((services + [grpcHealth.methods]).joined().map(\.descriptor.service))
    let reflection = ReflectionService(descriptors, services: names.sorted())
    let builtIn = [grpcHealth.methods, reflection.methods]
    for methods in builtIn {
      for caller in ServiceIdentity.allCases { policy.allow(service: methods, to: caller) }
    }
    var interceptors: [any ServerInterceptor] = [
      RequestContextInterceptor(), CallObserver(logger: logger, metrics: metrics), policy,
    ]
    if let caller = try callerInterceptor() { interceptors.append(caller) }
    let limits = ServerLimits(memoryBytes: MemoryLimit.bytes())
    let server = Server(reactor: reactor, limits: limits, interceptors: interceptors)
    for methods in builtIn + services { server.register(methods) }
    server.observer = ConnectionObserver(server, logger: logger, metrics: metrics)
    self.server = server
  }

  private func callerInterceptor() throws -> CallerInterceptor? {
    guard let file = configuration[PlatformSettings.callerKeysFile],
      let audience = ServiceIdentity(rawValue: identity.rawValue)
    else { return nil }
    let keys = try JSONWebKeySet(parsing: String(contentsOfFile: file, encoding: .utf8))
    return CallerInterceptor(audience: audience, keys: try keys.tokenKeySet()) {
      Int64(time(nil))
    }
  }

  /// Nil where no certificate is configured.
  private static func tlsConfiguration(_ configuration: Configuration) -> TLSConfiguration? {
    guard let certificate = configuration[PlatformSettings.tlsCertificateFile] else { return nil }
    return TLSConfiguration(
      certificateFile: certificate, keyFile: configuration[PlatformSettings.tlsKeyFile],
      authoritiesFile: configuration[PlatformSettings.tlsCAFile],
      requiresClientCertificate: true, applicationProtocols: ["h2"])
  }

  // MARK: Life

  func migrate(_ migrations: [Migration]) async throws {
    guard let url = configuration[PlatformSettings.databaseOwnerURL] else { return }
    try await Migrator(logger: logger).run(
      migrations, owner: DatabaseURL(url.revealed()), on: reactor, blocking: blocking)
  }

  /// Answers probes, before there is anything else: a start may wait for the database.
  func answerProbes() async throws {
    try admin.listen(on: try await address(PlatformSettings.adminAddress))
  }

  /// Starts to take calls.
  func open() async throws {
    if let server {
      guard let certificates else {
        throw StartError("TLS_CERTIFICATE_FILE is not set: services speak over mutual TLS only")
      }
      try server.listen(
        on: try await address(PlatformSettings.listenAddress), tls: certificates.server)
    }
    grpcHealth.set(.serving)
    started.pass()
    logger.notice(
      "ready", metadata: ["address": "\(configuration[PlatformSettings.listenAddress])"])
  }

  /// The first address of what a setting names.
  package func address(_ setting: Setting<HostPort>) async throws -> SocketAddress {
    let wanted = configuration[setting]
    let resolved = try await NameResolver(blocking: blocking).resolve(
      wanted.host, port: wanted.port)
    guard let first = resolved.first else {
      throw StartError("\(setting.key): \(wanted.host) has no address")
    }
    return first
  }

  /// Has new certificates taken up at once.
  func renewCertificates() { certificates?.renew() }

  /// Called for each signal to stop; a second one ends the process at once.
  func stop(_ signal: Int32) {
    stopSignals += 1
    if stopSignals > 1 { exit(128 + signal) }
    logger.notice("stopping", metadata: ["signal": "\(signal)"])
    stopWaiter?.resume()
    stopWaiter = nil
  }

  /// Waits until the service was told to stop and has come to its end.
  func stopped() async {
    if stopSignals == 0 { await withCheckedContinuation { stopWaiter = $0 } }
    grpcHealth.set(.notServing)
    grpcHealth.end()
    health.beginDraining()
    for drain in drainers { drain() }
    let grace = configuration[PlatformSettings.shutdownGrace]
    await server?.drain(until: Instant.now() + grace)
    for close in closers.reversed() { await close() }
    await readiness?.stop()
    for channel in channels { channel.close() }
    for listener in listeners { listener.close() }
    for pool in pools { pool.close() }
    certificates?.stop()
    // The probes were to see the drain.
    await admin.drain(until: .now())
    logger.notice("stopped")
  }
}

/// Why a service does not start.
package struct StartError: Error, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}
