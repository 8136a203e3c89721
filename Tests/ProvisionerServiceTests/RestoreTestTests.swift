import Contracts
import Observability
import Postgres
import ProvisionerTestKit
import RPC
import RPCCore
import Reactor
import ServiceRuntime
import TestKit
import Testing

@testable import ProvisionerService

/// Tests of backups: those that are made on a schedule, and those that somebody asks for.
@Suite(.timeLimit(.minutes(2))) struct RestoreTestTests {
  private static let week = Duration.seconds(7 * 86_400)

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

  private func backup(_ id: PostgresUUID, _ desk: Desk) async throws -> BackupRecord {
    try await desk.catalog.findBackup(id, tenant: Desk.tenant, deadline: .soon)
  }

  /// Has a test begun on the schedule; the operation.
  private func scheduled(_ desk: Desk) async throws -> OperationRecord {
    let scheduler = Scheduler(desk)
    await scheduler.run(backup: .zero, backupTest: Self.week)
    try await desk.makeDue()
    await scheduler.run(backup: .zero, backupTest: Self.week)
    return try await desk.operation(try await desk.store("demo").operation)
  }

  private func test(_ id: PostgresUUID, _ desk: Desk) async throws -> OperationRecord {
    try await desk.wait(for: desk.change("demo", .backupTest(of: id)).id)
  }

  private func expireAll(_ desk: Desk, kept: Int, age: String = "30 days") async throws {
    _ = try await desk.worker.query(
      scope: .worker, "SELECT expire_backups('\(age)', \(kept), 100)", deadline: .soon)
  }

  // MARK: The schedule

  @Test func theNewestBackupIsTestedOnceByItself() async throws {
    try await withEngine { desk, cluster in
      let old = try await desk.backUp("demo")
      let new = try await desk.backUp("demo")
      let demo = try await desk.store("demo").id
      cluster.setData(of: demo, to: "now")
      let operation = try await desk.wait(for: scheduled(desk).id)
      #expect(operation.kind == .backupTest && operation.isScheduled)
      #expect(operation.state == .succeeded && operation.aim.backup == new.id)
      #expect(operation.steps.map(\.step.rawValue) == ["test-job", "job-removal"])
      let tested = try await backup(new.id, desk)
      #expect(tested.testedAt != nil && tested.testProblem == nil && tested.state == .available)
      #expect(try await backup(old.id, desk).testedAt == nil)
      #expect(try await desk.store("demo").condition(.backupTested)?.isTrue == true)
      #expect(cluster.data(of: demo) == "now" && !cluster.hasJob(demo))
      let due = try await desk.dueIn("demo", "backup_test_due_at")
      #expect(due?.isBetween(0.89 * 604_800, 1.1 * 604_800) == true)
      // Not the same one again, nor one before it.
      #expect(try await scheduled(desk).id == operation.id)
      let newest = try await desk.backUp("demo")
      #expect(try await scheduled(desk).aim.backup == newest.id)
    }
  }

  @Test func withoutAnIntervalNothingIsTested() async throws {
    try await withEngine { desk, _ in
      try await desk.backUp("demo")
      let before = try await desk.store("demo").operation
      let scheduler = Scheduler(desk)
      await scheduler.run(backup: .zero, backupTest: Self.week)
      try await desk.makeDue()
      await scheduler.run(backup: .zero, backupTest: .zero)
      #expect(try await desk.dueIn("demo", "backup_test_due_at") == nil)
      #expect(try await desk.store("demo").operation == before)
    }
  }

  @Test(arguments: [FailureCode.backupDamaged, .backupMissing])
  func aBackupThatIsGoodForNothingIsTold(_ code: FailureCode) async throws {
    try await withEngine { desk, cluster in
      let bad = try await desk.backUp("demo")
      cluster.script(.backupTest, of: "demo", [.fail(ProvisionFailure(code, "3 bytes"))])
      let failed = try await desk.wait(for: scheduled(desk).id)
      #expect(failed.state == .failed && failed.problem?.code == code.rawValue)
      let tested = try await backup(bad.id, desk)
      #expect(tested.testedAt != nil && tested.testProblem == failed.problem)
      let store = try await desk.store("demo")
      let condition = store.condition(.backupTested)
      #expect(condition?.isTrue == false && condition?.reason == "BackupTestFailed")
      #expect(condition?.message.contains("3 bytes") == true)
      // The store is as well as it was.
      #expect(store.state == .ready && store.isReleased)
      // The next one is soon looked at.
      let due = try await desk.dueIn("demo", "backup_test_due_at")
      #expect(due?.isBetween(0, 1.1 * 3_600) == true)
      let good = try await desk.backUp("demo")
      #expect(try await desk.wait(for: scheduled(desk).id).aim.backup == good.id)
      #expect(try await desk.store("demo").condition(.backupTested)?.isTrue == true)
    }
  }

  @Test func whatIsNotTheBackupsFaultIsNoVerdictOnIt() async throws {
    try await withEngine { desk, cluster in
      let made = try await desk.backUp("demo")
      cluster.script(.backupTest, of: "demo", [.fail(ProvisionFailure(.quotaExceeded, "cpu"))])
      #expect(try await test(made.id, desk).state == .failed)
      #expect(try await backup(made.id, desk).testedAt == nil)
      // One that somebody stops says nothing at all.
      let before = try await desk.store("demo").conditions.count
      cluster.script(.backupTest, of: "demo", [.hangAfterwards])
      let stopped = try await desk.change("demo", .backupTest(of: made.id))
      await cluster.reached(.backupTest, of: "demo", count: 2)
      _ = try await desk.catalog.cancel(
        stopped.id, tenant: Desk.tenant, origin: Desk.origin(), deadline: .soon)
      #expect(try await desk.wait(for: stopped.id).state == .cancelled)
      #expect(try await backup(made.id, desk).testedAt == nil)
      #expect(try await desk.store("demo").conditions.count == before)
      // What it left is removed by whatever comes next.
      #expect(try await test(made.id, desk).state == .succeeded)
      #expect(!cluster.hasJob(try await desk.store("demo").id))
    }
  }

  // MARK: What is kept

  @Test func theLastOneThatWasSeenToBeGoodStays() async throws {
    try await withEngine { desk, _ in
      var made: [BackupRecord] = []
      for _ in 0..<4 { made.append(try await desk.backUp("demo")) }
      #expect(try await test(made[0].id, desk).state == .succeeded)
      #expect(try await test(made[1].id, desk).state == .succeeded)
      try await expireAll(desk, kept: 1)
      let kept = try await desk.backups(of: "demo").filter { $0.state == .available }.map(\.id)
      #expect(kept == [made[3].id, made[1].id])
      // Until there is a newer one that is.
      #expect(try await test(made[3].id, desk).state == .succeeded)
      try await expireAll(desk, kept: 1)
      let last = try await desk.backups(of: "demo").filter { $0.state == .available }.map(\.id)
      #expect(last == [made[3].id])
      // The last one that there is stays, however old, as long as its store.
      try await expireAll(desk, kept: 1, age: "0 seconds")
      let only = try await desk.backups(of: "demo").filter { $0.state == .available }.map(\.id)
      #expect(only == [made[3].id])
      try await desk.wait(for: desk.delete("demo").id)
      try await expireAll(desk, kept: 1, age: "0 seconds")
      #expect(try await desk.backups().allSatisfy { $0.state == .deleting })
    }
  }

  @Test func aBackupThatIsTestedStays() async throws {
    try await withEngine { desk, cluster in
      let made = try await desk.backUp("demo")
      cluster.script(.backupTest, of: "demo", [.hang])
      let operation = try await desk.change("demo", .backupTest(of: made.id))
      await cluster.reached(.backupTest, of: "demo")
      try await expireAll(desk, kept: 1, age: "0 seconds")
      #expect(try await backup(made.id, desk).state == .available)
      let used = await refusal {
        try await desk.catalog.deleteBackup(
          made.id, tenant: Desk.tenant, origin: Desk.origin(), deadline: .soon)
      }
      if case .backupNotUsable = used {} else { Issue.record("\(used as Any)") }
      // Asked again it is the same one; others are refused, and a deletion stops it.
      #expect(try await desk.change("demo", .backupTest(of: made.id)).id == operation.id)
      #expect(
        await refusal { try await desk.change("demo", .suspend) }
          == .busy(.backupTest, operation.id))
      let deletion = try await desk.delete("demo")
      #expect(try await desk.wait(for: operation.id).state == .cancelled)
      #expect(try await desk.wait(for: deletion.id).state == .succeeded)
    }
  }

  // MARK: What is refused

  @Test func whatCannotBeTestedIsRefused() async throws {
    try await withEngine { desk, _ in
      let made = try await desk.backUp("demo")
      try await desk.ready("other")
      let field = await invalid { try await desk.change("other", .backupTest(of: made.id)) }
      #expect(field == "backup")
      #expect(
        await invalid { try await desk.change("demo", .backupTest(of: .random())) } == "backup")
      try await desk.wait(for: desk.change("demo", .suspend).id)
      let asleep = await refusal { try await desk.change("demo", .backupTest(of: made.id)) }
      #expect(asleep == .wrongState(.ready, "it is suspended; resume it first"))
      try await desk.wait(for: desk.change("demo", .resume).id)
      _ = try await desk.catalog.deleteBackup(
        made.id, tenant: Desk.tenant, origin: Desk.origin(), deadline: .soon)
      let given = await refusal { try await desk.change("demo", .backupTest(of: made.id)) }
      if case .backupNotUsable = given {} else { Issue.record("\(given as Any)") }
    }
  }

  private func invalid<R>(_ body: () async throws -> R) async -> String? {
    do {
      _ = try await body()
      return nil
    } catch { return (error as? InvalidField)?.path }
  }

  // MARK: Over the wire

  @Test func theServiceTestsAndShowsWhatCameOfIt() async throws {
    try await withService { peers, desk, database in
      let cluster = FakeCluster()
      let engine = try await Engine.start(database, cluster)
      try await desk.ready("demo")
      let backups = try peers.backups()
      let (user, stranger) = (try peers.user(), try peers.user(of: "other"))
      let made = try await desk.backUp("demo").id.description
      let key = PostgresUUID.random().description
      let operation = try await backups.testBackup(
        .init(backup: made, requestID: key), options: user)
      #expect(operation.kind == .backupTest && operation.backup == made && !operation.scheduled)
      let id = try #require(PostgresUUID(operation.id))
      try await desk.wait(for: id)
      let again = try await backups.testBackup(
        .init(backup: made, requestID: key), options: user)
      #expect(again.id == operation.id && again.state == .succeeded)
      let shown = try await backups.getBackup(.init(backup: made), options: user)
      #expect(shown.testTime != nil && shown.testError == nil)
      cluster.script(.backupTest, of: "demo", [.fail(ProvisionFailure(.backupDamaged, "x"))])
      let second = try await backups.testBackup(.init(backup: made), options: user)
      try await desk.wait(for: try #require(PostgresUUID(second.id)))
      let bad = try await backups.getBackup(.init(backup: made), options: user)
      #expect(bad.testError?.code == "BACKUP_DAMAGED")
      #expect(bad.testError?.message.contains("choose another backup") == true)
      let hidden = await rpcError {
        try await backups.testBackup(.init(backup: made), options: stranger)
      }
      #expect(hidden?.code == .notFound)
      let nonsense = await invalidField {
        try await backups.testBackup(.init(backup: "x"), options: user)
      }
      #expect(nonsense == "backup")
      let notKey = await invalidField {
        try await backups.testBackup(.init(backup: made, requestID: "x"), options: user)
      }
      #expect(notKey == "request_id")
      // It is kept, but there is nothing any more to test it beside.
      try await desk.wait(for: desk.delete("demo").id)
      let gone = await rpcError {
        try await backups.testBackup(.init(backup: made), options: user)
      }
      #expect(gone?.code == .failedPrecondition && gone?.errorInfo?.reason == "WRONG_STATE")
      #expect(gone?.message.contains("the store 'demo' is deleted: a backup is tested") == true)
      await engine.stop()
    }
  }

  @Test func theServiceTakesAndShowsTheSchedule() async throws {
    try await withService { peers, desk, database in
      let engine = try await Engine.start(database, FakeCluster())
      let stores = try peers.stores()
      let user = try peers.user()
      let day = ProvisionerV1.BackupSchedule(interval: .init(seconds: 86_400))
      let made = try await stores.createStore(
        .init(name: "demo", engine: .woocommerce, backupSchedule: day), options: user)
      try await desk.wait(for: try #require(PostgresUUID(made.id)))
      var shown = try await stores.getStore(.init(store: "demo"), options: user)
      #expect(shown.backupSchedule == day && shown.backupDueTime == nil)
      await Scheduler(desk).run()
      #expect(try await stores.getStore(.init(store: "demo"), options: user).backupDueTime != nil)
      shown = try await stores.updateStore(
        .init(store: "demo", backupSchedule: .init(never: true)), options: user)
      #expect(shown.backupSchedule == .init(never: true) && shown.backupDueTime == nil)
      #expect(shown.driftPolicy == .correct)
      shown = try await stores.updateStore(
        .init(store: "demo", driftPolicy: .report), options: user)
      #expect(shown.backupSchedule == .init(never: true) && shown.driftPolicy == .report)
      shown = try await stores.updateStore(
        .init(store: "demo", backupSchedule: .init()), options: user)
      #expect(shown.backupSchedule == .init())
      for (seconds, nanos) in [(3_599, 0), (2_592_001, 0), (-7_200, 0), (3_600, 1), (0, 0)] {
        let bad = await invalidField {
          try await stores.updateStore(
            .init(
              store: "demo",
              backupSchedule: .init(
                interval: .init(seconds: Int64(seconds), nanos: Int32(nanos)))), options: user)
        }
        #expect(bad == "backup_schedule.interval", "\(seconds) \(nanos)")
      }
      for seconds in [3_600, 2_592_000] {
        let good = ProvisionerV1.BackupSchedule(interval: .init(seconds: Int64(seconds)))
        shown = try await stores.updateStore(
          .init(store: "demo", backupSchedule: good), options: user)
        #expect(shown.backupSchedule == good)
      }
      let both = await invalidField {
        try await stores.createStore(
          .init(
            name: "new", engine: .medusa,
            backupSchedule: .init(never: true, interval: .init(seconds: 3_600))), options: user)
      }
      #expect(both == "backup_schedule")
      await engine.stop()
    }
  }
}
