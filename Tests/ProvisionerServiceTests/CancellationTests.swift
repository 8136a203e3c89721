import Contracts
import Postgres
import ProvisionerTestKit
import RPC
import RPCCore
import Testing

@testable import ProvisionerService

@Suite(.timeLimit(.minutes(2))) struct CancellationTests {
  private func cancel(
    _ operation: OperationRecord, _ desk: Desk
  ) async throws -> OperationRecord {
    try await desk.catalog.cancel(
      operation.id, tenant: Desk.tenant, origin: Desk.origin("request-4"), deadline: .soon)
  }

  @Test func aProvisioningIsStoppedInEveryStep() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      var settings = EngineSettings.quick
      settings.workers = 6
      let engine = try await Engine.start(database, cluster, settings)
      let steps = OperationKind.provision.steps
      for step in steps { cluster.script(step, of: "at-\(step.rawValue)", [.hang]) }
      var operations: [OperationRecord] = []
      for step in steps { operations.append(try await desk.create("at-\(step.rawValue)")) }
      for (step, operation) in zip(steps, operations) {
        await cluster.reached(step, of: "at-\(step.rawValue)")
        #expect(try await cancel(operation, desk).isCancelRequested)
        let ended = try await desk.wait(for: operation.id)
        #expect(ended.state == .cancelled, "\(step)")
        let store = try await desk.store(operation.store)
        #expect(store.state == .failed)
        #expect(store.problem?.code == "CANCELLED")
        // Asked again, nothing more happens.
        #expect(try await cancel(operation, desk) == ended)
        let events = try await desk.events(of: store.id)
        let wish = try #require(events.first { $0.action == "operation.cancel" })
        #expect(wish.actor?.id == "ada" && wish.requestID == "request-4")
        #expect(wish.operation == operation.id.description)
        #expect(events.count { $0.action == "operation.cancel" } == 1)
        #expect(try await desk.wait(for: desk.retry(store.id).id).state == .succeeded)
        #expect(
          try await desk.states(of: store.id)
            == ["requested", "provisioning", "failed", "requested", "provisioning", "ready"])
      }
      #expect(cluster.violations.isEmpty)
      await engine.stop()
    }
  }

  @Test func whatHasNotBegunNeverDoes() async throws {
    try await atDesk { desk, database in
      let operation = try await desk.create("demo")
      #expect(try await cancel(operation, desk).state == .pending)
      let cluster = FakeCluster()
      let engine = try await Engine.start(database, cluster)
      let ended = try await desk.wait(for: operation.id)
      #expect(ended.state == .cancelled)
      #expect(ended.steps.allSatisfy { $0.state == .skipped && $0.attempts == 0 })
      #expect(cluster.calls.isEmpty)
      await engine.stop()
    }
  }

  @Test func theWishOutlivesTheHolder() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      cluster.script(.rollout, of: "demo", [.hang])
      let first = try await Engine.start(database, cluster)
      let operation = try await desk.create("demo")
      await cluster.reached(.rollout, of: "demo")
      first.kill()
      try await SuddenDeath.endLeases(desk.owner)
      _ = try await cancel(operation, desk)
      let second = try await Engine.start(database, cluster)
      #expect(try await desk.wait(for: operation.id).state == .cancelled)
      #expect(cluster.calls.count { $0.step == .rollout } == 1)
      // A deletion is asked for as of any store that failed.
      #expect(try await desk.wait(for: desk.delete("demo").id).state == .succeeded)
      await second.stop()
    }
  }

  @Test func deletionsAndWhatHasEndedGoOn() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      let engine = try await Engine.start(database, cluster)
      let operation = try await desk.wait(for: desk.create("demo").id)
      #expect(
        await refusal { _ = try await cancel(operation, desk) }
          == .notCancellable("it has succeeded already"))
      cluster.script(.uninstall, of: "demo", [.hang])
      let deletion = try await desk.delete("demo")
      await cluster.reached(.uninstall, of: "demo")
      #expect(
        await refusal { _ = try await cancel(deletion, desk) }
          == .notCancellable("a deletion goes on to its end"))
      await engine.stop()
    }
  }

  @Test func itIsAskedForThroughTheService() async throws {
    try await withService { peers, desk, _ in
      let operation = try await peers.create("demo")
      let operations = try peers.operations()
      let cancelled = try await operations.cancelOperation(
        .init(operation: operation.id), options: peers.user())
      #expect(cancelled.cancelRequested && !cancelled.done)
      let deletion = try await peers.stores().deleteStore(
        .init(store: "demo"), options: peers.user())
      let refused = await rpcError {
        _ = try await operations.cancelOperation(
          .init(operation: deletion.id), options: peers.user())
      }
      #expect(refused?.code == .failedPrecondition)
      #expect(refused?.message.contains("a deletion goes on to its end") == true)
    }
  }
}
