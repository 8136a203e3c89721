import Contracts
import Observability
import Postgres
import ProvisionerTestKit
import Reactor
import Resilience
import TestKit
import Testing

@testable import ProvisionerService

/// Backups that nobody asks for, and the way they make for what somebody does.
@Suite(.timeLimit(.minutes(2))) struct BackupScheduleTests {
  private static let day = Duration.seconds(86_400)

  private func withEngine(
    _ body: @Sendable (Desk, FakeCluster, TestDatabase) async throws -> Void
  ) async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      let engine = try await Engine.start(database, cluster)
      try await desk.ready("demo")
      try await body(desk, cluster, database)
      #expect(cluster.violations.isEmpty)
      await engine.stop()
    }
  }

  // MARK: When

  @Test func aStoreThatIsDueIsBackedUpByItself() async throws {
    try await withEngine { desk, cluster, _ in
      let scheduler = Scheduler(desk)
      let before = try await desk.store("demo")
      #expect(before.backupSchedule == .standard && before.backupDueAt == nil)
      await scheduler.run()
      // Drawn, so that stores that are made at once are not backed up at once.
      let drawn = try await desk.store("demo")
      #expect(drawn.operation == before.operation && drawn.version == before.version)
      #expect(try await desk.dueIn("demo")?.isBetween(0, 86_400) == true)
      try await desk.makeDue()
      await scheduler.run()
      let operation = try await desk.wait(for: desk.store("demo").operation)
      #expect(operation.kind == .backup && operation.state == .succeeded && operation.isScheduled)
      let backup = try #require(try await desk.backups(of: "demo").first)
      #expect(backup.state == .available && backup.id == operation.aim.backup)
      #expect(try await desk.store("demo").condition(.backedUp)?.isTrue == true)
      #expect(try await desk.dueIn("demo")?.isBetween(0.89 * 86_400, 1.1 * 86_400) == true)
      // Not again before then.
      await scheduler.run()
      #expect(try await desk.store("demo").operation == operation.id)
      let events = try await desk.events(of: before.id).filter {
        $0.operation == operation.id.description
      }
      #expect(events.map(\.action).sorted() == ["operation.begin", "operation.end"])
      #expect(events.allSatisfy { $0.actor?.kind == .service })
      #expect(scheduler.counted("backup", "begun"))
    }
  }

  @Test func eachStoreHasAnIntervalOfItsOwnOrThePlatforms() async throws {
    try await withoutEngine(["demo", "hourly", "none"]) { desk, _ in
      let scheduler = Scheduler(desk)
      let hour = BackupSchedule.every(.seconds(3_600))
      let updated = try await desk.update("hourly", StoreCare(backupSchedule: hour))
      #expect(updated.backupSchedule == hour)
      #expect(try await desk.update("hourly", StoreCare(backupSchedule: hour)) == updated)
      try await desk.update("none", StoreCare(backupSchedule: .never))
      await scheduler.run()
      #expect(try await desk.dueIn("hourly")?.isBetween(0, 3_600) == true)
      #expect(try await desk.dueIn("none") == nil)
      // Switched off, and on again at a shorter interval: at no time that was drawn for another one.
      await scheduler.run(backup: .zero)
      #expect(try await desk.dueIn("demo") == nil)
      #expect(try await desk.dueIn("hourly") != nil)
      await scheduler.run()
      try await desk.execute("UPDATE stores SET backup_due_at = now() + interval '23 hours'")
      await scheduler.run(backup: .seconds(7_200))
      #expect(try await desk.dueIn("demo")?.isBetween(0, 7_200) == true)
      #expect(try await desk.dueIn("hourly")?.isBetween(0, 3_600) == true)
      // A clock that was far ahead when it was drawn.
      try await desk.execute("UPDATE stores SET backup_due_at = now() + interval '9 years'")
      await scheduler.run()
      #expect(try await desk.dueIn("demo")?.isBetween(0, 86_400) == true)
      // Soon where it is to be more often, and not at all where it is not to be.
      try await desk.execute("UPDATE stores SET backup_due_at = now() + interval '20 hours'")
      try await desk.update("demo", StoreCare(backupSchedule: hour))
      #expect(try await desk.dueIn("demo")?.isBetween(0, 3_600) == true)
      try await desk.update("demo", StoreCare(backupSchedule: .never))
      #expect(try await desk.dueIn("demo") == nil)
      try await desk.makeDue()
      await scheduler.run()
      #expect(try await desk.backups().map(\.storeName) == ["hourly"])
      let events = try await desk.events(of: updated.id).filter { $0.action == "store.update" }
      #expect(events.map { $0.details?["backup_interval"]?.string } == ["3600s"])
    }
  }

  @Test func replicasThatLookAtOnceBeginEachBackupOnce() async throws {
    try await withoutEngine(["one", "two", "three"]) { desk, database in
      await Scheduler(desk).run()
      try await desk.makeDue()
      let desks = try (0..<3).map { _ in try Desk(database, on: desk.reactor) }
      defer { for desk in desks { desk.close() } }
      let runs = desks.map { other in
        desk.reactor.loop.spawn(on: desk.reactor) { await Scheduler(other).run() }
      }
      for run in runs { await run.value }
      #expect(try await desk.backups().map(\.storeName).sorted() == ["one", "three", "two"])
    }
  }

  @Test func noMoreWaitForAWorkerThanThereMayBe() async throws {
    try await withoutEngine(["one", "two", "three"]) { desk, _ in
      let schedules = Scheduler(desk).schedules
      func claimed(whileFewerThan most: Int) async throws -> [BackupSchedules.Due] {
        try await desk.makeDue()
        return try await schedules.claim(
          .backup, every: Self.day, 10, waitingPerTenantMax: most)
      }
      await Scheduler(desk).run()
      #expect(try await claimed(whileFewerThan: 1).count == 1)
      let due = try await claimed(whileFewerThan: 3)
      #expect(due.count == 3)
      #expect(try await schedules.begin(.backup, on: due[0], every: Self.day) == .begun)
      #expect(try await claimed(whileFewerThan: 1).isEmpty)
      #expect(try await claimed(whileFewerThan: 2).count == 1)
      let claim = try await desk.ledger.claim(1, for: "a", lease: .seconds(20))
      #expect(try await claimed(whileFewerThan: 1).count == 1)
      // One that a worker gave back waits too.
      try await desk.ledger.release(claim[0], after: .zero)
      #expect(try await claimed(whileFewerThan: 1).isEmpty)
    }
  }

  /// Who has many stores, and short intervals, is not in the way of others.
  @Test func oneTenantsStoresDoNotDelayAnothersOne() async throws {
    let names = (0..<8).map { "many-\($0)" } + ["one"]
    try await withoutEngine(names) { desk, _ in
      let scheduler = Scheduler(desk)
      await scheduler.run()
      try await desk.makeDue()
      try await desk.execute(
        "UPDATE stores SET backup_due_at = backup_due_at - interval '1 day' WHERE name <> 'one'")
      try await desk.execute("UPDATE stores SET tenant = 'other' WHERE name = 'one'")
      let due = try await scheduler.schedules.claim(.backup, every: Self.day, 2)
      #expect(due.map(\.tenant).sorted() == [Desk.tenant, "other"].sorted())
    }
  }

  // MARK: Where not

  @Test func aStoreThatIsNotAtRestIsLookedAtLater() async throws {
    try await withoutEngine(["busy", "asleep", "torn", "lost", "late"]) { desk, _ in
      let scheduler = Scheduler(desk)
      await scheduler.run()
      try await desk.makeDue()
      let schedules = scheduler.schedules
      try await desk.change("busy", .suspend)
      try await desk.execute("UPDATE stores SET suspended = true WHERE name = 'asleep'")
      try await desk.execute(
        """
        UPDATE stores SET conditions = '[{"type": "Released", "is_true": false,
          "reason": "RestoreFailed", "message": "", "changed_at": 0}]' WHERE name = 'torn'
        """)
      try await desk.execute(
        """
        INSERT INTO clusters (name, secret, schedule, abandoned_at, abandon_request_id)
        VALUES ('gone', 'gone', 'draining', now(), 'x')
        """)
      try await desk.execute("UPDATE stores SET cluster = 'gone' WHERE name = 'lost'")
      let due = try await schedules.claim(.backup, every: Self.day, 10)
      let late = try await desk.store("late")
      #expect(due.map(\.store) == [late.id])
      // Taken by somebody between the two.
      try await desk.change("late", .suspend)
      #expect(try await schedules.begin(.backup, on: due[0], every: Self.day) == .skipped)
      #expect(try await desk.backups().isEmpty)
      // Not in a loop.
      #expect(try await schedules.claim(.backup, every: Self.day, 10).isEmpty)
      #expect(try await desk.dueIn("late")?.isBetween(0, 300) == true)
    }
  }

  /// Between the look and the lock; the database's own rule would refuse it too, but as an error.
  @Test func workThatBeginsAtTheSameTimeIsSeen() async throws {
    try await withoutEngine { desk, database in
      let schedules = Scheduler(desk).schedules
      let demo = try await desk.store("demo")
      let due = BackupSchedules.Due(store: demo.id, tenant: demo.tenant)
      let other = try Desk(database, on: desk.reactor)
      defer { other.close() }
      var outcome: BackupSchedules.Outcome?
      let begun = try await other.application.withTransaction(
        scope: .tenant(demo.tenant), deadline: .soon
      ) { transaction in
        try await transaction.query(
          "SELECT FROM stores WHERE id = $1 FOR NO KEY UPDATE", [.text(demo.id)])
        let begun = desk.reactor.loop.spawn(on: desk.reactor) {
          outcome = try? await schedules.begin(.backup, on: due, every: Self.day)
        }
        while try await desk.owner.query(
          scope: .none, "SELECT FROM pg_locks WHERE NOT granted", deadline: .soon
        ).isEmpty {}
        _ = try await OperationRows.insert(
          .suspend, of: demo.id, tenant: demo.tenant, for: Desk.origin().request, in: transaction)
        return begun
      }
      await begun.value
      #expect(outcome == .skipped)
      #expect(try await desk.backups().isEmpty)
    }
  }

  @Test func whatCameOfThemIsCounted() {
    let registry = MetricsRegistry()
    let metrics = EngineMetrics(registry)
    metrics.finished(.backup, .failed, isScheduled: true)
    metrics.finished(.backup, .failed, isScheduled: false)
    let text = String(decoding: registry.exposition(), as: UTF8.self)
    #expect(text.contains("provisioner_operations_total{kind=\"backup\",outcome=\"failed\"} 2"))
    #expect(
      text.contains("provisioner_scheduled_operations_total{kind=\"backup\",outcome=\"failed\"} 1"))
  }

  @Test func aStoreWithAllTheBackupsItMayHaveIsLookedAtLater() async throws {
    try await withEngine { desk, _, _ in
      let scheduler = Scheduler(desk)
      let backup = try await desk.backUp("demo")
      await scheduler.run()
      try await desk.execute(
        """
        INSERT INTO backups (id, tenant, store, store_name, engine, operation, state)
        SELECT gen_random_uuid(), tenant, store, store_name, engine, gen_random_uuid(), 'deleting'
        FROM backups, generate_series(1, \(StoreBackups.countMax - 1)) WHERE id = '\(backup.id)'
        """)
      try await desk.makeDue()
      await scheduler.run()
      #expect(try await desk.backups(of: "demo").count == StoreBackups.countMax)
      #expect(try await desk.dueIn("demo")?.isBetween(3_000, 3_600) == true)
      #expect(scheduler.counted("backup", "postponed"))
    }
  }

  @Test func nothingIsBegunWhereTheClusterIsLeftAlone() async throws {
    try await withoutEngine { desk, _ in
      let scheduler = Scheduler(desk, breaker: .init(failureThreshold: 1))
      await scheduler.run()
      try await desk.makeDue()
      guard case .admitted(let permit) = scheduler.breakers.admit(.kubernetes, in: "default") else {
        Issue.record("the breaker is open already")
        return
      }
      scheduler.breakers.record(.failed, for: permit)
      await scheduler.run()
      #expect(try await desk.backups().isEmpty)
      // It stays due.
      #expect(try await scheduler.schedules.claim(.backup, every: Self.day, 10).count == 1)
    }
  }

  @Test func withoutAnObjectStoreNoIntervalIsTaken() async throws {
    try await withoutEngine { desk, _ in
      let without = StoreCatalog(pool: desk.application, hostSuffix: ".localhost")
      func update(_ schedule: BackupSchedule) async throws -> StoreRecord {
        try await without.update(
          .name("demo"), StoreCare(backupSchedule: schedule), version: nil, tenant: Desk.tenant,
          origin: Desk.origin(), deadline: .soon)
      }
      #expect(await refusal { try await update(.every(.seconds(3_600))) } == .noBackups)
      let never = try await update(.never)
      #expect(never.backupSchedule == .never)
      let refused = await refusal {
        try await without.create(
          StoreDraft(
            name: "new", engine: .medusa, parameters: StoreParameters(),
            backupSchedule: .every(.seconds(3_600))), tenant: Desk.tenant, origin: Desk.origin(),
          deadline: .soon)
      }
      #expect(refused == .noBackups)
    }
  }

  // MARK: What comes of it

  @Test func oneThatFailsIsMadeAgainSoonAndSaysSo() async throws {
    try await withEngine { desk, cluster, _ in
      let scheduler = Scheduler(desk)
      await scheduler.run()
      try await desk.makeDue()
      let failure = FakeCluster.Behaviour.fail(ProvisionFailure(.dumpFailed, "key"))
      cluster.script(
        .backup, of: "demo",
        Array(repeating: failure, count: EngineSettings.quick.retry.maximumAttempts))
      await scheduler.run()
      let failed = try await desk.wait(for: desk.store("demo").operation)
      #expect(failed.state == .failed && failed.isScheduled)
      let condition = try await desk.store("demo").condition(.backedUp)
      #expect(condition?.isTrue == false && condition?.reason == "BackupFailed")
      #expect(condition?.message.contains("key") == true)
      #expect(condition?.message.hasSuffix("it is made again about an hour later") == true)
      #expect(try await desk.dueIn("demo")?.isBetween(0, 1.1 * 3_600) == true)
      try await desk.makeDue()
      await scheduler.run()
      let again = try await desk.wait(for: desk.store("demo").operation)
      #expect(again.state == .succeeded && again.id != failed.id)
      #expect(try await desk.store("demo").condition(.backedUp)?.isTrue == true)
      #expect(try await desk.dueIn("demo")?.isBetween(0.89 * 86_400, 1.1 * 86_400) == true)
    }
  }

  @Test(arguments: [FailureCode.backupStoreDenied, .jobTimedOut])
  func whatWillNotChangeSoonWaitsForItsNextTime(_ code: FailureCode) async throws {
    try await withEngine { desk, cluster, _ in
      let scheduler = Scheduler(desk)
      await scheduler.run()
      try await desk.makeDue()
      cluster.script(.backup, of: "demo", [.fail(ProvisionFailure(code))])
      await scheduler.run()
      let failed = try await desk.wait(for: desk.store("demo").operation)
      // Not tried a second time either.
      #expect(failed.state == .failed && failed.steps[0].attempts == 1)
      let condition = try await desk.store("demo").condition(.backedUp)
      #expect(condition?.isTrue == false && condition?.message.contains("made again") == false)
      #expect(try await desk.dueIn("demo")?.isBetween(0.89 * 86_400, 1.1 * 86_400) == true)
    }
  }

  @Test func somebodysOwnBackupPutsTheNextOff() async throws {
    try await withEngine { desk, _, _ in
      await Scheduler(desk).run()
      try await desk.makeDue()
      _ = try await desk.backUp("demo")
      #expect(try await desk.dueIn("demo") == nil)
    }
  }

  @Test func whatIsLateIsCounted() async throws {
    try await withoutEngine(["waits", "begun", "made"]) { desk, _ in
      let schedules = Scheduler(desk).schedules
      await Scheduler(desk).run()
      #expect(try await schedules.overdue(by: .seconds(3_600)) == 0)
      try await desk.execute(
        "UPDATE stores SET backup_due_at = now() - interval '61 minutes' WHERE name <> 'made'")
      #expect(try await schedules.overdue(by: .seconds(3_600)) == 2)
      for due in try await schedules.claim(.backup, every: Self.day, 10) {
        #expect(try await schedules.begin(.backup, on: due, every: Self.day) == .begun)
      }
      #expect(try await schedules.overdue(by: .seconds(3_600)) == 0)
      try await desk.execute("UPDATE operations SET created_at = now() - interval '61 minutes'")
      #expect(try await schedules.overdue(by: .seconds(3_600)) == 2)
    }
  }

  @Test func oneThatSomebodyStopsWaitsForItsNextTime() async throws {
    try await withEngine { desk, cluster, _ in
      let scheduler = Scheduler(desk)
      await scheduler.run()
      try await desk.makeDue()
      cluster.script(.backup, of: "demo", [.hang])
      await scheduler.run()
      await cluster.reached(.backup, of: "demo")
      let id = try await desk.store("demo").operation
      // It is at work: what is asked for now is refused, and told what to do.
      #expect(await refusal { try await desk.change("demo", .suspend) } == .busy(.backup, id))
      _ = try await desk.catalog.cancel(
        id, tenant: Desk.tenant, origin: Desk.origin(), deadline: .soon)
      #expect(try await desk.wait(for: id).state == .cancelled)
      #expect(try await desk.dueIn("demo")?.isBetween(0.89 * 86_400, 1.1 * 86_400) == true)
      // A deletion stops it by itself.
      try await desk.makeDue()
      cluster.script(.backup, of: "demo", [.hang])
      await scheduler.run()
      await cluster.reached(.backup, of: "demo", count: 2)
      let second = try await desk.store("demo").operation
      let deletion = try await desk.delete("demo")
      #expect(try await desk.wait(for: second).state == .cancelled)
      #expect(try await desk.wait(for: deletion.id).state == .succeeded)
    }
  }
}
