import Contracts
import JSON
import Logging
import Observability
import Postgres
import Protobuf
import ProvisionerTestKit
import Reactor
import Resilience
import ServiceRuntime
import Synchronization
import TestKit

@testable import ProvisionerService

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

extension Instant {
  /// Far enough for anything that works, near enough for a test that does not end.
  static var soon: Instant { .now() + .seconds(60) }
}

/// An empty schema of the provisioner, with roles of its own.
struct TestDatabase: Sendable {
  let urls: ServiceDatabase
  let admin: DatabaseURL
  private static let services = Mutex(0)

  /// - Parameter migrations: nil for all.
  static func make(
    on server: ThrowawayPostgres, _ migrations: [Migration]? = nil
  ) async throws -> TestDatabase {
    let number = services.withLock { number in
      number += 1
      return number
    }
    let admin = DatabaseURL(try server.createDatabase())
    let reactor = try Reactor.start(name: "setup")
    defer { reactor.loop.stop() }
    let urls = try await reactor.run { reactor in
      let blocking = BlockingPool()
      var setup = DatabaseSetup(logger: quiet)
      setup.timeout = .seconds(60)
      let urls = try await setup.prepare(
        service: "provisioner\(number)", admin: admin, on: reactor, blocking: blocking)
      return urls
    }
    let database = TestDatabase(urls: urls, admin: admin)
    try await database.migrate(migrations ?? ProvisionerMigrations.all())
    return database
  }

  func migrate(_ migrations: [Migration]) async throws {
    let reactor = try Reactor.start(name: "migration")
    defer { reactor.loop.stop() }
    let urls = self.urls
    _ = try await reactor.run { reactor in
      try await Migrator(logger: quiet).run(
        migrations, owner: urls.owner, on: reactor, blocking: BlockingPool())
    }
  }

  func pool(_ role: PostgresPool.Role, on reactor: Reactor) throws -> PostgresPool {
    var limits = PoolConfiguration()
    limits.acquireTimeout = .seconds(20)
    limits.connectionsMax = 4
    let url =
      switch role {
      case .application: urls.application
      case .worker: urls.worker
      case .owner: urls.owner
      }
    return PostgresPool(
      try PostgresConfiguration(url: url.revealed), as: role, limits: limits, on: reactor,
      blocking: BlockingPool(), logger: quiet)
  }

  func listener(on reactor: Reactor) throws -> PostgresListener {
    PostgresListener(
      try PostgresConfiguration(url: urls.application.revealed), on: reactor,
      blocking: BlockingPool(), logger: quiet)
  }
}

/// What a test does as a tenant: it asks for stores and looks at them. Confined to a reactor.
final class Desk {
  let reactor: Reactor
  let application: PostgresPool
  let worker: PostgresPool
  let owner: PostgresPool
  let catalog: StoreCatalog
  let clusters: ClusterCatalog
  let feed: ChangeFeed
  let ledger: OperationLedger
  static let tenant = "acme"

  init(_ database: TestDatabase, on reactor: Reactor) throws {
    self.reactor = reactor
    application = try database.pool(.application, on: reactor)
    worker = try database.pool(.worker, on: reactor)
    owner = try database.pool(.owner, on: reactor)
    catalog = StoreCatalog(pool: application, hostSuffix: ".localhost", keepsBackups: true)
    clusters = ClusterCatalog(pool: application, worker: worker)
    feed = try ChangeFeed(listener: database.listener(on: reactor), on: reactor)
    ledger = OperationLedger(worker: worker, application: application)
  }

  func close() {
    feed.close()
    for pool in [application, worker, owner] { pool.close() }
  }

  static func origin(_ request: String = "request-1") -> ChangeOrigin {
    ChangeOrigin(
      actor: AuditV1.Actor(kind: .user, id: "ada"),
      request: StoredRequestContext(
        requestID: request,
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        principal: "user:ada"))
  }

  @discardableResult
  func create(
    _ name: String, key: PostgresUUID? = nil, tenant: String = Desk.tenant, plan: String = "",
    wish: ClusterWish = ClusterWish(), from backup: PostgresUUID? = nil
  ) async throws -> OperationRecord {
    try await catalog.create(
      StoreDraft(
        name: name, engine: .woocommerce, parameters: StoreParameters(plan: plan), wish: wish,
        backup: backup),
      key: key, tenant: tenant, origin: Desk.origin(), deadline: .soon)
  }

  @discardableResult
  func delete(
    _ store: String, finalBackup: Bool = false, tenant: String = Desk.tenant
  ) async throws -> OperationRecord {
    try await catalog.delete(
      StoreReference(store), version: nil, finalBackup: finalBackup, tenant: tenant,
      origin: Desk.origin("request-2"),
      deadline: .soon)
  }

  @discardableResult
  func retry(_ store: String, tenant: String = Desk.tenant) async throws -> OperationRecord {
    try await catalog.retry(
      StoreReference(store), tenant: tenant, origin: Desk.origin("request-3"), deadline: .soon)
  }

  @discardableResult
  func change(
    _ store: String, _ change: StoreChange, key: PostgresUUID? = nil,
    tenant: String = Desk.tenant
  ) async throws -> OperationRecord {
    try await catalog.change(
      StoreReference(store), change, key: key, tenant: tenant, origin: Desk.origin("request-5"),
      deadline: .soon)
  }

  /// Asks for an upgrade that sets a value.
  @discardableResult
  func upgrade(_ store: String, size: String = "64M") async throws -> OperationRecord {
    try await change(store, .upgrade(patch: Desk.patch(size)))
  }

  static func patch(_ size: String) -> JSONObject {
    let patch: JSON = ["wordpress": ["php": ["ini": ["post_max_size": .string(size)]]]]
    return patch.object ?? JSONObject()
  }

  /// Makes a store that is ready.
  func ready(_ name: String) async throws {
    let operation = try await wait(for: create(name).id)
    guard operation.state == .succeeded else { throw StoreRefusal.stale }
  }

  /// The backups of a store, or of all, the newest first.
  func backups(of store: String? = nil) async throws -> [BackupRecord] {
    try await catalog.listBackups(
      of: store.map { StoreReference($0) }, after: nil, count: 500, tenant: Desk.tenant,
      deadline: .soon
    ).items
  }

  /// Backs a store up; the backup.
  @discardableResult
  func backUp(_ store: String) async throws -> BackupRecord {
    let operation = try await wait(for: change(store, .backup).id)
    guard operation.state == .succeeded, let id = operation.aim.backup else {
      throw StoreRefusal.stale
    }
    return try await catalog.findBackup(id, tenant: Desk.tenant, deadline: .soon)
  }

  /// The release that a store runs, and those that it can go back to.
  func releases(_ store: String) async throws -> (
    store: StoreRecord, releases: [StoreReleaseRecord]
  ) {
    try await catalog.releases(of: StoreReference(store), tenant: Desk.tenant, deadline: .soon)
  }

  func store(_ id: String, tenant: String = Desk.tenant) async throws -> StoreRecord {
    guard
      let store = try await catalog.find(StoreReference(id), tenant: tenant, deadline: .soon)
    else { throw StoreRefusal.notFound }
    return store
  }

  func operation(
    _ id: PostgresUUID, tenant: String = Desk.tenant
  ) async throws -> OperationRecord {
    guard let operation = try await catalog.findOperation(id, tenant: tenant, deadline: .soon)
    else { throw StoreRefusal.notFound }
    return operation
  }

  /// Waits until an operation is as told; what it is then.
  @discardableResult
  func wait(
    for id: PostgresUUID, tenant: String = Desk.tenant,
    until isMeant: (OperationRecord) -> Bool = { $0.state.isDone }
  ) async throws -> OperationRecord {
    let watch = try feed.watch(.operation(id))
    defer { feed.end(watch) }
    while await watch.next() {
      let operation = try await self.operation(id, tenant: tenant)
      if isMeant(operation) { return operation }
    }
    throw CancellationError()
  }

  /// The audit events of a store in the order of its revisions.
  func events(of store: String) async throws -> [AuditV1.Event] {
    let rows = try await owner.query(
      scope: .none, "SELECT payload FROM outbox", deadline: .soon)
    var events: [AuditV1.Event] = []
    for row in rows { events.append(try AuditV1.Event(serialized: row.decode(0))) }
    return events.filter { $0.store == store }.sorted { $0.revision < $1.revision }
  }

  /// The states that a store went through, by its events.
  func states(of store: String) async throws -> [String] {
    try await events(of: store).filter { $0.action == StoreEventMessage.action }.map(\.newState)
  }
}

/// A provisioner's engine on a thread of its own, acting on a fake cluster.
final class Engine: Sendable {
  struct Parts {
    let runner: OperationRunner
    let feed: ChangeFeed
    let pools: [PostgresPool]
  }

  /// Keeps what engines are made of: it may be let go on their own threads only, and those end first.
  private static let graveyard = Mutex<[Confined<Parts>]>([])

  let reactor: Reactor
  private let cluster: FakeCluster
  private let backend: Int
  private let parts: Confined<Parts>

  static func start(
    _ database: TestDatabase, _ cluster: FakeCluster, _ settings: EngineSettings = .quick,
    clock: any TimeSource = SystemTimeSource()
  ) async throws -> Engine {
    let reactor = try Reactor.start(name: "engine")
    let (parts, backend) = try await reactor.run { reactor in
      let application = try database.pool(.application, on: reactor)
      let worker = try database.pool(.worker, on: reactor)
      let backend = FakeStoreBackend(cluster, on: reactor)
      let runner = OperationRunner(
        ledger: OperationLedger(worker: worker, application: application), backend: backend,
        settings: settings, holder: "engine \(backend.number)", clock: clock, on: reactor,
        logger: quiet, metrics: MetricsRegistry())
      let feed = try ChangeFeed(listener: database.listener(on: reactor), on: reactor)
      feed.onWork = { runner.lookForWork() }
      feed.onCancellation = { runner.cancel($0) }
      runner.start()
      let parts = Parts(runner: runner, feed: feed, pools: [application, worker])
      return (Confined(value: parts), backend.number)
    }
    return Engine(reactor, cluster, backend, parts)
  }

  private init(
    _ reactor: Reactor, _ cluster: FakeCluster, _ backend: Int, _ parts: Confined<Parts>
  ) {
    self.reactor = reactor
    self.cluster = cluster
    self.backend = backend
    self.parts = parts
    Engine.graveyard.withLock { $0.append(parts) }
  }

  /// Stands still for ever, in the middle of whatever it does, as after a SIGKILL.
  func kill() {
    reactor.loop.stop()
    cluster.died(backend)
  }

  /// Stops in good order.
  func stop() async {
    let parts = self.parts
    await reactor.run { _ in
      await parts.value.runner.stop()
      parts.value.feed.close()
      for pool in parts.value.pools { pool.close() }
    }
    reactor.loop.stop()
  }

  func phase(
    _ dependency: Dependency, in cluster: String = "default"
  ) async -> CircuitBreaker.Phase {
    let parts = self.parts
    return await reactor.run { _ in parts.value.runner.breakers.phase(dependency, in: cluster) }
  }
}

extension EngineSettings {
  /// With short waits, and leases that a busy machine does not lose: those of the dead are ended by
  /// `SuddenDeath.endLeases`.
  static var quick: EngineSettings {
    var settings = EngineSettings()
    settings.lease = LeaseTerms(
      duration: .seconds(60), margin: .seconds(1), beat: .milliseconds(500))
    settings.stopGrace = .seconds(1)
    settings.retry = RetryPolicy(base: .milliseconds(5), maximumDelay: .milliseconds(50))
    settings.outageRetry = RetryPolicy(
      base: .milliseconds(5), maximumDelay: .milliseconds(50),
      maximumAttempts: settings.outageRetry.maximumAttempts)
    settings.limits.perTenant = 1_000
    settings.limits.perCluster = 1_000
    settings.limits.overall = 1_000
    settings.pollInterval = .milliseconds(500)
    settings.breakerWaitMax = .milliseconds(100)
    return settings
  }

  /// With leases that end soon.
  static var shortLived: EngineSettings {
    var settings = quick
    settings.lease = LeaseTerms(
      duration: .milliseconds(1_500), margin: .milliseconds(500), beat: .milliseconds(250))
    settings.stopGrace = .milliseconds(300)
    return settings
  }
}

/// Lets so many tests have a database at once: the server's connections are counted.
private actor DatabaseTurns {
  static let shared = DatabaseTurns(4)
  private var free: Int
  private var waiting: [CheckedContinuation<Void, Never>] = []

  init(_ count: Int) { free = count }

  func take() async {
    if free > 0 {
      free -= 1
    } else {
      await withCheckedContinuation { waiting.append($0) }
    }
  }

  func give() {
    if waiting.isEmpty {
      free += 1
    } else {
      waiting.removeFirst().resume()
    }
  }
}

/// Runs `body` at a desk of an empty database, on a reactor of its own.
func atDesk<R: Sendable>(
  on server: ThrowawayPostgres? = nil,
  _ body: @Sendable (Desk, TestDatabase) async throws -> R
) async throws -> R {
  await DatabaseTurns.shared.take()
  do {
    let result = try await atFreeDesk(server ?? .shared(), body)
    await DatabaseTurns.shared.give()
    return result
  } catch {
    await DatabaseTurns.shared.give()
    throw error
  }
}

private func atFreeDesk<R: Sendable>(
  _ server: ThrowawayPostgres,
  _ body: @Sendable (Desk, TestDatabase) async throws -> R
) async throws -> R {
  let database = try await TestDatabase.make(on: server)
  let reactor = try Reactor.start(name: "test")
  defer { reactor.loop.stop() }
  return try await reactor.run { reactor in
    let desk = try Desk(database, on: reactor)
    defer { desk.close() }
    return try await body(desk, database)
  }
}

/// The refusal that `body` throws; nil where it throws none.
func refusal<R>(_ body: () async throws -> R) async -> StoreRefusal? {
  do {
    _ = try await body()
    return nil
  } catch { return error as? StoreRefusal }
}

/// The database error that `body` throws; nil where it throws none.
func databaseError<R>(_ body: () async throws -> R) async -> PostgresError? {
  do {
    _ = try await body()
    return nil
  } catch { return error as? PostgresError }
}
