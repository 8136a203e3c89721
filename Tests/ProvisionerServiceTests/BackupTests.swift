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

/// Backups, what is made from them, and how long they are kept.
@Suite(.timeLimit(.minutes(2))) struct BackupTests {
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

  private func done(_ operation: OperationRecord, _ desk: Desk) async throws {
    #expect(try await desk.wait(for: operation.id).state == .succeeded)
  }

  private func retention(
    _ desk: Desk, _ cluster: FakeCluster, age: Duration = .seconds(86_400), kept: Int = 14
  ) -> BackupRetention {
    BackupRetention(
      ledger: BackupLedger(worker: desk.worker),
      backend: FakeStoreBackend(cluster, on: desk.reactor), age: age, kept: kept,
      on: desk.reactor, logger: quiet, metrics: MetricsRegistry())
  }

  private func execute(_ desk: Desk, _ sql: String) async throws {
    try await desk.owner.query(scope: .none, sql, deadline: .soon)
  }

  // MARK: What is made of them

  @Test func aStoreIsBroughtBackAndAnotherIsMadeOfIt() async throws {
    try await withEngine { desk, cluster, _ in
      let demo = try await desk.store("demo").id
      cluster.setData(of: demo, to: "ten orders")
      let backup = try await desk.backUp("demo")
      #expect(backup.state == .available && backup.store == demo && backup.storeName == "demo")
      #expect(backup.contents?.bytes == Int64(cluster.archive(backup.id.description)!.utf8.count))
      #expect(backup.chart == "fake-1.0.0" && backup.endedAt != nil)
      let conditions = try await desk.store("demo").conditions.map(\.condition)
      #expect(conditions.contains { $0.kind == .backedUp && $0.isTrue })
      cluster.setData(of: demo, to: "nothing")
      try await done(desk.change("demo", .restore(from: backup.id)), desk)
      #expect(cluster.data(of: demo) == "ten orders")
      // Another has an administrator and a title of its own; one can be made of it, after the first is
      // gone too.
      try await desk.ready("second")
      let foreign = await invalid { try await desk.change("second", .restore(from: backup.id)) }
      #expect(foreign?.path == "backup")
      try await done(desk.delete(demo), desk)
      try await done(desk.create("third", from: backup.id), desk)
      #expect(cluster.data(of: try await desk.store("third").id) == "ten orders")
      let begun = try await desk.events(of: demo).filter { $0.action == "operation.begin" }
      #expect(begun.map { $0.details?["kind"]?.string } == ["backup", "restore"])
      #expect(begun.allSatisfy { $0.details?["backup"]?.string == backup.id.description })
    }
  }

  @Test func aStoreWhoseProvisioningFailedIsMadeOfTheSameBackupAgain() async throws {
    try await withEngine { desk, cluster, _ in
      cluster.setData(of: try await desk.store("demo").id, to: "orders")
      let backup = try await desk.backUp("demo")
      cluster.script(.restore, of: "copy", [.fail(ProvisionFailure(.backupDamaged, "bad"))])
      let failed = try await desk.wait(for: desk.create("copy", from: backup.id).id)
      #expect(failed.problem?.code == "BACKUP_DAMAGED" && failed.problem?.isRetryable == false)
      try await done(desk.retry("copy"), desk)
      let copy = try await desk.store("copy")
      #expect(copy.state == .ready && cluster.data(of: copy.id) == "orders")
    }
  }

  @Test func aLastBackupIsMadeBeforeTheStoreGoes() async throws {
    try await withEngine { desk, cluster, _ in
      let demo = try await desk.store("demo").id
      cluster.setData(of: demo, to: "orders")
      cluster.script(.backup, of: "demo", [.fail(ProvisionFailure(.backupStoreDenied))])
      let failed = try await desk.wait(for: desk.delete(demo, finalBackup: true).id)
      #expect(failed.problem?.code == "BACKUP_STORE_DENIED")
      // Nothing was removed, and what the attempt began is given up.
      #expect(cluster.data(of: demo) == "orders" && cluster.parts(of: demo).contains(.pods))
      #expect(try await desk.backups(of: demo).map(\.state) == [.deleting])
      let refused = await refusal { try await desk.delete(demo, finalBackup: true) }
      if case .wrongState(.failed, _) = refused {} else { Issue.record("\(refused as Any)") }
      try await done(desk.delete(demo), desk)
    }
  }

  /// What it holds may be half of something: nothing has it serve that by itself.
  @Test func aStoreWhoseRestoreFailedIsNotCorrected() async throws {
    try await withEngine { desk, cluster, _ in
      let backup = try await desk.backUp("demo")
      cluster.script(.restore, of: "demo", [.fail(ProvisionFailure(.backupDamaged, "bad"))])
      let failed = try await desk.wait(for: desk.change("demo", .restore(from: backup.id)).id)
      #expect(failed.state == .failed)
      let condition = try await desk.store("demo").conditions.map(\.condition).first {
        $0.kind == .released
      }
      #expect(condition?.reason == "RestoreFailed" && condition?.isTrue == false)
      #expect(try await dueForDrift(desk) == 0)
      // Work that does not succeed leaves its data in doubt.
      let count = cluster.calls.count { $0.step == .rollback }
      cluster.script(.rollback, of: "demo", [.hang])
      let resumption = try await desk.change("demo", .resume)
      await cluster.reached(.rollback, of: "demo", count: count + 1)
      _ = try await desk.catalog.cancel(
        resumption.id, tenant: Desk.tenant, origin: Desk.origin(), deadline: .soon)
      #expect(try await desk.wait(for: resumption.id).state == .cancelled)
      #expect(try await dueForDrift(desk) == 0)
      // By hand, as it is now.
      try await done(desk.change("demo", .resume), desk)
      #expect(try await dueForDrift(desk) == 1)
    }
  }

  private func dueForDrift(_ desk: Desk) async throws -> Int {
    try await execute(desk, "UPDATE stores SET drift_check_at = now() - interval '1 second'")
    return try await desk.worker.query(
      scope: .worker, "SELECT * FROM claim_drift_checks(10, '1 hour')", deadline: .soon
    ).count
  }

  // MARK: What is refused

  @Test func whatCannotBeBackedUpOrRestoredIsRefused() async throws {
    try await withEngine { desk, cluster, _ in
      let backup = try await desk.backUp("demo")
      let unknown = await invalid {
        try await desk.change("demo", .restore(from: .random()))
      }
      #expect(unknown?.path == "backup")
      let foreign = await invalid {
        try await desk.catalog.create(
          StoreDraft(
            name: "theirs", engine: .woocommerce, parameters: StoreParameters(),
            backup: backup.id), tenant: "other", origin: Desk.origin(), deadline: .soon)
      }
      #expect(foreign?.path == "from_backup")
      let wrongEngine = await invalid {
        try await desk.catalog.create(
          StoreDraft(
            name: "node", engine: .medusa, parameters: StoreParameters(), backup: backup.id),
          tenant: Desk.tenant, origin: Desk.origin(), deadline: .soon)
      }
      #expect(wrongEngine?.reason.contains("woocommerce, not medusa") == true)
      // While it goes on, asking again gives the same one, and it is not to be deleted.
      cluster.script(.backup, of: "demo", [.hang])
      let first = try await desk.change("demo", .backup)
      #expect(try await desk.change("demo", .backup).id == first.id)
      #expect(
        await refusal { try await desk.change("demo", .restore(from: backup.id)) }
          == .busy(.backup, first.id))
      #expect(
        await refusal { try await desk.delete("demo", finalBackup: true) }
          == .busy(.backup, first.id))
      let used = await refusal { try await self.delete(try #require(first.aim.backup), desk) }
      if case .backupNotUsable = used {} else { Issue.record("\(used as Any)") }
      try await cancel(first, desk)
      try await done(desk.change("demo", .suspend), desk)
      for change in [StoreChange.backup, .restore(from: backup.id)] {
        let asleep = await refusal { try await desk.change("demo", change) }
        if case .wrongState(.ready, _) = asleep {} else { Issue.record("\(asleep as Any)") }
      }
      try await done(desk.change("demo", .resume), desk)
      try await delete(backup.id, desk)
      let given = await refusal { try await desk.change("demo", .restore(from: backup.id)) }
      if case .backupNotUsable = given {} else { Issue.record("\(given as Any)") }
      let without = StoreCatalog(
        pool: desk.application, hostSuffix: ".localhost")
      let none = await refusal {
        try await without.change(
          .name("demo"), .backup, tenant: Desk.tenant, origin: Desk.origin(), deadline: .soon)
      }
      #expect(none == .noBackups)
    }
  }

  @Test func aStoreHasSoManyBackupsAtMost() async throws {
    try await withEngine { desk, _, _ in
      let backup = try await desk.backUp("demo")
      try await execute(
        desk,
        """
        INSERT INTO backups (id, tenant, store, store_name, engine, operation, state)
        SELECT gen_random_uuid(), tenant, store, store_name, engine, gen_random_uuid(), 'deleting'
        FROM backups, generate_series(2, \(StoreBackups.countMax - 1)) WHERE id = '\(backup.id)'
        """)
      try await desk.backUp("demo")
      #expect(await refusal { try await desk.change("demo", .backup) } == .tooManyBackups)
      #expect(
        await refusal { try await desk.delete("demo", finalBackup: true) } == .tooManyBackups)
    }
  }

  // MARK: What is left

  @Test func aBackupThatFailsOrIsStoppedLeavesNothing() async throws {
    try await withEngine { desk, cluster, _ in
      let full = ProvisionFailure(.backupNoRoom, "disk")
      cluster.script(.backupCheck, of: "demo", [.fail(full)])
      let failed = try await desk.wait(for: desk.change("demo", .backup).id)
      #expect(failed.problem == full.problem && failed.problem?.isUserFault == false)
      let store = try await desk.store("demo")
      let condition = store.conditions.map(\.condition).first { $0.kind == .backedUp }
      #expect(condition?.reason == "BackupFailed" && store.state == .ready)
      #expect(condition?.message.contains("disk") == true)
      cluster.script(.backupCheck, of: "demo", [.hang])
      let stopped = try await desk.change("demo", .backup)
      await cluster.reached(.backupCheck, of: "demo", count: 2)
      try await cancel(stopped, desk)
      #expect(try await desk.backups().map(\.state) == [.deleting, .deleting])
      #expect(cluster.archives.count == 2)
      // Their jobs may take a moment to end: not at once.
      let retention = retention(desk, cluster)
      await retention.run()
      #expect(cluster.archives.count == 2)
      try await execute(desk, "UPDATE backups SET tried_at = now() - interval '1 hour'")
      await retention.run()
      #expect(cluster.archives.isEmpty)
      #expect(try await desk.backups().isEmpty)
    }
  }

  @Test func theFileGoesBeforeWhatIsKnownOfIt() async throws {
    try await withEngine { desk, cluster, _ in
      let backup = try await desk.backUp("demo")
      try await delete(backup.id, desk)
      let retention = retention(desk, cluster)
      cluster.refuseRemovals(ProvisionFailure(.backupStoreUnreachable))
      await retention.run()
      #expect(try await desk.backups().map(\.state) == [.deleting])
      cluster.refuseRemovals(nil)
      // Not before its patience is over.
      await retention.run()
      #expect(cluster.archives.count == 1)
      try await execute(desk, "UPDATE backups SET tried_at = now() - interval '1 hour'")
      await retention.run()
      #expect(cluster.archives.isEmpty)
      #expect(try await desk.backups().isEmpty)
      let events = try await desk.events(of: backup.store).filter { $0.action == "backup.delete" }
      #expect(events.map { $0.details?["backup"]?.string } == [backup.id.description])
      #expect(events.first?.actor?.id == "ada")
    }
  }

  @Test func theOldAndTheManyGoButNotWhatIsInUse() async throws {
    try await withEngine { desk, cluster, database in
      try await desk.ready("other")
      var backups: [BackupRecord] = []
      for _ in 0..<4 { backups.append(try await desk.backUp("demo")) }
      let others = try await desk.backUp("other")
      let last = try await desk.backUp("other")
      try await execute(
        desk, "UPDATE backups SET ended_at = now() - interval '2 days' WHERE id = '\(others.id)'")
      // The oldest is in use; of demo's four the two newest stay beside it.
      cluster.script(.restore, of: "demo", [.hang])
      let restore = try await desk.change("demo", .restore(from: backups[0].id))
      await cluster.reached(.restore, of: "demo")
      // Two at once, over two pools.
      try await atSecondPool(database, desk) { worker in
        let second = BackupRetention(
          ledger: BackupLedger(worker: worker),
          backend: FakeStoreBackend(cluster, on: desk.reactor), age: .seconds(86_400), kept: 2,
          on: desk.reactor, logger: quiet, metrics: MetricsRegistry())
        let first = retention(desk, cluster, kept: 2)
        let other = desk.reactor.loop.spawn(on: desk.reactor) { await second.run() }
        await first.run()
        await other.value
      }
      let kept = [backups[0].id, backups[2].id, backups[3].id, last.id]
      #expect(Set(try await desk.backups().map(\.id)) == Set(kept))
      #expect(cluster.archives == Set(kept.map(\.description)))
      try await desk.delete("demo")
      #expect(try await desk.wait(for: restore.id).state == .cancelled)
    }
  }

  private func atSecondPool(
    _ database: TestDatabase, _ desk: Desk, _ body: (PostgresPool) async throws -> Void
  ) async throws {
    let pool = try database.pool(.worker, on: desk.reactor)
    defer { pool.close() }
    try await body(pool)
  }

  // MARK: Over the wire

  @Test func theServiceListsShowsAndDeletes() async throws {
    try await withService { peers, desk, database in
      let cluster = FakeCluster()
      let engine = try await Engine.start(database, cluster)
      try await desk.ready("demo")
      try await desk.ready("other")
      let (stores, backups) = (try peers.stores(), try peers.backups())
      let (user, stranger) = (try peers.user(), try peers.user(of: "other"))
      for name in ["demo", "other", "demo"] {
        let operation = try await stores.backupStore(.init(store: name), options: user)
        #expect(operation.kind == .backup && !operation.backup.isEmpty)
        try await desk.wait(for: try #require(PostgresUUID(operation.id)))
      }
      let all = try await backups.listBackups(.init(), options: user).backups
      #expect(all.map(\.storeName) == ["demo", "other", "demo"])
      #expect(all.allSatisfy { $0.state == .available && $0.sizeBytes > 0 })
      #expect(all.allSatisfy { $0.sha256.count == 64 && $0.engine == .woocommerce })
      let page = try await backups.listBackups(.init(store: "demo", pageSize: 1), options: user)
      #expect(page.backups.map(\.id) == [all[0].id])
      let next = try await backups.listBackups(
        .init(store: "demo", pageSize: 1, pageToken: page.nextPageToken), options: user)
      #expect(next.backups.map(\.id) == [all[2].id] && next.nextPageToken.isEmpty)
      #expect(try await backups.getBackup(.init(backup: all[1].id), options: user) == all[1])
      #expect(try await backups.listBackups(.init(), options: stranger).backups.isEmpty)
      let hidden = await rpcError {
        try await backups.getBackup(.init(backup: all[1].id), options: stranger)
      }
      #expect(hidden?.code == .notFound)
      let notDeleted = await rpcError {
        try await backups.deleteBackup(.init(backup: all[1].id), options: stranger)
      }
      #expect(notDeleted?.code == .notFound)
      let nonsense = await invalidField {
        try await stores.restoreStore(.init(store: "demo", backup: "x"), options: user)
      }
      #expect(nonsense == "backup")
      let restore = try await stores.restoreStore(
        .init(store: "demo", backup: all[0].id), options: user)
      #expect(restore.kind == .restore && restore.backup == all[0].id)
      try await desk.wait(for: try #require(PostgresUUID(restore.id)))
      let gone = try await backups.deleteBackup(.init(backup: all[0].id), options: user)
      #expect(gone.state == .deleting)
      let unusable = await rpcError {
        try await stores.restoreStore(.init(store: "demo", backup: all[0].id), options: user)
      }
      #expect(unusable?.code == .failedPrecondition)
      #expect(unusable?.errorInfo?.reason == "BACKUP_NOT_USABLE")
      await engine.stop()
    }
  }

  // MARK: Small parts

  private func delete(_ id: PostgresUUID, _ desk: Desk) async throws {
    let backup = try await desk.catalog.deleteBackup(
      id, tenant: Desk.tenant, origin: Desk.origin("request-6"), deadline: .soon)
    #expect(backup.state == .deleting)
  }

  private func cancel(_ operation: OperationRecord, _ desk: Desk) async throws {
    _ = try await desk.catalog.cancel(
      operation.id, tenant: Desk.tenant, origin: Desk.origin("request-7"), deadline: .soon)
    #expect(try await desk.wait(for: operation.id).state == .cancelled)
  }

  private func invalid<R>(_ body: () async throws -> R) async -> InvalidField? {
    do {
      _ = try await body()
      return nil
    } catch { return error as? InvalidField }
  }
}
