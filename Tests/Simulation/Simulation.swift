import CSimulatedMachine
import Reactor
import TestKit

/// One run: replicas of the provisioner's engine and their users on imagined machines, one real database in which
/// one statement goes on at a time, imagined clusters and an imagined audit. Whatever happens follows from the seed.
final class Simulation {
  /// How long all may take afterwards to come to rest.
  static let settlingTime: Int64 = 900_000_000_000

  struct Environment {
    /// Where the proxy's socket is.
    let folder: String
    let database: SimulatedDatabase
  }

  /// Violations after which a run ends early: they only lead to others.
  static let violationsMax = 5

  private struct Enough: Error {}

  private struct Event {
    let time: Int64
    let number: Int
    let action: () throws -> Void
  }

  let seed: UInt64
  let trace: Trace
  let mutation: Mutation?
  let environment: Environment
  var coverage = Coverage()
  var faults: Faults
  private(set) var time: Int64 = 0
  private var events: [Event] = []
  private var eventsSeen = 0
  private(set) var machines: [Machine] = []
  private(set) var violations: [String] = []
  var lastFaultTime: Int64 = 0
  private var proxy: DatabaseProxy?
  private var replicas: [Replica] = []
  private(set) var world: World!
  private(set) var audit: AuditPeer!
  private var users: Users!
  private var clusterOperator: ClusterOperator!

  init(seed: UInt64, _ environment: Environment, mutation: Mutation?, isVerbose: Bool) throws {
    self.seed = seed
    self.environment = environment
    self.mutation = mutation
    trace = Trace(isVerbose: isVerbose)
    faults = Faults(seed: seed)
    simulated_machine_seed(seed)
    world = World(self)
    audit = AuditPeer(self)
    proxy = try DatabaseProxy(self, folder: environment.folder, environment.database)
  }

  // MARK: The run

  /// Runs to its end; what is wrong.
  func run() throws -> [String] {
    do {
      try runToTheEnd()
    } catch is Enough {}
    return violations
  }

  private func runToTheEnd() throws {
    try environment.database.clear(mutation)
    for slot in 1...faults.pick([2, 2, 3]) { try startReplica(slot) }
    let people = try makeMachine("users")
    users = try Users(self, people)
    users.start()
    clusterOperator = try ClusterOperator(self, people)
    clusterOperator.start()
    planAccidents()
    try proceed(until: faults.troubledSeconds * 1_000_000_000) { false }
    try calm()
    let end = time + Simulation.settlingTime
    try proceed(until: end) { try self.isAtRest() }
    let settled = time
    if time >= end {
      violations.append(
        "not at rest \(Simulation.settlingTime / 1_000_000_000) s after the last fault")
    } else {
      coverage.count("settling \((settled - lastFaultTime) / 30_000_000_000 * 30) s")
      // A last look of everybody at everything: nothing may change any more, but for what somebody finds that
      // was changed past us.
      try proceed(until: time + 6_000_000_000) { false }
      try proceed(until: time + Simulation.settlingTime) { try self.isAtRest() }
      violations += try Verdict(self).violations()
    }
  }

  /// Kills all that runs, and gives back what it holds.
  func end() {
    for machine in machines { machine.isDead = true }
    proxy = nil
    events = []
  }

  func violate(_ text: String) {
    trace.add("VIOLATION \(text)")
    violations.append("\(Trace.seconds(time)) \(text)")
  }

  private func isAtRest() throws -> Bool {
    guard replicas.allSatisfy({ $0.machine.isRunning }), !users.isBusy,
      !clusterOperator.isBusy
    else { return false }
    return try environment.database.isAtRest(checksClusters: faults.checksClusters)
  }

  /// From now on nothing goes wrong, and what has gone wrong is mended.
  private func calm() throws {
    trace.add("calm")
    faults.end()
    lastFaultTime = time
    for machine in machines where !machine.isDead {
      machine.isCutOff = false
      try proxy?.reconnect(machine)
      if machine.isPaused { wake(machine) }
    }
    for replica in replicas where replica.machine.isDead { try startReplica(replica.slot) }
    users.calm()
    clusterOperator.calm()
    world.calm()
  }

  // MARK: Time

  /// Has something happen later.
  func after(_ delay: Int64, _ action: @escaping () throws -> Void) {
    eventsSeen += 1
    let event = Event(time: time + delay, number: eventsSeen, action: action)
    // The latest comes first; of those at one time the one that was added last.
    let index = events.partitioningIndex { $0.time <= event.time }
    events.insert(event, at: index)
  }

  /// What a message takes from one machine to another.
  func latency() -> Int64 { faults.nanoseconds(0.0001...0.003) }

  private var nextCheckOfRest: Int64 = 0

  private func proceed(until end: Int64, _ isOver: () throws -> Bool) throws {
    while true {
      try settle()
      if violations.count >= Simulation.violationsMax { throw Enough() }
      if time >= nextCheckOfRest {
        nextCheckOfRest = time + 1_000_000_000
        if try isOver() { return }
      }
      let timers = machines.filter(\.isRunning).compactMap(\.nextTimer)
      let candidates = [events.last?.time, timers.min(), proxy?.nextCheck, end]
      let next = max(time, candidates.compactMap(\.self).min() ?? end)
      if next >= end, time >= end { return }
      time = next
      trace.time = time
      while let event = events.last, event.time <= time {
        events.removeLast()
        try event.action()
      }
      try proxy?.keepMoving()
      for machine in machines where machine.isRunning {
        if let timer = machine.nextTimer, timer <= time { machine.needsTurn = true }
      }
    }
  }

  /// Lets every machine do what it can do now.
  private func settle() throws {
    while let machine = machines.first(where: { $0.needsTurn && $0.isRunning }) {
      machine.enter(at: time)
      machine.needsTurn = machine.loop.turnAtOnce()
      if !machine.needsTurn { try proxy?.receive(from: machine) }
    }
  }

  // MARK: Machines

  func machine(_ name: String) -> Machine? { machines.first { $0.name == name } }

  private func makeMachine(_ name: String) throws -> Machine {
    let machine = try Machine(
      name, offset: faults.nanoseconds(1_000...100_000),
      partsPerMillion: Int64.random(in: -20_000...20_000, using: &faults.random),
      calendarOffset: faults.nanoseconds(0...2))
    machines.append(machine)
    machine.enter(at: time)
    _ = machine.loop.turnAtOnce()
    return machine
  }

  private func startReplica(_ slot: Int) throws {
    replicas.removeAll { $0.slot == slot }
    starts += 1
    let machine = try makeMachine("replica-\(slot).\(starts)")
    trace.add("\(machine.name) starts")
    replicas.append(try Replica(self, machine, slot: slot))
  }

  private var starts = 0

  // MARK: Accidents

  private func planAccidents() {
    if faults.accidentsPerMinute == 0 { return }
    after(faults.nanoseconds(0...(120 / faults.accidentsPerMinute))) { [self] in
      if faults.isOver { return }
      try haveAccident()
      planAccidents()
    }
  }

  private static let accidents = [
    "kill", "kill", "stall", "cut", "stop", "restart", "jump", "outage", "astray",
  ]

  private func haveAccident() throws {
    lastFaultTime = time
    let replica = faults.pick(replicas)
    let machine = replica.machine
    switch faults.pick(Simulation.accidents) {
    case "kill": try kill(machine)
    case "stall": stall(machine)
    case "cut":
      if !machine.isRunning || machine.isCutOff { return }
      trace.add("\(machine.name) is cut off from the database")
      coverage.count("accident cut")
      machine.isCutOff = true
      after(faults.nanoseconds(1...25)) { [self] in
        trace.add("\(machine.name) is connected again")
        machine.isCutOff = false
        if faults.chance(0.7) { try proxy?.drop(machine) }
        try proxy?.reconnect(machine)
      }
    case "stop":
      if !machine.isRunning { return }
      trace.add("\(machine.name) is told to stop")
      coverage.count("accident stop")
      machine.enter(at: time)
      replica.stop()
      machine.needsTurn = true
      after(faults.nanoseconds(4...12)) { [self] in try kill(machine) }
    case "jump":
      let seconds = Double(faults.pick([-600, -5, 5, 600]))
      trace.add("the calendar of \(machine.name) jumps by \(seconds) s")
      coverage.count("accident jump")
      machine.setCalendar(by: Int64(seconds * 1e9))
    case "outage":
      coverage.count("accident outage")
      world.loseCluster(faults.pick(SimulatedDatabase.clusters), for: faults.nanoseconds(1...25))
    case "astray":
      coverage.count("accident astray")
      world.lead(faults.pick(SimulatedDatabase.clusters), astray: faults.nanoseconds(1...25))
    default:
      trace.add("the database restarts")
      coverage.count("accident restart")
      try proxy?.dropAll()
    }
  }

  func kill(_ machine: Machine) throws {
    guard !machine.isDead, let replica = replicas.first(where: { $0.machine === machine }) else {
      return
    }
    lastFaultTime = time
    coverage.count("accident kill")
    trace.add("\(machine.name) is killed")
    machine.isDead = true
    world.died(machine)
    try proxy?.drop(machine)
    after(faults.nanoseconds(0.5...20)) { [self] in
      if replicas.contains(where: { $0 === replica }) { try startReplica(replica.slot) }
    }
  }

  func stall(_ machine: Machine) {
    guard machine.isRunning, replicas.contains(where: { $0.machine === machine }) else { return }
    lastFaultTime = time
    coverage.count("accident stall")
    trace.add("\(machine.name) stands still")
    machine.isPaused = true
    world.stalled(machine)
    after(faults.nanoseconds(0.5...25)) { [self] in if machine.isPaused { wake(machine) } }
  }

  private func wake(_ machine: Machine) {
    trace.add("\(machine.name) goes on")
    machine.isPaused = false
    machine.needsTurn = true
  }
}

extension Array {
  /// The first index from which on `isTrue` holds.
  fileprivate func partitioningIndex(_ isTrue: (Element) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if isTrue(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
