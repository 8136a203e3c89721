import Contracts
import Observability
import Postgres
import ProvisionerTestKit
import Reactor
import TestKit
import Testing

@testable import ProvisionerService

/// What nobody asked for, beside what somebody does.
@Suite(.timeLimit(.minutes(2))) struct ScheduledWorkTests {
  private static let lease = Duration.seconds(20)

  // MARK: Making way

  @Test func whatWaitsGivesWayToWhatSomebodyAsks() async throws {
    let names = ["suspended", "upgraded", "saved", "restored", "deleted", "last"]
    try await withoutEngine(names) { desk, _ in
      let scheduler = Scheduler(desk)
      await scheduler.run()
      try await desk.makeDue()
      for _ in 0..<2 { await scheduler.run() }
      var waiting: [String: PostgresUUID] = [:]
      for name in names {
        waiting[name] = try await desk.store(name).operation
        #expect(try await desk.operation(waiting[name]!).isScheduled)
      }
      let backup = PostgresUUID.random()
      try await desk.execute(
        """
        INSERT INTO backups (id, tenant, store, store_name, engine, operation, state, bytes, sha256,
          ended_at)
        SELECT '\(backup)', tenant, id, name, engine, gen_random_uuid(), 'available', 1,
          repeat('0', 64), now() FROM stores WHERE name = 'restored'
        """)
      let asked = [
        try await desk.change("suspended", .suspend), try await desk.upgrade("upgraded"),
        // The same work, but somebody's own.
        try await desk.change("saved", .backup),
        try await desk.change("restored", .restore(from: backup)),
        try await desk.delete("deleted"), try await desk.delete("last", finalBackup: true),
      ]
      for operation in asked { #expect(!operation.isScheduled && operation.state == .pending) }
      for name in names {
        let gone = try await desk.operation(waiting[name]!)
        #expect(gone.state == .cancelled, "\(name)")
        #expect(gone.steps.allSatisfy { $0.state == .skipped }, "\(name)")
        let begun = try await desk.catalog.findBackup(
          try #require(gone.aim.backup), tenant: Desk.tenant, deadline: .soon)
        #expect(begun.state == .deleting, "\(name)")
        let events = try await desk.events(of: gone.store).filter {
          $0.operation == gone.id.description
        }
        #expect(events.map(\.action).sorted() == ["operation.begin", "operation.end"], "\(name)")
      }
      #expect(try await desk.store("deleted").state == .deleting)
      #expect(try await desk.store("last").state == .deleting)
      // Made up for soon.
      #expect(try await desk.dueIn("suspended")?.isBetween(0, 1.1 * 3_600) == true)
      // None of it is there to be claimed any more.
      let claims = try await desk.ledger.claim(20, for: "a", lease: Self.lease)
      #expect(Set(claims.map(\.operation)) == Set(asked.map(\.id)))
    }
  }

  /// It may have had a worker: one that was away, or has died since.
  @Test func whatNobodyIsAtGivesWay() async throws {
    try await withoutEngine(["parked", "died", "held"]) { desk, _ in
      await Scheduler(desk).run()
      try await desk.makeDue()
      for _ in 0..<2 { await Scheduler(desk).run() }
      let claims = try await desk.ledger.claim(3, for: "a", lease: Self.lease)
      let ids = try await [desk.store("parked"), desk.store("died")].map(\.operation)
      let parked = try #require(claims.first { $0.operation == ids[0] })
      try await desk.ledger.release(parked, after: .seconds(60))
      try await desk.execute(
        "UPDATE operations SET lease_expires_at = now() - interval '1 second' WHERE id = '\(ids[1])'"
      )
      for (name, id) in zip(["parked", "died"], ids) {
        #expect(try await desk.change(name, .suspend).state == .pending, "\(name)")
        #expect(try await desk.operation(id).state == .cancelled, "\(name)")
      }
      let died = try #require(claims.first { $0.operation == ids[1] })
      #expect(await refusal { try await desk.ledger.finish(died, .succeeded) } == .leaseLost)
      let held = try await desk.store("held").operation
      #expect(await refusal { try await desk.change("held", .suspend) } == .busy(.backup, held))
    }
  }

  /// What is refused changes nothing.
  @Test func whatIsRefusedLeavesWhatWaits() async throws {
    try await withoutEngine { desk, _ in
      let scheduler = Scheduler(desk)
      await scheduler.run()
      try await desk.makeDue()
      await scheduler.run()
      let waiting = try await desk.store("demo").operation
      #expect(
        await refusal { try await desk.change("demo", .resume) }
          == .wrongState(.ready, "it is not suspended"))
      #expect(try await desk.operation(waiting).state == .pending)
      // What a worker has taken gives no way.
      let claim = try #require(try await desk.ledger.claim(1, for: "a", lease: Self.lease).first)
      #expect(claim.operation == waiting && claim.isScheduled)
      #expect(await refusal { try await desk.change("demo", .suspend) } == .busy(.backup, waiting))
    }
  }

  // MARK: Workers

  @Test func whatPeopleAskForIsClaimedFirstAndKeepsHalfOfEverything() async throws {
    try await withoutEngine(["one", "two", "three", "four"]) { desk, _ in
      await Scheduler(desk).run()
      try await desk.makeDue()
      await Scheduler(desk).run()
      try await desk.create("later")
      // It came last.
      let first = try await desk.ledger.claim(1, scheduled: 1, for: "a", lease: Self.lease)
      #expect(first.map(\.kind) == [.provision] && first.first?.isScheduled == false)
      // No more of the others than the replica has room for.
      let two = try await desk.ledger.claim(5, scheduled: 2, for: "a", lease: Self.lease)
      #expect(two.count == 2 && two.allSatisfy(\.isScheduled))
      #expect(try await desk.ledger.claim(5, scheduled: 0, for: "a", lease: Self.lease).isEmpty)
      // Three are under way: of a limit of six they may have half, of eight one more.
      for limit in [\OperationLimits.perTenant, \.perCluster, \.overall] {
        var limits = OperationLimits()
        limits[keyPath: limit] = 6
        let none = try await desk.ledger.claim(
          5, scheduled: 5, for: "a", lease: Self.lease, within: limits)
        #expect(none.isEmpty)
      }
      var limits = OperationLimits()
      limits.perTenant = 8
      let one = try await desk.ledger.claim(
        5, scheduled: 5, for: "a", lease: Self.lease, within: limits)
      #expect(one.count == 1 && one[0].isScheduled)
      // People have the rest.
      limits.perTenant = 5
      try await desk.create("last")
      let last = try await desk.ledger.claim(
        5, scheduled: 5, for: "a", lease: Self.lease, within: limits)
      #expect(last.map(\.kind) == [.provision])
    }
  }

  /// Work that had begun is taken over at once, and what has waited for an hour has its turn.
  @Test func whatIsScheduledIsNotPutOffForEver() async throws {
    try await withoutEngine(["old", "begun"]) { desk, _ in
      await Scheduler(desk).run()
      try await desk.makeDue()
      await Scheduler(desk).run()
      let (old, begun) = (
        try await desk.store("old").operation, try await desk.store("begun").operation
      )
      try await desk.create("later")
      try await desk.execute(
        "UPDATE operations SET created_at = now() - interval '61 minutes' WHERE id = '\(old)'")
      try await desk.execute(
        """
        UPDATE operations SET state = 'running', holder = 'dead', fence = nextval('fencing_tokens'),
          started_at = now(), available_at = now() - interval '6 minutes',
          lease_expires_at = now() - interval '6 minutes' WHERE id = '\(begun)'
        """)
      let neglected = try await desk.ledger.neglected(10, for: .seconds(300))
      #expect(neglected.oldest == [begun])
      let two = try await desk.ledger.claim(2, for: "a", lease: Self.lease)
      #expect(Set(two.map(\.operation)) == [old, begun])
    }
  }

  @Test func aReplicaKeepsWorkersForPeople() async throws {
    for (workers, scheduled) in [(1, 1), (2, 1), (5, 2), (8, 4)] {
      var settings = EngineSettings()
      settings.workers = workers
      #expect(settings.scheduledWorkers == scheduled)
    }
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      var settings = EngineSettings.quick
      settings.workers = 2
      let engine = try await Engine.start(database, cluster, settings)
      for name in ["one", "two"] { try await desk.ready(name) }
      await Scheduler(desk).run()
      try await desk.makeDue()
      cluster.script(.backup, of: nil, [.hang, .hang])
      await Scheduler(desk).run()
      // One of the two is at work, and there is a worker for this.
      try await desk.ready("three")
      #expect(cluster.calls.count { $0.step == .backup } == 1)
      await engine.stop()
    }
  }

  /// What is to be cancelled is in somebody's way: it is not to wait for its share.
  @Test func oneThatIsToBeCancelledIsClaimedAtOnce() async throws {
    try await withoutEngine { desk, _ in
      await Scheduler(desk).run()
      try await desk.makeDue()
      await Scheduler(desk).run()
      let id = try await desk.store("demo").operation
      #expect(try await desk.ledger.claim(1, scheduled: 0, for: "a", lease: Self.lease).isEmpty)
      _ = try await desk.catalog.cancel(
        id, tenant: Desk.tenant, origin: Desk.origin(), deadline: .soon)
      let claims = try await desk.ledger.claim(1, scheduled: 0, for: "a", lease: Self.lease)
      #expect(claims.map(\.operation) == [id])
    }
  }

  /// They work on backups as on any, but know nothing of tests of them.
  @Test func formerReplicasClaimBackupsButNoTests() async throws {
    try await withoutEngine(["one", "two"]) { desk, _ in
      await Scheduler(desk).run()
      try await desk.makeDue()
      await Scheduler(desk).run()
      let (one, two) = (try await desk.store("one"), try await desk.store("two"))
      try await desk.execute(
        "UPDATE operations SET kind = 'backup-test' WHERE id = '\(two.operation)'")
      let rows = try await desk.worker.query(
        scope: .worker,
        """
        SELECT claimed FROM claim_operations('former', 10, '10 seconds', 9, 9, 9,
          ARRAY['provision', 'delete', 'upgrade', 'rollback', 'suspend', 'resume', 'backup',
            'restore'], NULL)
        """, deadline: .soon)
      #expect(try rows.map { try $0.decode(0, as: PostgresUUID.self) } == [one.operation])
    }
  }
}
