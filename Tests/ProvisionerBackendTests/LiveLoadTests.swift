import Configuration
import Contracts
import JSON
import Kubernetes
import Observability
import Postgres
import Protobuf
import Reactor
import ServiceRuntime
import TestKit
import Testing

@testable import ProvisionerBackend
@testable import ProvisionerService

/// Many stores at once on the real API server, with Helm, controllers and the config service. Their
/// pods run nowhere: what a kubelet would say of them is said by the test, and what happens in a pod is
/// left out.
@Suite(.enabled(if: LiveStores.isThere), .serialized, .timeLimit(.minutes(15)))
struct LiveLoadTests {
  private static let stores = 50
  private static let workers = 5
  /// No node has this label, and no volume is asked for.
  private static let nowhere: JSON = [
    "nodeSelector": ["storeplane.dev/nowhere": "true"], "persistence": ["enabled": false],
  ]

  @Test func fiftyStoresAgainstFiveWorkers() async throws {
    var values = JSONObject()
    values["wordpress"] = Self.nowhere
    values["mariadb"] = Self.nowhere
    let chartValues = values
    try await LiveStores.withBackend(values: chartValues) { reactor, parts in
      let crew = try await Crew(parts, workers: Self.workers, on: reactor)
      let kubelet = StandInKubelet(parts.kubernetes, tenant: parts.site.tenant)
      let reports = reactor.loop.spawn(on: reactor) { await kubelet.run() }
      do {
        var made: [String] = []
        for number in 0..<Self.stores { made.append(try await crew.create("load\(number)")) }
        for store in made {
          let state = try await crew.end(of: store)
          let problem = try await crew.problem(of: store)
          #expect(state == .ready, "\(problem)")
          #expect(try await crew.events(of: store) == ["requested", "provisioning", "ready"])
        }
        #expect(crew.backend.busyMax == Self.workers)
        for store in made { try await crew.delete(store) }
        for store in made { #expect(try await crew.end(of: store) == .deleted) }
      } catch {
        await crew.stop()
        reports.cancel()
        await reports.value
        throw error
      }
      await crew.stop()
      reports.cancel()
      await reports.value
    }
  }
}

/// A provisioner's engine with a database of its own, and what is asked of it. Confined to its reactor.
private final class Crew {
  let backend: PodlessBackend
  private let tenant: String
  private let catalog: StoreCatalog
  private let feed: ChangeFeed
  private let runner: OperationRunner
  private let pools: [PostgresPool]

  init(_ parts: LiveStores.Parts, workers: Int, on reactor: isolated Reactor) async throws {
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
    tenant = parts.site.tenant
    catalog = StoreCatalog(pool: application, cluster: "default", hostSuffix: ".localhost")
    backend = PodlessBackend(parts.backend)
    var settings = EngineSettings()
    settings.workers = workers
    let runner = OperationRunner(
      ledger: OperationLedger(worker: worker, application: application), backend: backend,
      settings: settings, holder: "crew", on: reactor, logger: quiet, metrics: MetricsRegistry())
    feed.onWork = { runner.lookForWork() }
    self.runner = runner
    runner.start()
  }

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

  func create(_ name: String) async throws -> String {
    let draft = StoreDraft(name: name, engine: .woocommerce, parameters: StoreParameters())
    return try await catalog.create(draft, tenant: tenant, origin: origin, deadline: .soon).store
  }

  func delete(_ store: String) async throws {
    _ = try await catalog.delete(
      .id(store), version: nil, tenant: tenant, origin: origin, deadline: .soon)
  }

  private func record(_ store: String) async throws -> StoreRecord {
    try #require(try await catalog.find(.id(store), tenant: tenant, deadline: .soon))
  }

  /// Waits until nothing is under way for the store; its state then.
  func end(of store: String) async throws -> StoreState {
    let watch = try feed.watch(.store(store))
    defer { feed.end(watch) }
    while await watch.next() {
      let state = try await record(store).state
      if [.ready, .failed, .deleted].contains(state) { return state }
    }
    throw CancellationError()
  }

  func problem(of store: String) async throws -> String {
    try await record(store).problem?.message ?? ""
  }

  /// The states that the store went through, by its events.
  func events(of store: String) async throws -> [String] {
    let rows = try await pools[2].query(
      scope: .none, "SELECT payload FROM outbox", deadline: .soon)
    var events: [AuditV1.Event] = []
    for row in rows { events.append(try AuditV1.Event(serialized: row.decode(0))) }
    return events.filter { $0.store == store }.sorted { $0.revision < $1.revision }
      .map(\.newState)
  }

  func stop() async {
    await runner.stop()
    feed.close()
    for pool in pools { pool.close() }
  }
}

/// The real backend but for what happens inside pods; counts the stores that are worked on at once.
private final class PodlessBackend: StoreBackend {
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

  func abandon(_ site: StoreSite) async { await real.abandon(site) }
}

/// Says of a tenant's pods that they run, as the kubelet of a node would. Confined to its reactor.
private final class StandInKubelet {
  private static let interval = Duration.milliseconds(300)
  private static let pods = "app.kubernetes.io/part-of=ecommerce-store"

  private let kubernetes: KubernetesClient
  private let pause: WakeUp
  private let namespaces: ObjectSelection

  init(_ kubernetes: KubernetesClient, tenant: String) {
    self.kubernetes = kubernetes
    pause = WakeUp(on: kubernetes.reactor)
    namespaces = ObjectSelection(labelSelector: "storeplane.dev/tenant=\(tenant)")
  }

  func run() async {
    while !Task.isCancelled {
      // What fails now, as for a pod that has just gone, is done in the next round.
      try? await report()
      await pause.wait(atMost: Self.interval)
    }
  }

  private func report() async throws {
    let ours = Set(
      try await kubernetes.listAll(.namespaces, namespaces, deadline: .soon).objects.map(\.name))
    let pods = try await kubernetes.listAll(
      .pods, ObjectSelection(labelSelector: Self.pods), deadline: .soon)
    for pod in pods.objects {
      guard ours.contains(pod.namespace), !PodView(pod).isReady else { continue }
      _ = try? await kubernetes.merge(
        .pods, namespace: pod.namespace, name: pod.name, subresource: "status", status(of: pod),
        deadline: .soon)
    }
  }

  private func status(of pod: KubernetesObject) -> JSON {
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map { type in
      ["type": .string(type), "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"]
        as JSON
    }
    let containers = (pod["spec", "containers"]?.array ?? []).map { container in
      [
        "name": container["name"] ?? "", "image": container["image"] ?? "", "imageID": "",
        "ready": true, "started": true, "restartCount": 0,
        "state": ["running": ["startedAt": "2026-01-01T00:00:00Z"]],
      ] as JSON
    }
    return [
      "status": [
        "phase": "Running", "conditions": .array(conditions),
        "containerStatuses": .array(containers),
      ]
    ]
  }
}
