package import Configuration
import Contracts
package import Cryptography
import Descriptors
package import HTTP
package import Logging
package import Observability
package import Postgres
import Protobuf
package import RPC
import RPCCore
package import Reactor
package import Resilience
package import ServiceRuntime
import Transcoding

/// What a gateway is made of.
package struct GatewayParts {
  package var keys: GatewayKeys
  package var limits = GatewayLimits()
  package var passwordParameters = PasswordHashParameters.recommended
  package var storeCreationCooldown: Duration
  /// Whose X-Forwarded-For is believed; from anybody else it is ignored.
  package var trustedProxies: [AddressRange] = []
  /// As the application role, and as the worker role.
  package var application: PostgresPool
  package var worker: PostgresPool
  /// To config, provisioner and audit.
  package var channels: [ServiceIdentity: Channel]
  package var metrics: MetricsRegistry
  package var logger: Logger
  package var time: any TimeSource = SystemTimeSource()

  package init(
    keys: GatewayKeys, storeCreationCooldown: Duration, application: PostgresPool,
    worker: PostgresPool, channels: [ServiceIdentity: Channel], metrics: MetricsRegistry,
    logger: Logger
  ) {
    self.keys = keys
    self.storeCreationCooldown = storeCreationCooldown
    self.application = application
    self.worker = worker
    self.channels = channels
    self.metrics = metrics
    self.logger = logger
  }
}

/// The public door, put together. Confined to its reactor.
package final class Gateway {
  private static let sessionPurgeInterval: Duration = .seconds(600)
  private static let sessionsPurged = 1000

  /// What an `HTTPServer` is to be given.
  package let handler: any HTTPHandler
  private let rateLimits: RateLimits
  private let streams: OpenStreams
  private let sessions: SessionStore
  private let reactor: Reactor
  private let logger: Logger
  private let databaseTimeout: Duration
  private var purgeTimer: LoopTimer?

  package init(_ parts: GatewayParts, on reactor: Reactor) throws {
    let limits = parts.limits
    let metrics = EdgeMetrics(parts.metrics)
    self.reactor = reactor
    logger = parts.logger
    databaseTimeout = limits.databaseTimeout
    sessions = SessionStore(application: parts.application, worker: parts.worker)
    rateLimits = RateLimits(
      limits, store: RateBucketStore(pool: parts.application), time: parts.time,
      logger: parts.logger, on: reactor)
    let transcoder = try Transcoder(
      DescriptorPool(serialized: DescriptorSet.serialized), services: Self.services)
    let backends = try Self.backends(parts, rateLimits, sessions, metrics, transcoder)
    let steps: [any EdgeStep] = [
      AddressLimitStep(rateLimits, metrics),
      RoutingStep(try RouteTable(transcoder, backends, [Self.keySet(parts.keys)])),
      DeadlineStep(timeoutMax: limits.requestTimeoutMax),
      AuthenticationStep(
        Authenticator(parts.keys, time: parts.time, rememberedTokens: limits.rememberedTokens)),
      PrincipalLimitStep(rateLimits, metrics),
    ]
    streams = OpenStreams(perPrincipalMax: limits.streamsPerPrincipal, metrics)
    handler = EdgeHandler(
      steps, streams: streams, limits: limits, trustedProxies: parts.trustedProxies,
      metrics: metrics, logger: parts.logger, on: reactor)
  }

  /// Starts the work in the background.
  package func start() {
    rateLimits.start()
    schedulePurge()
  }

  /// Ends the streams, whose clients are told to come back: they would hold up a drain to its end.
  package func endStreams() { streams.endAll() }

  /// Ends the work in the background; to be called when no request is under way any more.
  package func stop() async {
    if let purgeTimer { reactor.loop.cancel(purgeTimer) }
    purgeTimer = nil
    await rateLimits.stop()
  }

  /// Settles the rate limits now, instead of at the next interval.
  package func settleRateLimits() async { await rateLimits.settle() }

  // MARK: Parts

  /// The services whose methods clients can call.
  private static let services: Set<String> = [
    GatewayV1.AuthServiceMethods.service, ConfigV1.TenantServiceMethods.service,
    ConfigV1.SettingsServiceMethods.service, ConfigV1.SecretServiceMethods.service,
    ProvisionerV1.StoreServiceMethods.service, ProvisionerV1.OperationServiceMethods.service,
    ProvisionerV1.ClusterServiceMethods.service, ProvisionerV1.BackupServiceMethods.service,
    AuditV1.AuditServiceMethods.service,
  ]

  private static func owner(of service: String) -> ServiceIdentity? {
    let owners: [ServiceIdentity] = [.config, .provisioner, .audit]
    return owners.first { service.hasPrefix("storeplane.\($0.rawValue).") }
  }

  private static func backends(
    _ parts: GatewayParts, _ rateLimits: RateLimits, _ sessions: SessionStore,
    _ metrics: EdgeMetrics, _ transcoder: Transcoder
  ) throws -> [String: any Backend] {
    var backends = try authentication(parts, rateLimits, sessions)
    let calls = UpstreamCalls(
      parts.keys, time: parts.time, metrics: metrics, logger: parts.logger,
      streamTimeout: parts.limits.streamTimeout)
    for route in transcoder.routes where backends[route.method.path] == nil {
      let method = MethodDescriptor(route.method)
      guard let owner = owner(of: method.service), let channel = parts.channels[owner] else {
        throw UnservedMethod(method: route.method.fullName)
      }
      backends[method.path] = UpstreamMethod(method, of: owner, over: channel, calls)
    }
    let create = ProvisionerV1.StoreServiceMethods.createStore.path
    if let provisioner = backends[create] {
      backends[create] = StoreCreation(
        provisioner,
        StoreCooldown(pool: parts.application, duration: parts.storeCreationCooldown),
        databaseTimeout: parts.limits.databaseTimeout, metrics: metrics, logger: parts.logger)
    }
    return backends
  }

  /// The methods that the gateway answers itself.
  private static func authentication(
    _ parts: GatewayParts, _ rateLimits: RateLimits, _ sessions: SessionStore
  ) throws -> [String: any Backend] {
    let passwords = try PasswordChecker(
      threads: BlockingPool(
        name: "passwords", threadsMax: parts.limits.passwordChecks,
        queueMax: parts.limits.passwordChecksWaiting),
      parameters: parts.passwordParameters)
    let service = SignInService(
      users: UserStore(pool: parts.worker), sessions: sessions, passwords: passwords,
      limits: rateLimits, keys: parts.keys, time: parts.time,
      databaseTimeout: parts.limits.databaseTimeout)
    let login = LocalMethod(needsCaller: false) { (request: GatewayV1.LoginRequest, exchange) in
      try await service.login(request, from: exchange.client, deadline: exchange.deadline)
    }
    let refresh = LocalMethod(needsCaller: false) { (request: GatewayV1.RefreshRequest, exchange) in
      try await service.refresh(request, from: exchange.client, deadline: exchange.deadline)
    }
    let me = LocalMethod(needsCaller: true) { (_: GatewayV1.GetMeRequest, exchange) in
      guard let caller = exchange.caller else {
        throw Refusal(.unauthorized, code: 16, "\(AuthenticationFailure.missing)", exchange)
      }
      return try await service.me(caller, deadline: exchange.deadline)
    }
    return [
      GatewayV1.AuthServiceMethods.login.path: login,
      GatewayV1.AuthServiceMethods.refresh.path: refresh,
      GatewayV1.AuthServiceMethods.getMe.path: me,
    ]
  }

  private static func keySet(_ keys: GatewayKeys) -> PublicDocument {
    PublicDocument(
      path: "/.well-known/jwks.json", contentType: "application/json", maxAge: 300,
      body: Array(keys.published.encoded.utf8))
  }

  private func schedulePurge() {
    purgeTimer = reactor.loop.schedule(after: Self.sessionPurgeInterval) { [weak self] in
      guard let self else { return }
      reactor.loop.spawn(on: reactor) { await self.purge() }
      schedulePurge()
    }
  }

  private func purge() async {
    do {
      let count = try await sessions.purge(
        count: Self.sessionsPurged, deadline: .now() + databaseTimeout)
      if count > 0 { logger.info("forgot expired sessions", metadata: ["count": "\(count)"]) }
    } catch {
      logger.warning("expired sessions are not forgotten", metadata: ["cause": "\(error)"])
    }
  }
}
