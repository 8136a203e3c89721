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

  /// Whether somebody still asks for something.
  var isBusy: Bool { working > 0 }

  init(_ simulation: Simulation, _ machine: Machine) throws {
    self.simulation = simulation
    self.machine = machine
    catalog = StoreCatalog(
      pool: try Connections(simulation.environment, machine).pool(.application),
      hostSuffix: ".localhost", keepsBackups: true)
  }

  func start() {
    let count = simulation.faults.pick([1, 2, 3])
    for tenant in Users.tenants.prefix(count) {
      working += 1
      machine.loop.spawn(on: machine.reactor) {
        await self.ask(as: tenant)
        self.working -= 1
      }
    }
    if simulation.faults.chance(0.3) {
      simulation.after(simulation.faults.nanoseconds(20...70)) { [self] in
        simulation.world.upgradeChart()
      }
    }
  }

  /// Nobody begins anything new; some have all that is left deleted.
  func calm() { isCalm = true }

  private func ask(as tenant: String) async {
    let pace = simulation.faults.pick([3.0, 8, 20])
    while !isCalm {
      await rest(for: simulation.faults.seconds(0.1...pace), on: machine.reactor)
      if isCalm { break }
      let name = simulation.faults.pick(Users.names)
      await attempt(tenant, name) { try await self.askForSomething(of: name, as: tenant) }
    }
    guard simulation.faults.chance(0.5) else { return }
    await rest(for: .seconds(20), on: machine.reactor)
    for name in Users.names {
      await attempt(tenant, name) {
        _ = try await self.catalog.delete(
          .name(name), version: nil, tenant: tenant, origin: self.origin(tenant),
          deadline: self.deadline)
        return "delete"
      }
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
      simulation.coverage.count("refused")
      simulation.trace.add("\(tenant) is refused: \(name): \(error)")
    }
  }

  private var deadline: Instant { .now() + .seconds(8) }

  private func origin(_ tenant: String) -> ChangeOrigin {
    ChangeOrigin(
      actor: AuditV1.Actor(kind: .user, id: "ada"),
      request: StoredRequestContext(requestID: "request-1", principal: "user:ada"))
  }

  private func askForSomething(of name: String, as tenant: String) async throws -> String? {
    let store = try await catalog.find(.name(name), tenant: tenant, deadline: deadline)
    guard let store else { return try await create(name, tenant) }
    if simulation.faults.chance(0.05) { return try await create(name, tenant) }
    if simulation.faults.chance(0.12) {
      _ = try await catalog.delete(
        .name(name), version: nil, tenant: tenant, origin: origin(tenant), deadline: deadline)
      return "delete"
    }
    switch store.state {
    case .failed:
      _ = try await catalog.retry(
        .id(store.id), tenant: tenant, origin: origin(tenant), deadline: deadline)
      return "retry"
    case .ready: return try await change(store, tenant)
    default:
      guard simulation.faults.chance(0.2) else { return nil }
      _ = try await catalog.cancel(
        store.operation, tenant: tenant, origin: origin(tenant), deadline: deadline)
      return "cancel"
    }
  }

  private func create(_ name: String, _ tenant: String) async throws -> String {
    _ = try await catalog.create(
      StoreDraft(name: name, engine: .woocommerce, parameters: StoreParameters()),
      tenant: tenant, origin: origin(tenant), deadline: deadline)
    return "create"
  }

  private func change(_ store: StoreRecord, _ tenant: String) async throws -> String {
    let size = "\(simulation.faults.pick([16, 32, 64, 128]))M"
    let patch: JSON = ["wordpress": ["php": ["ini": ["post_max_size": .string(size)]]]]
    var changes: [StoreChange] = [
      .upgrade(patch: patch.object ?? JSONObject()), .rollback(release: nil),
      store.isSuspended ? .resume : .suspend, .backup,
    ]
    if simulation.faults.chance(0.2) { changes.append(contentsOf: [.suspend, .resume]) }
    if simulation.faults.chance(0.15) {
      _ = try await catalog.cancel(
        store.operation, tenant: tenant, origin: origin(tenant), deadline: deadline)
      return "cancel"
    }
    let change = simulation.faults.pick(changes)
    _ = try await catalog.change(
      .id(store.id), change, tenant: tenant, origin: origin(tenant), deadline: deadline)
    return change.kind.rawValue
  }
}
