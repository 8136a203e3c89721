import Configuration
import Contracts
import Postgres
import ProvisionerTestKit
import Reactor
import Resilience
import TestKit
import Testing

@testable import ProvisionerService

@Suite(.timeLimit(.minutes(2))) struct EngineTests {
  @Test func aStoreLives() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      let engine = try await Engine.start(database, cluster)
      let made = try await desk.wait(for: desk.create("demo").id)
      #expect(made.state == .succeeded)
      #expect(made.progressPercent == 100)
      #expect(made.steps.allSatisfy { $0.state == .succeeded && $0.attempts == 1 })
      #expect(made.startedAt != nil && made.endedAt != nil)
      let store = try await desk.store("demo")
      #expect(store.state == .ready && store.readyAt != nil)
      #expect(cluster.parts(of: store.id) == Set(FakeCluster.Part.allCases))

      let gone = try await desk.wait(for: desk.delete("demo").id)
      #expect(gone.state == .succeeded)
      #expect(try await desk.store(store.id).state == .deleted)
      #expect(cluster.parts(of: store.id).isEmpty)
      #expect(await refusal { try await desk.store("demo") } == .notFound)
      #expect(
        cluster.calls.map(\.step) == OperationKind.provision.steps + OperationKind.delete.steps)

      let events = try await desk.events(of: store.id)
      #expect(
        events.map(\.newState) == ["requested", "provisioning", "ready", "deleting", "deleted"])
      #expect(events.map(\.previousState) == [""] + events.dropLast().map(\.newState))
      #expect(events.map(\.revision) == [1, 2, 3, 4, 5])
      #expect(Set(events.map(\.id)).count == 5)
      #expect(
        events.map(\.requestID)
          == ["request-1", "request-1", "request-1", "request-2", "request-2"])
      #expect(events.allSatisfy { $0.traceID == "0af7651916cd43dd8448eb211c80319c" })
      #expect(events.map { $0.actor?.kind } == [.user, .service, .service, .user, .service])
      #expect(events[1].details?["requested_by"]?.string == "user:ada")
      await engine.stop()
    }
  }

  @Test func attemptsAreUsedUp() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      let failure = ProvisionFailure(.verificationFailed, "HTTP 500")
      cluster.script(.verify, of: "demo", [.fail(failure), .fail(failure), .fail(failure)])
      let engine = try await Engine.start(database, cluster)
      let ended = try await desk.wait(for: desk.create("demo").id)
      #expect(ended.state == .failed)
      #expect(ended.problem?.code == "VERIFICATION_FAILED")
      #expect(ended.problem?.message.contains("HTTP 500") == true)
      #expect(ended.steps.last?.attempts == 3)
      // Asked for as it was, it is tried again; otherwise it is in the way.
      #expect(
        await refusal { try await desk.create("demo", plan: "big") } == .conflict(.otherParameters))
      let again = try await desk.create("demo")
      #expect(again.store == ended.store)
      #expect(try await desk.wait(for: again.id).state == .succeeded)
      #expect(
        try await desk.states(of: ended.store)
          == ["requested", "provisioning", "failed", "requested", "provisioning", "ready"])
      await engine.stop()
    }
  }

  /// It would end one helm-worker after another.
  @Test func aReleaseThatEndsItsWorkerHasTwoTries() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      let crash = ProvisionFailure(.helmCrashed, "signal 9")
      cluster.script(.release, of: "demo", [crash, crash, crash].map { .fail($0) })
      let engine = try await Engine.start(database, cluster)
      let ended = try await desk.wait(for: desk.create("demo").id)
      #expect(ended.problem?.code == "HELM_CRASHED")
      #expect(ended.steps.first { $0.step == .release }?.attempts == 2)
      #expect(await engine.phase(.helm) == .closed)
      await engine.stop()
    }
  }

  /// What the pods' events tell counts from there on, also for who takes the work over.
  @Test func theTimeOfTheReleaseOutlivesItsHolder() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      cluster.script(.rollout, of: "demo", [.hang])
      let first = try await Engine.start(database, cluster)
      let operation = try await desk.create("demo")
      await cluster.reached(.rollout, of: "demo")
      first.kill()
      try await SuddenDeath.endLeases(desk.owner)
      let second = try await Engine.start(database, cluster)
      let ended = try await desk.wait(for: operation.id)
      await second.stop()
      let release = try #require(ended.steps.first { $0.step == .release })
      let asked = try #require(release.startedAt).microseconds / 1_000_000
      let seen = cluster.calls.filter { $0.step == .rollout }.map(\.releasedAt)
      #expect(seen.count == 2 && seen.last == asked)
      let earlier = try #require(seen.first ?? nil)
      #expect(abs(earlier - asked) <= 2)
      #expect(cluster.calls.first?.releasedAt == nil)
    }
  }

  @Test func deletingCancelsTheProvisioningInEveryStep() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      var settings = EngineSettings.quick
      settings.workers = 6
      let engine = try await Engine.start(database, cluster, settings)
      let steps = OperationKind.provision.steps
      var provisionings: [OperationStep: OperationRecord] = [:]
      for step in steps {
        cluster.script(step, of: "at-\(step.rawValue)", [.hang])
        provisionings[step] = try await desk.create("at-\(step.rawValue)")
      }
      for step in steps { await cluster.reached(step, of: "at-\(step.rawValue)") }
      for (step, provisioning) in provisionings {
        let deletion = try await desk.delete("at-\(step.rawValue)")
        // The same intent, not another one.
        #expect(try await desk.delete("at-\(step.rawValue)").id == deletion.id)
        #expect(try await desk.wait(for: deletion.id).state == .succeeded)
        let cancelled = try await desk.operation(provisioning.id)
        #expect(cancelled.state == .cancelled && cancelled.problem == nil)
        #expect(cancelled.steps.last?.state == .skipped)
        #expect(
          try await desk.states(of: provisioning.store)
            == ["requested", "provisioning", "failed", "deleting", "deleted"])
        #expect(cluster.parts(of: provisioning.store).isEmpty)
      }
      #expect(cluster.violations.isEmpty)
      await engine.stop()
    }
  }

  @Test func theWishToDeleteSurvivesAKill() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      cluster.script(.rollout, of: "demo", [.hang])
      let first = try await Engine.start(database, cluster)
      let provisioning = try await desk.create("demo")
      await cluster.reached(.rollout, of: "demo")
      first.kill()
      try await SuddenDeath.endLeases(desk.owner)
      let deletion = try await desk.delete("demo")
      let second = try await Engine.start(database, cluster)
      #expect(try await desk.wait(for: deletion.id).state == .succeeded)
      #expect(try await desk.operation(provisioning.id).state == .cancelled)
      #expect(
        try await desk.states(of: provisioning.store)
          == ["requested", "provisioning", "failed", "deleting", "deleted"])
      // Nothing more was provisioned.
      #expect(cluster.calls.count { $0.step == .rollout } == 1)
      #expect(cluster.calls.count { $0.step == .setup } == 0)
      await second.stop()
    }
  }

  @Test func stepsAreNotBegunWithoutEnd() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      cluster.script(.setup, of: "demo", [.hang])
      var settings = EngineSettings.quick
      settings.attemptsMax = 1
      let first = try await Engine.start(database, cluster, settings)
      let operation = try await desk.create("demo")
      await cluster.reached(.setup, of: "demo")
      await first.stop()
      let second = try await Engine.start(database, cluster, settings)
      let ended = try await desk.wait(for: operation.id)
      #expect(ended.problem?.code == "INTERRUPTED")
      #expect(ended.problem?.message.contains("begun 1 times (attemptsMax)") == true)
      await second.stop()
    }
  }

  @Test func anOperationHasItsTime() async throws {
    try await atDesk { desk, database in
      let settings = EngineSettings.quick
      let late = settings.operationTimeout + .seconds(60)
      let clock = ManualClock(wallNow: SystemTimeSource().wallNow.advanced(by: late))
      let engine = try await Engine.start(database, FakeCluster(), settings, clock: clock)
      let ended = try await desk.wait(for: desk.create("demo").id)
      #expect(ended.problem?.code == "OPERATION_TIMED_OUT")
      #expect(try await desk.store("demo").state == .failed)
      await engine.stop()
    }
  }

  @Test func progressIsShown() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      cluster.script(.setup, of: "demo", [.hang])
      let engine = try await Engine.start(database, cluster)
      let operation = try await desk.create("demo")
      await cluster.reached(.setup, of: "demo")
      let during = try await desk.wait(for: operation.id) { $0.progressPercent >= 75 }
      #expect(during.progressPercent == 75)
      #expect(during.steps[3].detail == "1 of 2 pods ready")
      #expect(during.steps[4].state == .running)
      await engine.stop()
    }
  }
}
