import Contracts
import JSON
import Observability
import Postgres
import ProvisionerService
import Reactor
import ServiceRuntime

/// Those who ask for stores: each for a few of its own, now and then, whatever state they are in.
final class Users {
  private static let tenants = ["acme", "bolt", "crux"]
  private static let names = ["tea", "wine"]

  private unowned let simulation: Simulation
  private let machine: Machine
  private let catalog: StoreCatalog
  private var isCalm = false
  private var working = 0
  private var keys = 0

  /// Whether somebody still asks for something.
  var isBusy: Bool { working > 0 }

  init(_ simulation: Simulation, _ machine: Machine) throws {
    self.simulation = simulation
    self.machine = machine
    let connections = try Connections(simulation.environment, machine)
    catalog = StoreCatalog(
      pool: connections.pool(.application), hostSuffix: ".localhost", keepsBackups: true)
  }

  func start() {
    let count = simulation.faults.pick([1, 2, 3])
    for tenant in Users.tenants.prefix(count) { spawn { await self.ask(as: tenant) } }
    if simulation.faults.looksAtDrift { spawn { await self.meddle() } }
    if simulation.faults.chance(0.3) {
      simulation.after(simulation.faults.nanoseconds(5...30)) { [self] in
        simulation.world.upgradeChart()
      }
    }
  }

  /// Nobody begins anything new; some have all that is left deleted.
  func calm() { isCalm = true }

  private func spawn(_ work: @escaping () async -> Void) {
    working += 1
    machine.loop.spawn(on: machine.reactor) {
      await work()
      self.working -= 1
    }
  }

  private func ask(as tenant: String) async {
    let pace = simulation.faults.pick([1.0, 3, 8])
    while !isCalm {
      await rest(for: simulation.faults.seconds(0.1...pace), on: machine.reactor)
      if isCalm { break }
      let name = simulation.faults.pick(Users.names)
      await attempt(tenant, name) { try await self.askForSomething(of: name, as: tenant) }
    }
    guard simulation.faults.chance(0.5) else { return }
    await rest(for: .seconds(5), on: machine.reactor)
    for name in Users.names {
      await attempt(tenant, name) { try await self.delete(name, tenant, finalBackup: false) }
    }
  }

  private func attempt(
    _ tenant: String, _ name: String, _ body: () async throws -> String?
  ) async {
    do {
      if let what = try await body() {
        simulation.coverage.count("asked \(what)")
        simulation.trace.add("\(tenant) asks: \(what) \(name)")
      }
    } catch {
      simulation.coverage.count("refused \(Users.kind(of: error))")
      simulation.trace.add("\(tenant) is refused: \(name): \(error)")
    }
  }

  private static func kind(of error: any Error) -> String {
    switch error {
    case let refusal as StoreRefusal: "\(refusal)".prefix { $0 != "(" }.description
    default: "\(type(of: error))"
    }
  }

  private var deadline: Instant { .now() + .seconds(8) }

  private func origin(_ tenant: String) -> ChangeOrigin {
    ChangeOrigin(
      actor: AuditV1.Actor(kind: .user, id: "ada"),
      request: StoredRequestContext(requestID: "request-1", principal: "user:ada"))
  }

  // MARK: What tenants ask for

  private func askForSomething(of name: String, as tenant: String) async throws -> String? {
    let store = try await catalog.find(.name(name), tenant: tenant, deadline: deadline)
    guard let store else { return try await create(name, tenant) }
    if simulation.faults.chance(0.05) { return try await create(name, tenant) }
    if simulation.faults.chance(0.1) {
      return try await delete(name, tenant, finalBackup: simulation.faults.chance(0.3))
    }
    switch store.state {
    case .failed:
      _ = try await catalog.retry(
        .id(store.id), tenant: tenant, origin: origin(tenant), deadline: deadline)
      return "retry"
    case .ready: return try await change(store, tenant)
    default:
      guard simulation.faults.chance(0.15) else { return nil }
      return try await cancel(store, tenant)
    }
  }

  private func create(_ name: String, _ tenant: String) async throws -> String {
    var draft = StoreDraft(name: name, engine: .woocommerce, parameters: StoreParameters())
    if simulation.faults.chance(0.3) {
      draft.wish.cluster = simulation.faults.pick(SimulatedDatabase.clusters)
    }
    if simulation.faults.chance(0.6) { draft.backup = try await backup(of: nil, tenant)?.id }
    let wish = draft
    try await persistently { key in
      try await self.catalog.create(
        wish, key: key, tenant: tenant, origin: self.origin(tenant), deadline: self.deadline)
    }
    return draft.backup == nil ? "create" : "create from a backup"
  }

  private func delete(
    _ name: String, _ tenant: String, finalBackup: Bool
  ) async throws -> String {
    _ = try await catalog.delete(
      .name(name), version: nil, finalBackup: finalBackup, tenant: tenant, origin: origin(tenant),
      deadline: deadline)
    return finalBackup ? "delete after a backup" : "delete"
  }

  private func cancel(_ store: StoreRecord, _ tenant: String) async throws -> String {
    _ = try await catalog.cancel(
      store.operation, tenant: tenant, origin: origin(tenant), deadline: deadline)
    return "cancel"
  }

  private func change(_ store: StoreRecord, _ tenant: String) async throws -> String? {
    if simulation.faults.chance(0.1) { return try await cancel(store, tenant) }
    if simulation.faults.chance(0.1) { return try await setDriftPolicy(store, tenant) }
    if simulation.faults.chance(0.05) { return try await deleteBackup(tenant) }
    let size = "\(simulation.faults.pick([16, 32, 64, 128]))M"
    let patch: JSON = ["wordpress": ["php": ["ini": ["post_max_size": .string(size)]]]]
    var changes: [StoreChange] = [
      .upgrade(patch: patch.object ?? JSONObject()), .rollback(release: nil), .backup,
    ]
    changes += store.isSuspended ? [.resume, .resume, .resume] : [.suspend]
    if let backup = try await backup(of: store, tenant) {
      changes += [.restore(from: backup.id), .restore(from: backup.id)]
      changes.append(.backupTest(of: backup.id))
    }
    if simulation.faults.chance(0.1) { changes.append(contentsOf: [.suspend, .resume]) }
    let change = simulation.faults.pick(changes)
    try await persistently { key in
      try await self.catalog.change(
        .id(store.id), change, key: key, tenant: tenant, origin: self.origin(tenant),
        deadline: self.deadline)
    }
    return change.kind.rawValue
  }

  /// Asks, sometimes by a key: then once more where it is not known what became of the first time.
  private func persistently(
    _ ask: (PostgresUUID?) async throws -> OperationRecord
  ) async throws {
    guard simulation.faults.chance(0.5) else {
      _ = try await ask(nil)
      return
    }
    keys += 1
    let digits = String(1_000_000_000_000 + keys)
    let key = PostgresUUID("00000000-0000-4000-8000-\(digits.dropFirst())0")
    do {
      _ = try await ask(key)
    } catch is PostgresError {
      simulation.coverage.count("asked again by the same key")
      _ = try await ask(key)
    }
  }

  private func setDriftPolicy(_ store: StoreRecord, _ tenant: String) async throws -> String {
    let policy: DriftPolicy = simulation.faults.pick([.correct, .correct, .report])
    _ = try await catalog.update(
      .id(store.id), StoreCare(driftPolicy: policy), version: nil, tenant: tenant,
      origin: origin(tenant), deadline: deadline)
    return "drift policy"
  }

  // MARK: Backups

  private func backup(
    of store: StoreRecord?, _ tenant: String
  ) async throws -> BackupRecord? {
    let page = try await catalog.listBackups(
      of: store.map { .id($0.id) }, after: nil, count: 5, tenant: tenant, deadline: deadline)
    let usable = page.items.filter { $0.state == .available || simulation.faults.chance(0.1) }
    return usable.isEmpty ? nil : simulation.faults.pick(usable)
  }

  private func deleteBackup(_ tenant: String) async throws -> String? {
    guard let backup = try await backup(of: nil, tenant) else { return nil }
    _ = try await catalog.deleteBackup(
      backup.id, tenant: tenant, origin: origin(tenant), deadline: deadline)
    return "delete a backup"
  }

  // MARK: Drift

  /// Changes what runs of stores past us.
  private func meddle() async {
    while !isCalm {
      await rest(for: simulation.faults.seconds(0.5...6), on: machine.reactor)
      let ready = simulation.world.stores.filter { $0.value.isSetUp }.keys.sorted()
      if isCalm || ready.isEmpty { continue }
      let drift = simulation.faults.pick([
        Drift("Deployment/store-wordpress", .fields(["spec.replicas"])),
        Drift("Service/store-wordpress", .missing),
        Drift("StatefulSet/store-mariadb", .refused("a fault")),
      ])
      simulation.world.meddle(with: simulation.faults.pick(ready), drift)
    }
  }
}
