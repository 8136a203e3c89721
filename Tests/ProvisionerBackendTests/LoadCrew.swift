import Configuration
import Contracts
import Kubernetes
import Observability
import Postgres
import Protobuf
import Reactor
import ServiceRuntime
import TestKit

@testable import ProvisionerBackend
@testable import ProvisionerService

/// A provisioner's engine with a database of its own, and what is asked of it. Confined to its reactor.
final class Crew {
  let backend: PodlessBackend
  private let tenants: [String]
  private let reactor: Reactor
  private let catalog: StoreCatalog
  private let feed: ChangeFeed
  private let ledger: OperationLedger
  private var runner: OperationRunner?
  private let pools: [PostgresPool]

  /// - Parameters:
  ///   - real: nil for that of `parts`.
  ///   - tenants: of the config service, whose turn it is one after the other.
  init(
    _ parts: LiveStores.Parts, backend real: KubernetesStoreBackend? = nil, tenants: [String],
    on reactor: isolated Reactor
  ) async throws {
    let blocking = BlockingPool()
    let urls = try await Self.database(blocking, on: reactor)
    func pool(_ url: DatabaseURL, _ role: PostgresPool.Role) throws -> PostgresPool {
      PostgresPool(
        try PostgresConfiguration(url: url.revealed), as: role, on: reactor, blocking: blocking,
        logger: quiet)
    }
    let application = try pool(urls.application, .application)
    let worker = try pool(urls.worker, .worker)
    let owner = try pool(urls.owner, .owner)
    pools = [application, worker, owner]
    let listener = PostgresListener(
      try PostgresConfiguration(url: urls.application.revealed), on: reactor, blocking: blocking,
      logger: quiet)
    let feed = try ChangeFeed(listener: listener, on: reactor)
    self.feed = feed
    self.tenants = tenants
    self.reactor = reactor
    catalog = StoreCatalog(pool: application, hostSuffix: ".localhost")
    backend = PodlessBackend(real ?? parts.backend)
    ledger = OperationLedger(worker: worker, application: application)
  }

  /// Begins to work, in place of whoever did until now.
  func work(_ change: (inout EngineSettings) -> Void = { _ in }) async {
    await runner?.stop()
    var settings = EngineSettings()
    change(&settings)
    let runner = OperationRunner(
      ledger: ledger, backend: backend, settings: settings, holder: "crew", on: reactor,
      logger: quiet, metrics: MetricsRegistry())
    feed.onWork = { runner.lookForWork() }
    self.runner = runner
    runner.start()
  }

  var breakers: DependencyBreakers? { runner?.breakers }

  private static func database(
    _ blocking: BlockingPool, on reactor: Reactor
  ) async throws -> ServiceDatabase {
    let admin = try ConfigPeer.server.get().createDatabase()
    var setup = DatabaseSetup(logger: quiet)
    setup.timeout = .seconds(60)
    let urls = try await setup.prepare(
      service: "provisioner", admin: DatabaseURL(admin), on: reactor, blocking: blocking)
    try await Migrator(logger: quiet).run(
      ProvisionerMigrations.all(), owner: urls.owner, on: reactor, blocking: blocking)
    return urls
  }

  private var origin: ChangeOrigin {
    ChangeOrigin(
      actor: AuditV1.Actor(kind: .user, id: "ada"), request: StoredRequestContext(requestID: "load")
    )
  }

  /// Asks for the store of a number, and gives its id.
  func create(_ number: Int) async throws -> String {
    let draft = StoreDraft(
      name: "load\(number)", engine: .woocommerce, parameters: StoreParameters())
    return try await catalog.create(
      draft, tenant: tenants[number % tenants.count], origin: origin, deadline: .soon
    ).store
  }

  func deleteAll() async throws {
    let rows = try await pools[2].query(
      scope: .none, "SELECT id, tenant FROM stores", deadline: .soon)
    for row in rows {
      _ = try await catalog.delete(
        .id(row.decode("id")), version: nil, tenant: row.decode("tenant"), origin: origin,
        deadline: .soon)
    }
  }

  /// Waits until `count` stores are in `state` or failed; why those failed. It asks for all at once, now
  /// and then, since the queries of a watch for each would be more than the engine's.
  func wait(for state: StoreState, of count: Int) async throws -> [String] {
    let pause = WakeUp(on: reactor)
    while try await figure(
      "SELECT count(*) FROM stores WHERE state IN ('\(state.rawValue)', 'failed')")
      < Double(count)
    {
      await pause.wait(atMost: .milliseconds(500))
    }
    let rows = try await pools[2].query(
      scope: .none, "SELECT error_message FROM stores WHERE state = 'failed'", deadline: .soon)
    return try rows.map { try $0.decode(0) }
  }

  /// The failure of a store, once it has one; nil where it has come to `state` instead.
  func failure(of store: String, insteadOf state: StoreState) async throws -> (
    code: String, message: String
  )? {
    try await wait { try await self.state(of: store).isOneOf(state.rawValue, "failed") }
    let found = try await self.state(of: store)
    return found.state == "failed" ? (found.code, found.message) : nil
  }

  struct State {
    let state: String
    let code: String
    let message: String

    func isOneOf(_ states: String...) -> Bool { states.contains(state) }
  }

  private func state(of store: String) async throws -> State {
    let row = try await pools[2].query(
      scope: .none,
      "SELECT state, coalesce(error_code, ''), coalesce(error_message, '') FROM stores WHERE id = $1",
      [.text(store)], deadline: .soon)[0]
    return State(state: try row.decode(0), code: try row.decode(1), message: try row.decode(2))
  }

  /// Waits until a step is in a state, has failed with a code or waits for something, as `words` say.
  func waitForStep(of store: String, saying words: String) async throws {
    try await wait {
      try await self.figure(
        "SELECT count(*) FROM operation_steps s JOIN operations o ON o.id = s.operation "
          + "WHERE o.store = '\(store)' AND position('\(words)' IN "
          + "concat_ws(' ', s.name, s.state, s.error_code, s.detail)) > 0") > 0
    }
  }

  private func wait(until isSo: () async throws -> Bool) async throws {
    let deadline = Instant.now() + .seconds(240)
    let pause = WakeUp(on: reactor)
    while try await !isSo() {
      guard Instant.now() < deadline else { throw Overdue() }
      await pause.wait(atMost: .milliseconds(300))
    }
  }

  struct Overdue: Error {}

  /// The states that each store went through, by the events.
  func histories() async throws -> [String: [String]] {
    let rows = try await pools[2].query(
      scope: .none, "SELECT payload FROM outbox", deadline: .soon)
    var events: [AuditV1.Event] = []
    for row in rows { events.append(try AuditV1.Event(serialized: row.decode(0))) }
    return Dictionary(grouping: events, by: \.store).mapValues { events in
      events.sorted { $0.revision < $1.revision }.map(\.newState)
    }
  }

  /// One number that a query of the database gives.
  func figure(_ query: String) async throws -> Double {
    try await pools[2].query(scope: .none, "SELECT (\(query))::float8", deadline: .soon)[0]
      .decode(0)
  }

  func stop() async {
    await runner?.stop()
    feed.close()
    for pool in pools { pool.close() }
  }
}

/// The real backend but for what happens inside pods; counts the stores that are worked on at once.
final class PodlessBackend: StoreBackend {
  private let real: KubernetesStoreBackend
  private var busy = 0
  private(set) var busyMax = 0

  init(_ real: KubernetesStoreBackend) { self.real = real }

  private func counted<R>(
    _ body: () async throws(ProvisionFailure) -> R
  ) async throws(ProvisionFailure) -> R {
    busy += 1
    busyMax = max(busyMax, busy)
    defer { busy -= 1 }
    return try await body()
  }

  func ensureNamespace(_ site: StoreSite) async throws(ProvisionFailure) {
    try await counted { () async throws(ProvisionFailure) in try await real.ensureNamespace(site) }
  }

  func applyCredentials(_ site: StoreSite) async throws(ProvisionFailure) {
    try await counted { () async throws(ProvisionFailure) in try await real.applyCredentials(site) }
  }

  func installRelease(_ site: StoreSite) async throws(ProvisionFailure) -> InstalledRelease {
    try await counted { () async throws(ProvisionFailure) in try await real.installRelease(site) }
  }

  func rollBackRelease(_ site: StoreSite) async throws(ProvisionFailure) -> InstalledRelease {
    try await counted { () async throws(ProvisionFailure) in try await real.rollBackRelease(site) }
  }

  func rolloutStatus(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await counted { () async throws(ProvisionFailure) in
      try await real.rolloutStatus(of: site, after: previous)
    }
  }

  func setUp(_ site: StoreSite) async throws(ProvisionFailure) {}
  func verify(_ site: StoreSite) async throws(ProvisionFailure) {}
  func check(_ site: StoreSite) async throws(ProvisionFailure) {}
  func drift(of site: StoreSite) async throws(ProvisionFailure) -> [Drift] { [] }

  func certificate(of site: StoreSite) async throws(ProvisionFailure) -> StoreCondition? {
    try await real.certificate(of: site)
  }

  func backUp(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await real.backUp(site, after: previous)
  }

  func checkBackup(_ site: StoreSite) async throws(ProvisionFailure) -> BackupContents {
    try await real.checkBackup(site)
  }

  func restore(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await real.restore(site, after: previous)
  }

  func start(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await real.start(site, after: previous)
  }

  func testBackup(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await real.testBackup(site, after: previous)
  }

  func removeJob(_ site: StoreSite) async throws(ProvisionFailure) {
    try await real.removeJob(site)
  }

  func removeBackup(_ backup: StoreBackup) async throws(ProvisionFailure) {
    try await real.removeBackup(backup)
  }

  func uninstallRelease(_ site: StoreSite) async throws(ProvisionFailure) {
    try await counted { () async throws(ProvisionFailure) in try await real.uninstallRelease(site) }
  }

  func deleteNamespace(_ site: StoreSite) async throws(ProvisionFailure) {
    try await counted { () async throws(ProvisionFailure) in try await real.deleteNamespace(site) }
  }

  func removalStatus(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    try await counted { () async throws(ProvisionFailure) in
      try await real.removalStatus(of: site, after: previous)
    }
  }

  func forgetCredentials(_ site: StoreSite) async throws(ProvisionFailure) {
    try await counted { () async throws(ProvisionFailure) in
      try await real.forgetCredentials(site)
    }
  }

  func abandon(_ site: StoreSite, isLate: Bool) async {
    await real.abandon(site, isLate: isLate)
  }
}
