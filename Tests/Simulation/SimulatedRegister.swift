import ProvisionerService
import Reactor

/// What a machine finds out about the clusters of a run, and their kubeconfigs, each of which is its cluster's name.
final class SimulatedRegister: ClusterInspector, ClusterSecrets {
  private struct Away: Error {}

  private unowned let simulation: Simulation
  private let machine: Machine

  init(_ simulation: Simulation, _ machine: Machine) {
    self.simulation = simulation
    self.machine = machine
  }

  // MARK: Inspections

  func read(_ kubeconfig: String, field: String) throws(InvalidField) -> ClusterKubeconfig {
    ClusterKubeconfig(text: kubeconfig, server: kubeconfig)
  }

  func inspect(
    _ kubeconfig: ClusterKubeconfig?, timeout: Duration
  ) async throws(ClusterRefusal) -> ClusterInspection {
    let name = kubeconfig?.text ?? ClusterName.own
    let fault = simulation.faults.inspection()
    if let fault { simulation.coverage.count("cluster inspection \(fault.rawValue)") }
    await rest(for: simulation.faults.seconds(0.01...2), on: machine.reactor)
    if fault == .cannotCheck { throw .cannotCheck("a fault") }
    if simulation.world.isAway(name) {
      simulation.coverage.count("cluster found away")
      return ClusterInspection([ClusterFinding(.connection, .failed, "it is away")])
    }
    var findings = [ClusterFinding(.connection, .passed, "it answers")]
    if fault == .lacking { findings.append(ClusterFinding(.storage, .failed, "a fault")) }
    if fault == .untold { return ClusterInspection(findings, passing: "a fault") }
    let uid = simulation.world.uid(of: name)
    simulation.coverage.count("cluster \(uid == "another" ? "found elsewhere" : "passed")")
    return ClusterInspection(findings, uid: uid)
  }

  // MARK: Kubeconfigs

  func keep(_ kubeconfig: ClusterKubeconfig, as name: String, timeout: Duration) async throws {
    try await call()
    simulation.world.kubeconfigs[name] = kubeconfig.text
  }

  func kubeconfig(_ name: String, timeout: Duration) async throws -> String {
    try await call()
    guard let text = simulation.world.kubeconfigs[name] else { throw Away() }
    return text
  }

  func list(timeout: Duration) async throws -> [KeptKubeconfig] {
    simulation.world.kubeconfigs.keys.sorted().map { KeptKubeconfig(name: $0, time: .max) }
  }

  func forget(_ name: String, timeout: Duration) async throws {
    try await call()
    simulation.world.kubeconfigs[name] = nil
  }

  private func call() async throws {
    await rest(for: simulation.faults.seconds(0.001...0.5), on: machine.reactor)
    if simulation.faults.inspection() == .noKubeconfig {
      simulation.coverage.count("cluster inspection noKubeconfig")
      throw Away()
    }
  }
}
