import Contracts
import JSON
import Postgres
import ProvisionerTestKit
import RPC
import RPCCore
import ServiceRuntime
import TestKit
import Testing

@testable import ProvisionerService

/// Upgrades, rollbacks, suspensions.
@Suite(.timeLimit(.minutes(2))) struct ChangeTests {
  private func withEngine(
    _ body: @Sendable (Desk, FakeCluster) async throws -> Void
  ) async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      let engine = try await Engine.start(database, cluster)
      try await desk.ready("demo")
      try await body(desk, cluster)
      #expect(cluster.violations.isEmpty)
      await engine.stop()
    }
  }

  private func done(_ operation: OperationRecord, _ desk: Desk) async throws {
    #expect(try await desk.wait(for: operation.id).state == .succeeded)
  }

  @Test func valuesChangeByMergePatch() async throws {
    try await withEngine { desk, cluster in
      try await done(desk.upgrade("demo", size: "64M"), desk)
      let more: JSON = ["wordpress": ["php": ["ini": ["max_execution_time": "60"]]]]
      try await done(desk.change("demo", .upgrade(patch: more.object!)), desk)
      var store = try await desk.store("demo")
      let both: JSON = [
        "wordpress": ["php": ["ini": ["post_max_size": "64M", "max_execution_time": "60"]]]
      ]
      #expect(JSON.object(store.parameters.values) == both)
      let less: JSON = ["wordpress": ["php": ["ini": ["post_max_size": nil]]]]
      try await done(desk.change("demo", .upgrade(patch: less.object!)), desk)
      store = try await desk.store("demo")
      let rest: JSON = ["wordpress": ["php": ["ini": ["max_execution_time": "60"]]]]
      #expect(JSON.object(store.parameters.values) == rest)
      #expect(cluster.revisions(of: store.id).last?.parameters == store.parameters)
      // To the present chart, the values as they are.
      try await done(desk.change("demo", .upgrade(patch: JSONObject())), desk)
      #expect(try await desk.store("demo").parameters == store.parameters)
      #expect(try await desk.store("demo").release == 5)
      #expect(try await desk.states(of: store.id) == ["requested", "provisioning", "ready"])
    }
  }

  @Test func aStoreGoesBackToEachOfItsReleases() async throws {
    try await withEngine { desk, cluster in
      for size in ["2M", "3M", "4M"] { try await done(desk.upgrade("demo", size: size), desk) }
      let store = try await desk.store("demo")
      // The one before; that is release 5 now, and the one before it is the fourth.
      try await done(desk.change("demo", .rollback(release: nil)), desk)
      #expect(try await desk.store("demo").parameters.values == Desk.patch("3M"))
      try await done(desk.change("demo", .rollback(release: nil)), desk)
      #expect(try await desk.store("demo").parameters.values == Desk.patch("4M"))
      try await done(desk.change("demo", .rollback(release: 1)), desk)
      let first = try await desk.releases("demo")
      #expect(first.store.parameters == StoreParameters() && first.store.release == 7)
      #expect(first.releases.map(\.number) == [7, 6, 5, 4, 3, 2, 1])
      #expect(first.releases.allSatisfy { $0.chart == "fake-1.0.0" })
      // The current one anew: no other release.
      try await done(desk.change("demo", .rollback(release: 7)), desk)
      let anew = try await desk.releases("demo")
      #expect(anew.store.release == 7 && anew.releases.count == 7)
      #expect(anew.releases[0].helmRevision == cluster.revisions(of: store.id).count)
      // An upgrade goes on from there.
      try await done(desk.upgrade("demo", size: "9M"), desk)
      #expect(try await desk.store("demo").release == 8)
    }
  }

  @Test func theHistoryIsBounded() async throws {
    try await withEngine { desk, _ in
      for number in 0..<StoreReleases.countMax {
        try await done(desk.upgrade("demo", size: "\(number)M"), desk)
      }
      let numbers = try await desk.releases("demo").releases.map(\.number)
      #expect(numbers.count == StoreReleases.countMax)
      #expect(numbers == (2...(StoreReleases.countMax + 1)).reversed())
      let refused = await invalid { try await desk.change("demo", .rollback(release: 1)) }
      #expect(refused?.path == "release")
      #expect(refused?.reason.hasSuffix("there are: 11, 10, 9, 8, 7, 6, 5, 4, 3, 2") == true)
    }
  }

  @Test func aSuspendedStoreComesBackAsItWas() async throws {
    try await withEngine { desk, cluster in
      try await done(desk.upgrade("demo"), desk)
      let before = try await desk.store("demo")
      try await done(desk.change("demo", .suspend), desk)
      let suspended = try await desk.store("demo")
      #expect(suspended.state == .ready && suspended.isSuspended && suspended.release == 2)
      #expect(!cluster.parts(of: suspended.id).contains(.pods))
      let conditions = suspended.conditions.map(\.condition)
      #expect(conditions.map(\.kind) == [.released, .suspended])
      #expect(conditions.allSatisfy { $0.isTrue && $0.reason == "Suspended" })
      for change in [StoreChange.suspend, .upgrade(patch: JSONObject()), .rollback(release: 1)] {
        let refused = await refusal { try await desk.change("demo", change) }
        if case .wrongState(.ready, let reason) = refused {
          #expect(reason.hasPrefix("it is suspended"))
        } else {
          Issue.record("\(change.kind): \(refused)")
        }
      }
      try await done(desk.change("demo", .resume), desk)
      let resumed = try await desk.store("demo")
      #expect(!resumed.isSuspended && resumed.release == 2)
      #expect(resumed.parameters == before.parameters)
      #expect(cluster.parts(of: resumed.id).contains(.pods))
      #expect(resumed.conditions[1].condition == StoreCondition(.suspended, false, "Running"))
      #expect(
        await refusal { try await desk.change("demo", .resume) }
          == .wrongState(.ready, "it is not suspended"))
      // Suspended once more, with the records that the first time left.
      try await done(desk.change("demo", .suspend), desk)
      try await done(desk.change("demo", .resume), desk)
      try await done(desk.change("demo", .rollback(release: 1)), desk)
      #expect(try await desk.store("demo").parameters == StoreParameters())
    }
  }

  @Test func oneThingAtATime() async throws {
    try await withEngine { desk, cluster in
      cluster.script(.check, of: "demo", [.hang])
      let upgrade = try await desk.upgrade("demo")
      await cluster.reached(.check, of: "demo")
      // The same once more is the same.
      #expect(try await desk.upgrade("demo").id == upgrade.id)
      #expect(
        await refusal {
          try await desk.change("demo", .upgrade(patch: Desk.patch("64M")), key: .random())
        } == .busy(.upgrade, upgrade.id))
      for change in [
        StoreChange.upgrade(patch: Desk.patch("1M")), .rollback(release: nil), .suspend,
      ] {
        #expect(
          await refusal { try await desk.change("demo", change) } == .busy(.upgrade, upgrade.id))
      }
    }
  }

  @Test func aKeyStandsForOneRequest() async throws {
    try await withEngine { desk, _ in
      let key = PostgresUUID.random()
      let first = try await desk.change("demo", .suspend, key: key)
      try await done(first, desk)
      #expect(try await desk.change("demo", .suspend, key: key).id == first.id)
      #expect(
        await refusal { try await desk.change("demo", .resume, key: key) } == .requestKeyReused)
      try await done(desk.change("demo", .resume), desk)
      let other = PostgresUUID.random()
      let upgrade = try await desk.change("demo", .upgrade(patch: Desk.patch("1M")), key: other)
      // Under way or done: the same request is the same, another one is refused.
      for isDone in [false, true] {
        if isDone { try await done(upgrade, desk) }
        let again = try await desk.change("demo", .upgrade(patch: Desk.patch("1M")), key: other)
        #expect(again.id == upgrade.id)
        let changed = await refusal {
          try await desk.change("demo", .upgrade(patch: Desk.patch("2M")), key: other)
        }
        #expect(changed == .requestKeyReused)
      }
    }
  }

  @Test func releasesGoWithHelmsRecords() async throws {
    try await withEngine { desk, cluster in
      try await done(desk.upgrade("demo"), desk)
      let store = try await desk.store("demo")
      while cluster.revisions(of: store.id).count <= StoreReleases.revisionsMax {
        try await done(desk.change("demo", .suspend), desk)
        try await done(desk.change("demo", .resume), desk)
      }
      // The first of Helm's records was the first release's.
      #expect(try await desk.releases("demo").releases.map(\.number) == [2])
      #expect(await invalid { try await desk.change("demo", .rollback(release: 1)) } != nil)
    }
  }

  @Test(arguments: [OperationKind.resume, .upgrade, .rollback, .suspend])
  func aStoreThatDoesNotComeBackHasAWayOut(_ way: OperationKind) async throws {
    try await withEngine { desk, cluster in
      try await done(desk.change("demo", .suspend), desk)
      let failure = ProvisionFailure(.imagePullFailed, "gone")
      cluster.script(.rollout, of: "demo", [.fail(failure)])
      let resume = try await desk.change("demo", .resume)
      #expect(try await desk.wait(for: resume.id).state == .failed)
      let failed = try await desk.store("demo")
      #expect(!failed.isSuspended)
      let conditions = failed.conditions.map(\.condition)
      #expect(conditions.map(\.reason) == ["ResumeFailed", "ResumeFailed"])
      #expect(conditions.allSatisfy { !$0.isTrue })
      let change: StoreChange =
        switch way {
        case .upgrade: .upgrade(patch: JSONObject())
        case .rollback: .rollback(release: 1)
        case .suspend: .suspend
        default: .resume
        }
      try await done(desk.change("demo", change), desk)
      let store = try await desk.store("demo")
      #expect(store.isSuspended == (way == .suspend))
      #expect(cluster.parts(of: store.id).contains(.pods) != (way == .suspend))
      #expect(store.conditions[0].condition.isTrue)
    }
  }

  @Test func aStoreThatGoesHasNoReleasesAndNoConditions() async throws {
    try await withEngine { desk, cluster in
      try await done(desk.change("demo", .suspend), desk)
      cluster.script(.gone, of: "demo", [.hang])
      let deletion = try await desk.delete("demo")
      await cluster.reached(.gone, of: "demo")
      let (store, releases) = try await desk.releases("demo")
      #expect(store.state == .deleting && store.release == nil && !store.isSuspended)
      #expect(store.conditions.isEmpty && releases.isEmpty)
      _ = deletion
    }
  }

  /// A replica of the version before can make nothing of them, and must not be given any.
  @Test func formerReplicasClaimWhatTheyKnow() async throws {
    try await atDesk { desk, database in
      let engine = try await Engine.start(database, FakeCluster())
      try await desk.ready("demo")
      await engine.stop()
      try await desk.upgrade("demo")
      let made = try await desk.create("other")
      let rows = try await desk.worker.query(
        scope: .worker,
        "SELECT claimed FROM claim_operations('former', 10, '10 seconds', 9, 9, 9)",
        deadline: .soon)
      #expect(rows.count == 1)
      #expect(try rows[0].decode(0, as: PostgresUUID.self) == made.id)
    }
  }

  /// What somebody stops goes back.
  @Test func upgradesAndSuspensionsAreStopped() async throws {
    try await withEngine { desk, cluster in
      for (change, step) in [
        (StoreChange.upgrade(patch: Desk.patch("1M")), OperationStep.check), (.suspend, .rollout),
      ] {
        let before = cluster.calls.count { $0.step == step }
        cluster.script(step, of: "demo", [.hang])
        let operation = try await desk.change("demo", change)
        await cluster.reached(step, of: "demo", count: before + 1)
        _ = try await desk.catalog.cancel(
          operation.id, tenant: Desk.tenant, origin: Desk.origin(), deadline: .soon)
        #expect(try await desk.wait(for: operation.id).state == .cancelled)
        let remedy = try await desk.wait(for: desk.store("demo").operation)
        #expect(remedy.aim.remedies == operation.id && remedy.state == .succeeded)
        let store = try await desk.store("demo")
        #expect(store.release == 1 && !store.isSuspended && store.parameters == StoreParameters())
        let condition = store.conditions[0].condition
        #expect(condition.reason.hasSuffix("Cancelled"))
        #expect(condition.message.hasSuffix("cancelled; the store goes back to release 1"))
        #expect(cluster.parts(of: store.id).contains(.pods))
      }
    }
  }

  /// There is nowhere to go back to: the store is left to whoever stopped it.
  @Test func rollbacksAndResumptionsAreStopped() async throws {
    try await withEngine { desk, cluster in
      func stopped(_ change: StoreChange) async throws -> StoreRecord {
        let before = cluster.calls.count { $0.step == .rollback }
        cluster.script(.rollback, of: "demo", [.hang])
        let operation = try await desk.change("demo", change)
        await cluster.reached(.rollback, of: "demo", count: before + 1)
        _ = try await desk.catalog.cancel(
          operation.id, tenant: Desk.tenant, origin: Desk.origin(), deadline: .soon)
        #expect(try await desk.wait(for: operation.id).state == .cancelled)
        let store = try await desk.store("demo")
        #expect(store.state == .ready && store.release == 1 && store.operation == operation.id)
        return store
      }
      let left = try await stopped(.rollback(release: 1)).conditions[0].condition
      #expect(left.reason == "RollbackCancelled" && left.isFalse)
      #expect(
        left.message
          == "rollback cancelled; roll the store back to release 1, or upgrade it")
      try await done(desk.change("demo", .rollback(release: 1)), desk)
      try await done(desk.change("demo", .suspend), desk)
      #expect(try await !stopped(.resume).isSuspended)
      try await done(desk.change("demo", .resume), desk)
      #expect(try await desk.store("demo").isReleased)
    }
  }

  @Test func whatIsStoppedBeforeItBeginsLeavesTheStoreAsItWas() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      let engine = try await Engine.start(database, cluster)
      try await done(desk.create("demo"), desk)
      try await done(desk.change("demo", .suspend), desk)
      await engine.stop()
      let before = try await desk.store("demo")
      let resumption = try await desk.change("demo", .resume)
      _ = try await desk.catalog.cancel(
        resumption.id, tenant: Desk.tenant, origin: Desk.origin(), deadline: .soon)
      let next = try await Engine.start(database, cluster)
      #expect(try await desk.wait(for: resumption.id).state == .cancelled)
      let after = try await desk.store("demo")
      #expect(after.isSuspended && after.conditions == before.conditions)
      await next.stop()
    }
  }

  /// What takes back what an upgrade did is stopped by a deletion only.
  @Test func theWayBackIsNotStopped() async throws {
    try await withEngine { desk, cluster in
      cluster.script(.check, of: "demo", [.fail(ProvisionFailure(.imagePullFailed, "bad"))])
      cluster.script(.rollback, of: "demo", [.hang])
      let upgrade = try await desk.change("demo", .upgrade(patch: Desk.patch("1M")))
      #expect(try await desk.wait(for: upgrade.id).state == .failed)
      await cluster.reached(.rollback, of: "demo")
      let remedy = try await desk.store("demo").operation
      #expect(
        await refusal {
          try await desk.catalog.cancel(
            remedy, tenant: Desk.tenant, origin: Desk.origin(), deadline: .soon)
        } == .notCancellable("it takes back what operation \(upgrade.id) has changed"))
      #expect(
        await refusal { try await desk.change("demo", .suspend) }
          == .busy(.rollback, remedy, isCancellable: false))
      let deletion = try await desk.delete("demo")
      #expect(try await desk.wait(for: deletion.id).state == .succeeded)
      #expect(try await desk.operation(remedy).state == .cancelled)
    }
  }

  @Test(arguments: [OperationKind.upgrade, .suspend, .rollback, .resume])
  func deletingStopsOtherWork(_ kind: OperationKind) async throws {
    try await withEngine { desk, cluster in
      if kind == .resume { try await done(desk.change("demo", .suspend), desk) }
      let count = cluster.calls.count { $0.step == .rollout }
      cluster.script(.rollout, of: "demo", [.hang])
      let change: StoreChange =
        switch kind {
        case .suspend: .suspend
        case .rollback: .rollback(release: 1)
        case .resume: .resume
        default: .upgrade(patch: JSONObject())
        }
      let operation = try await desk.change("demo", change)
      await cluster.reached(.rollout, of: "demo", count: count + 1)
      let deletion = try await desk.delete("demo")
      try await done(deletion, desk)
      #expect(try await desk.operation(operation.id).state == .cancelled)
      #expect(
        try await desk.states(of: operation.store)
          == ["requested", "provisioning", "ready", "deleting", "deleted"])
      // Nothing was brought back that was to go.
      #expect(cluster.calls.last?.step == .credentialsRemoval)
      #expect(cluster.parts(of: operation.store).isEmpty)
    }
  }

  /// The store stays where it is, and says so; there is nothing left that could be done by itself.
  @Test func aRollbackThatFailsIsTold() async throws {
    try await withEngine { desk, cluster in
      let failure = ProvisionFailure(.imagePullFailed, "bad")
      cluster.script(.rollout, of: "demo", [.fail(failure), .fail(failure)])
      let upgrade = try await desk.upgrade("demo")
      #expect(try await desk.wait(for: upgrade.id).problem?.code == "IMAGE_PULL_FAILED")
      let remedy = try await desk.wait(for: desk.store("demo").operation)
      #expect(remedy.state == .failed && remedy.aim.remedies == upgrade.id)
      let store = try await desk.store("demo")
      #expect(store.state == .ready && store.operation == remedy.id)
      #expect(store.conditions[0].condition.reason == "RollbackFailed")
      try await done(desk.change("demo", .rollback(release: 1)), desk)
      #expect(try await desk.store("demo").conditions[0].condition.isTrue)
    }
  }

  @Test func onlyReadyStoresAreChanged() async throws {
    try await atDesk { desk, _ in
      try await desk.create("demo")
      let refused = await refusal { try await desk.change("demo", .suspend) }
      #expect(refused == .wrongState(.requested, "this can be asked of a ready store only"))
      #expect(await refusal { try await desk.change("none", .suspend) } == .notFound)
      #expect(
        await refusal { try await desk.change("demo", .suspend, tenant: "other") } == .notFound)
    }
  }

  @Test func theServiceSaysWhatIsWrong() async throws {
    try await withService { peers, desk, database in
      let cluster = FakeCluster()
      let engine = try await Engine.start(database, cluster)
      try await desk.ready("demo")
      let stores = try peers.stores()
      let user = try peers.user()
      let secret = ["existingSecret": "x"] as GoogleProtobuf.Struct
      let foreign = await invalidField {
        try await stores.upgradeStore(.init(store: "demo", values: secret), options: user)
      }
      #expect(foreign == "values.existingSecret")
      for release in [-1, 0, 7] as [Int32] {
        let unknown = await invalidField {
          try await stores.rollbackStore(.init(store: "demo", release: release), options: user)
        }
        #expect(unknown == "release")
      }
      let stale = await rpcError {
        try await stores.upgradeStore(.init(store: "demo", etag: "\"99\""), options: user)
      }
      #expect(stale?.errorInfo?.reason == "ETAG_MISMATCH")
      cluster.script(.check, of: "demo", [.hang])
      let upgrade = try await stores.upgradeStore(.init(store: "demo"), options: user)
      let busy = await rpcError {
        try await stores.suspendStore(.init(store: "demo"), options: user)
      }
      #expect(busy?.code == .failedPrecondition)
      #expect(busy?.errorInfo?.reason == "OPERATION_UNDER_WAY")
      #expect(busy?.errorInfo?.metadata["operation"] == upgrade.id)
      let releases = try await stores.listReleases(.init(store: "demo"), options: user).releases
      #expect(releases.map(\.number) == [1] && releases[0].current)
      let other = try peers.user(of: "other")
      let hidden = await rpcError {
        try await stores.listReleases(.init(store: "demo"), options: other)
      }
      #expect(hidden?.code == .notFound)
      let store = try await stores.getStore(.init(store: "demo"), options: user)
      #expect(store.release == 1 && !store.suspended)
      #expect(store.conditions.map(\.type) == ["Released", "Suspended"])
      #expect(store.conditions.map(\.status) == [.true, .false])
      await engine.stop()
    }
  }

  private func invalid<R>(_ body: () async throws -> R) async -> InvalidField? {
    do {
      _ = try await body()
      return nil
    } catch { return error as? InvalidField }
  }
}
