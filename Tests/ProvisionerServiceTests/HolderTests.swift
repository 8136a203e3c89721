import Configuration
import Contracts
import Postgres
import ProvisionerTestKit
import Reactor
import Resilience
import ServiceRuntime
import TestKit
import Testing

@testable import ProvisionerService

/// Holders that die, stop or are cut off from their database, and who goes on.
@Suite(.timeLimit(.minutes(2))) struct HolderTests {
  @Test func recoveryCanBeLeftToPeople() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      cluster.script(.release, of: "demo", [.hang])
      var settings = EngineSettings.quick
      let first = try await Engine.start(database, cluster, settings)
      let operation = try await desk.create("demo")
      await cluster.reached(.release, of: "demo")
      first.kill()
      try await SuddenDeath.endLeases(desk.owner)
      settings.recovery = .fail
      let second = try await Engine.start(database, cluster, settings)
      let ended = try await desk.wait(for: operation.id)
      #expect(ended.state == .failed && ended.problem?.code == "INTERRUPTED")
      #expect(ended.steps[2].state == .failed && ended.steps[3].state == .skipped)
      #expect(try await desk.wait(for: desk.retry("demo").id).state == .succeeded)
      await second.stop()
    }
  }

  /// On a machine that slept: what had come before is worked off before any timer fires.
  @Test func aLeaseThatIsOverIsLostBeforeItsTimerFires() async throws {
    let reactor = try Reactor.start(name: "lease")
    defer { reactor.loop.stop() }
    await reactor.run { reactor in
      let claim = Claim(
        operation: .random(), tenant: "acme", store: "demo", kind: .provision, fence: 1,
        wasInterrupted: false, isScheduled: false)
      for isOver in [false, true] {
        let askedAt = Instant.now() + .seconds(isOver ? -60 : 60)
        let lease = OperationLease(claim, askedAt: askedAt, terms: .standard, on: reactor.loop)
        var ending: OperationLease.Ending?
        lease.onEnd = { ending = $0 }
        lease.check()
        #expect(lease.isLost == isOver)
        #expect(ending == (isOver ? .lost : nil))
        lease.end()
      }
    }
  }

  /// What a machine may need on top that is busy with other tests.
  private static let busyMachine: Duration = .seconds(40)

  /// With the leases that the services have, and as many operations as they work on at once.
  @Test func aDeadHolderIsReplacedWithinTenSeconds() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      var settings = EngineSettings.quick
      settings.lease = .standard
      #expect(settings.lease.duration == .seconds(10))
      // By the timer for the end of the lease, and not by a look for work that happens to come then.
      settings.pollInterval = settings.lease.duration + Self.busyMachine + .seconds(10)
      let names = (0..<settings.workers).map { "store\($0)" }
      for name in names { cluster.script(.rollout, of: name, [.hang]) }
      let first = try await Engine.start(database, cluster, settings)
      var operations: [OperationRecord] = []
      for name in names { operations.append(try await desk.create(name)) }
      for name in names { await cluster.reached(.rollout, of: name) }
      let second = try await Engine.start(database, cluster, settings)
      // It is renewed once more before its holder dies.
      let pause = WakeUp(on: desk.reactor)
      await pause.wait(atMost: settings.lease.beat * 1.5)
      first.kill()
      let death = Instant.now()
      let left = try await desk.owner.query(
        scope: .none,
        "SELECT max(lease_expires_at) <= clock_timestamp() + interval '10 s' FROM operations",
        deadline: .soon)
      #expect(try left[0].decode(0, as: Bool.self))
      for name in names { await cluster.reached(.rollout, of: name, count: 2) }
      let gap = Instant.now() - death
      print("a dead holder was replaced after \(gap)")
      #expect(gap < settings.lease.duration + Self.busyMachine)
      for operation in operations {
        #expect(try await desk.wait(for: operation.id).state == .succeeded)
      }
      #expect(cluster.violations.isEmpty)
      await second.stop()
    }
  }

  @Test func stoppedInGoodOrderTheWorkGoesOnAtOnce() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      cluster.script(.setup, of: "demo", [.hangStubbornly])
      var settings = EngineSettings.quick
      let first = try await Engine.start(database, cluster, settings)
      let operation = try await desk.create("demo")
      await cluster.reached(.setup, of: "demo")
      await first.stop()
      // Nobody died, so that nothing is to be left to people.
      settings.recovery = .fail
      let second = try await Engine.start(database, cluster, settings)
      #expect(try await desk.wait(for: operation.id).state == .succeeded)
      #expect(cluster.violations.isEmpty)
      await second.stop()
    }
  }

  @Test func twoEnginesShareTheWork() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      var settings = EngineSettings.quick
      settings.workers = 2
      let engines = [
        try await Engine.start(database, cluster, settings),
        try await Engine.start(database, cluster, settings),
      ]
      var operations: [OperationRecord] = []
      for number in 0..<12 { operations.append(try await desk.create("store\(number)")) }
      for operation in operations {
        let ended = try await desk.wait(for: operation.id)
        #expect(ended.state == .succeeded)
        #expect(ended.steps.allSatisfy { $0.attempts == 1 })
        #expect(
          try await desk.states(of: operation.store) == ["requested", "provisioning", "ready"])
      }
      #expect(cluster.violations.isEmpty)
      #expect(cluster.calls.count == 12 * 6)
      for engine in engines { await engine.stop() }
    }
  }

  @Test func aHolderStopsBeforeItsLeaseEnds() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      cluster.script(.release, of: "demo", [.hang])
      var settings = EngineSettings.quick
      // It stops when two seconds are over, and has a minute for it.
      settings.lease = LeaseTerms(
        duration: .seconds(62), margin: .seconds(60), beat: .milliseconds(250))
      let engine = try await Engine.start(database, cluster, settings)
      let operation = try await desk.create("demo")
      await cluster.reached(.release, of: "demo")
      // While its row is locked the lease is not renewed, and nobody else can take it either.
      try await desk.owner.withTransaction(scope: .none, deadline: .soon) { transaction in
        try await transaction.query(
          "SELECT 1 FROM operations WHERE id = $1 FOR UPDATE", [.uuid(operation.id)])
        await cluster.left(.release, of: "demo")
        let rows = try await transaction.query(
          "SELECT lease_expires_at > clock_timestamp() FROM operations WHERE id = $1",
          [.uuid(operation.id)])
        #expect(try rows[0].decode(0, as: Bool.self))
      }
      try await SuddenDeath.endLeases(desk.owner)
      #expect(try await desk.wait(for: operation.id).state == .succeeded)
      #expect(cluster.violations.isEmpty)
      await engine.stop()
    }
  }

  @Test func whatTakesTooLongIsStoppedByForceAndTriedAgain() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      cluster.script(.release, of: "demo", [.hangStubbornly, .hang])
      var settings = EngineSettings.quick
      settings.stepTimeout = .seconds(1)
      let engine = try await Engine.start(database, cluster, settings)
      let ended = try await desk.wait(for: desk.create("demo").id)
      #expect(ended.state == .succeeded)
      #expect(ended.steps[2].failures >= 2)
      #expect(cluster.violations.isEmpty)
      await engine.stop()
    }
  }

  @Test func whatCannotBeStoppedKeepsItsLeaseUntilItIsOver() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      cluster.script(.release, of: "demo", [.hangForever])
      var settings = EngineSettings.shortLived
      settings.stepTimeout = .milliseconds(500)
      let engine = try await Engine.start(database, cluster, settings)
      let begin = Instant.now()
      let operation = try await desk.create("demo")
      await cluster.reached(.release, of: "demo", count: 2)
      #expect(Instant.now() - begin > .seconds(1))
      // The fake tells on it, as on each later step.
      #expect(cluster.violations.first == "demo: release while another call was under way")
      _ = try await desk.wait(for: operation.id)
      engine.kill()
    }
  }

  @Test func theWorkGoesOnAfterTheDatabaseWasGone() async throws {
    let server = try ThrowawayPostgres()
    try await atDesk(on: server) { desk, database in
      let cluster = FakeCluster()
      let names = (0..<6).map { "store\($0)" }
      for (name, step) in zip(names, OperationKind.provision.steps) {
        cluster.script(step, of: name, [.hang])
      }
      var settings = EngineSettings.shortLived
      settings.workers = names.count
      let engine = try await Engine.start(database, cluster, settings)
      var operations: [OperationRecord] = []
      for name in names { operations.append(try await desk.create(name)) }
      for (name, step) in zip(names, OperationKind.provision.steps) {
        await cluster.reached(step, of: name)
      }
      try server.kill()
      // Without the database no lease is renewed, and nobody goes on without one.
      for (name, step) in zip(names, OperationKind.provision.steps) {
        await cluster.left(step, of: name)
      }
      try server.start()
      for operation in operations {
        #expect(try await desk.wait(for: operation.id).state == .succeeded)
        #expect(
          try await desk.states(of: operation.store) == ["requested", "provisioning", "ready"])
      }
      #expect(cluster.violations.isEmpty)
      await engine.stop()
    }
  }

  @Test func sessionsThatEndInTheMiddleOfTheWorkLoseAndDoubleNothing() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      let engine = try await Engine.start(database, cluster, .shortLived)
      var operations: [OperationRecord] = []
      for number in 0..<8 { operations.append(try await desk.create("store\(number)")) }
      for operation in operations {
        // Whatever is under way: claims, renewals, steps, ends, and what is listened to.
        try await desk.worker.endOtherSessions(deadline: .soon)
        try await desk.application.endOtherSessions(deadline: .soon)
        #expect(try await desk.wait(for: operation.id).state == .succeeded)
        #expect(
          try await desk.states(of: operation.store) == ["requested", "provisioning", "ready"])
      }
      #expect(cluster.violations.isEmpty)
      await engine.stop()
    }
  }
}
