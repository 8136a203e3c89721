import Contracts
import Observability
import Postgres
import ProvisionerService
import Reactor
import ServiceRuntime

/// Who looks after the clusters, and gives up the one that is lost.
final class ClusterOperator {
  private unowned let simulation: Simulation
  private let machine: Machine
  private let clusters: ClusterCatalog
  private let secrets: SimulatedRegister
  private var isCalm = false
  private var working = 0

  /// Whether there is still something to see to.
  var isBusy: Bool { working > 0 }

  private var deadline: Instant { .now() + .seconds(8) }
  private let origin = ChangeOrigin(
    actor: AuditV1.Actor(kind: .user, id: "olga"),
    request: StoredRequestContext(requestID: "request-2", principal: "user:olga"))

  init(_ simulation: Simulation, _ machine: Machine) throws {
    self.simulation = simulation
    self.machine = machine
    let connections = try Connections(simulation.environment, machine)
    clusters = ClusterCatalog(
      pool: connections.pool(.application), worker: connections.pool(.worker))
    secrets = SimulatedRegister(simulation, machine)
  }

  func start() {
    if simulation.faults.chance(0.4) { spawn { await self.change() } }
    if let name = simulation.faults.lostCluster { spawn { await self.lose(name) } }
  }

  /// Nothing new is begun.
  func calm() { isCalm = true }

  private func spawn(_ work: @escaping () async -> Void) {
    working += 1
    machine.loop.spawn(on: machine.reactor) {
      await work()
      self.working -= 1
    }
  }

  /// Whether it was done.
  @discardableResult
  private func attempt(_ name: String, _ body: () async throws -> String?) async -> Bool {
    do {
      guard let what = try await body() else { return false }
      simulation.coverage.count("asked \(what)")
      simulation.trace.add("operator asks: \(what) \(name)")
      return true
    } catch {
      let kind =
        error is ClusterRefusal
        ? "\(error)".prefix { $0 != "(" }.description : "\(type(of: error))"
      simulation.coverage.count("refused \(kind)")
      simulation.trace.add("operator is refused: \(name): \(error)")
      return false
    }
  }

  private func pause(_ seconds: ClosedRange<Double>) async {
    await rest(for: simulation.faults.seconds(seconds), on: machine.reactor)
  }

  // MARK: Changes

  /// Closes and opens clusters, and makes them smaller and larger.
  private func change() async {
    while !isCalm {
      await pause(0.5...8)
      if isCalm { break }
      var change = ClusterChange()
      change.schedule = simulation.faults.pick([.open, .open, .cordoned, .draining])
      if simulation.faults.chance(0.3) { change.storesMax = simulation.faults.pick([0, 1, 3]) }
      let (name, wanted) = (simulation.faults.pick(SimulatedDatabase.clusters), change)
      await attempt(name) { try await self.update(name, wanted) }
    }
  }

  private func update(_ name: String, _ change: ClusterChange) async throws -> String {
    _ = try await clusters.update(name, change, by: origin, deadline: deadline)
    return "cluster \(change.schedule?.rawValue ?? "")"
  }

  private func set(_ schedule: ClusterSchedule, _ name: String) async throws -> String {
    var change = ClusterChange()
    change.schedule = schedule
    return try await update(name, change)
  }

  // MARK: The end of a cluster

  /// Goes on until it is done, whatever fails.
  private func lose(_ name: String) async {
    await pause(1...20)
    simulation.world.loseForGood(name)
    await pause(0.1...15)
    while !(await attempt(name, { try await self.giveUp(name) })) { await pause(0.1...2) }
    // It may come back, as another one, before all is done about the former one.
    let isEarly = simulation.faults.chance(0.3)
    if isEarly { simulation.world.replace(name) }
    while !(await isForgotten(name)) { await pause(0.5...3) }
    if !isEarly {
      await pause(0.1...10)
      simulation.world.replace(name)
    }
    if name == ClusterName.own {
      while !(await attempt(name, { try await self.set(.open, name) })) { await pause(0.1...2) }
    } else if simulation.faults.chance(0.7) {
      await registerAnew(name)
    }
  }

  private func giveUp(_ name: String) async throws -> String {
    // Somebody else may open it again at once.
    _ = try await set(.draining, name)
    _ = try await clusters.abandon(name, by: origin, deadline: deadline)
    return "cluster abandoned"
  }

  private func isForgotten(_ name: String) async -> Bool {
    do {
      return try await clusters.find(name, deadline: deadline).abandonment == nil
    } catch {
      return error as? ClusterRefusal == .notFound
    }
  }

  private func registerAnew(_ name: String) async {
    let secret = "\(name).2"
    while !(await attempt(name, { try await self.register(name, secret) })) {
      await pause(0.1...2)
    }
  }

  private func register(_ name: String, _ secret: String) async throws -> String? {
    let kubeconfig = ClusterKubeconfig(text: name, server: name)
    let inspection = try await secrets.inspect(kubeconfig, timeout: .seconds(8))
    guard inspection.findings.failures.isEmpty, let uid = inspection.uid else { return nil }
    try await secrets.keep(kubeconfig, as: secret, timeout: .seconds(8))
    let draft = ClusterDraft(
      name: name, server: name, access: ClusterAccess(secret: secret, uid: uid),
      findings: inspection.findings(expecting: nil))
    do {
      _ = try await clusters.register(draft, by: origin, deadline: deadline)
    } catch ClusterRefusal.exists {
      // The answer of the first time was lost.
    }
    return "cluster registered"
  }
}
