import ProvisionerService
import Resilience

/// The clusters of a run: what each store has in its own, and who acts on it.
final class World {
  struct Revision: Equatable {
    let parameters: StoreParameters
    let isSuspended: Bool
    let chart: String
  }

  struct Store {
    var name = ""
    var cluster = ""
    /// The uid of the cluster that it was made on.
    var clusterUID = ""
    var hasNamespace = false
    /// The namespace is going away until then.
    var namespaceGoneAt: Int64?
    var hasSecret = false
    /// Those that the config service keeps.
    var hasCredentials = false
    var revisions: [Revision] = []
    var podsReadyAt: Int64?
    var isSetUp = false
    /// Somebody has changed what runs, in a way that can be taken back or not.
    var drift: Drift?
    /// Those that the object store has of it, which outlive it.
    var backups: Set<String> = []

    var isEmpty: Bool { !hasNamespace && !hasSecret && !hasCredentials && revisions.isEmpty }
  }

  /// A call that acts on a store.
  final class Call {
    let site: StoreSite
    let step: OperationStep
    let machine: Machine
    let kind: String
    /// Of the cluster that answers.
    let clusterUID: String
    var isOver = false
    /// Its machine stood still meanwhile: others may have gone on.
    var hasStalled = false

    init(
      _ site: StoreSite, _ step: OperationStep, _ machine: Machine, kind: String, clusterUID: String
    ) {
      self.site = site
      self.step = step
      self.machine = machine
      self.kind = kind
      self.clusterUID = clusterUID
    }

    /// Whether it does something where the store is.
    var isOnCluster: Bool { step != .backupCheck && step != .credentialsRemoval }
  }

  private unowned let simulation: Simulation
  private(set) var stores: [String: Store] = [:]
  private var calls: [String: [Call]] = [:]
  /// The last token that any call for a store began by.
  private var newest: [String: Int64] = [:]
  /// When clusters are back that are away, or in whose place another one answers.
  private var awayUntil: [String: Int64] = [:]
  private var astrayUntil: [String: Int64] = [:]
  /// Of the clusters that there are, by name.
  private var uids: [String: String] = [:]
  /// The uids of those that do not come back.
  private var lost: Set<String> = []
  /// The clusters that kubeconfigs lead to, by the names of these.
  var kubeconfigs = ["east": "east"]
  /// Of the platform: it changes with a new version.
  private(set) var chart = "store-1"

  init(_ simulation: Simulation) {
    self.simulation = simulation
    for name in SimulatedDatabase.clusters { uids[name] = "\(name)-1" }
  }

  func upgradeChart() {
    chart = "store-\((Int(chart.dropFirst(6)) ?? 0) + 1)"
    simulation.trace.add("the chart is \(chart)")
  }

  subscript(store: String) -> Store { stores[store] ?? Store() }

  func forget(_ backup: StoreBackup) { stores[backup.store]?.backups.remove(backup.id) }

  // MARK: What happens to clusters

  func loseCluster(_ name: String, for nanoseconds: Int64) {
    simulation.trace.add("the cluster \(name) is away")
    awayUntil[name] = simulation.time + nanoseconds
  }

  func isAway(_ cluster: String) -> Bool {
    lost.contains(uids[cluster] ?? "") || awayUntil[cluster] ?? 0 > simulation.time
  }

  /// Its name leads elsewhere.
  func lead(_ cluster: String, astray nanoseconds: Int64) {
    // One that is not known yet would be taken for the right one.
    if uids[cluster] != "\(cluster)-1" { return }
    simulation.trace.add("another cluster answers for \(cluster)")
    astrayUntil[cluster] = simulation.time + nanoseconds
  }

  /// The uid of the cluster that answers for the one of that name.
  func uid(of cluster: String) -> String {
    astrayUntil[cluster] ?? 0 > simulation.time ? "another" : uids[cluster] ?? ""
  }

  /// It is away for good, with all that is on it.
  func loseForGood(_ cluster: String) {
    simulation.trace.add("the cluster \(cluster) is lost")
    simulation.coverage.count("cluster lost \(cluster)")
    lost.insert(uids[cluster] ?? "")
  }

  func isLost(uid: String) -> Bool { lost.contains(uid) }

  /// Another one is there in the place of the one that is lost.
  func replace(_ cluster: String) {
    simulation.trace.add("there is another cluster \(cluster)")
    uids[cluster] = "\(cluster)-2"
    awayUntil[cluster] = nil
    astrayUntil[cluster] = nil
  }

  func calm() {
    awayUntil = [:]
    astrayUntil = [:]
  }

  /// Somebody changes a store that runs, past us.
  func meddle(with store: String, _ drift: Drift) {
    guard stores[store]?.revisions.isEmpty == false else { return }
    simulation.trace.add("somebody changes \(stores[store]?.name ?? "")")
    simulation.coverage.count("drift made")
    stores[store]?.drift = drift
  }

  // MARK: Calls

  func begin(_ step: OperationStep, _ site: StoreSite, _ machine: Machine) throws -> Call {
    let rows = try simulation.environment.database.admin.query(
      "EXECUTE call ('\(site.store)', \(site.fence))")
    let newest = rows.first?.first?.flatMap { Int64($0) } ?? site.fence
    let kind = rows.last?.last.flatMap(\.self) ?? "unknown"
    let call = Call(site, step, machine, kind: kind, clusterUID: uid(of: site.cluster))
    simulation.trace.add(
      "\(machine.name) \(site.name): \(kind) \(step.rawValue) begins, token \(site.fence)")
    simulation.coverage.count("step \(kind) \(step.rawValue) none")
    if newest > site.fence {
      simulation.violate(
        "\(machine.name) begins \(step.rawValue) of \(site.name) by token \(site.fence), after \(newest) was given"
      )
    }
    for other in calls[site.store] ?? [] where !other.isOver && !other.hasStalled {
      simulation.violate(
        "\(machine.name) begins \(step.rawValue) of \(site.name) while \(other.machine.name) is at \(other.step.rawValue)"
      )
    }
    calls[site.store, default: []].append(call)
    self.newest[site.store] = max(self.newest[site.store] ?? 0, site.fence)
    if let cluster = stores[site.store]?.cluster, cluster != site.cluster {
      simulation.violate("\(site.name) went from \(cluster) to \(site.cluster)")
    }
    return call
  }

  func end(_ call: Call) {
    call.isOver = true
    calls[call.site.store]?.removeAll { $0 === call }
  }

  func count(_ fault: String, _ call: Call) {
    simulation.coverage.count("step \(call.kind) \(call.step.rawValue) \(fault)")
    simulation.coverage.count("fault \(fault)")
    simulation.trace.add("  \(call.site.name) \(call.step.rawValue): \(fault)")
  }

  /// Changes what a store has, unless the call's time is over.
  func act(_ call: Call, _ change: (inout Store) throws -> Void) throws {
    if newest[call.site.store] ?? 0 > call.site.fence {
      // Of one that stood still in the middle of a call nobody can know; its next call is refused.
      if call.hasStalled { return }
      simulation.violate(
        "\(call.machine.name) acts on \(call.site.name) (\(call.step.rawValue)) after its successor began"
      )
    }
    var store = stores[call.site.store] ?? Store()
    if call.isOnCluster {
      // It was lost meanwhile.
      if isLost(uid: call.clusterUID) { throw ProvisionFailure(.clusterUnreachable, "it is lost") }
      if store.clusterUID.isEmpty { store.clusterUID = call.clusterUID }
      if store.clusterUID != call.clusterUID {
        simulation.violate(
          "\(call.site.name) is on \(store.clusterUID); its \(call.step.rawValue) is on \(call.clusterUID)"
        )
      }
    }
    store.name = call.site.name
    store.cluster = call.site.cluster
    if let gone = store.namespaceGoneAt, gone <= simulation.time {
      store.hasNamespace = false
      store.namespaceGoneAt = nil
      store.hasSecret = false
      store.revisions = []
      store.podsReadyAt = nil
      store.isSetUp = false
      store.drift = nil
    }
    defer { stores[call.site.store] = store }
    try change(&store)
  }

  func died(_ machine: Machine) {
    for (_, calls) in calls.sorted(by: { $0.key < $1.key }) {
      for call in calls where call.machine === machine {
        count("kill", call)
        end(call)
      }
    }
  }

  func stalled(_ machine: Machine) {
    for (_, calls) in calls.sorted(by: { $0.key < $1.key }) {
      for call in calls where call.machine === machine {
        count("stall", call)
        call.hasStalled = true
      }
    }
  }
}
