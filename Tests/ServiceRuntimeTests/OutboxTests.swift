import Contracts
import Observability
import Postgres
import Protobuf
import RPC
import RPCCore
import Reactor
import Testing

@testable import ServiceRuntime

@Suite(.timeLimit(.minutes(2))) struct OutboxTests {
  // MARK: Writing

  @Test func anEventLastsExactlyIfItsChangeDoes() async throws {
    try await withOutbox { outbox in
      struct Failure: Error {}
      let (kept, lost) = (events(1), events(1))
      try await outbox.add(kept)
      _ = try? await outbox.application.withTransaction(
        scope: .tenant("acme"), deadline: .soon
      ) { transaction in
        try await OutboxWriter().append(lost[0], in: transaction)
        throw Failure()
      }
      #expect(try await outbox.count("id = '\(kept[0].id)'") == 1)
      #expect(try await outbox.count("true") == 1)
    }
  }

  @Test func eventsGoWithOtherStatements() async throws {
    try await withOutbox { outbox in
      let added = events(2)
      try await outbox.application.withTransaction(scope: .tenant("acme"), deadline: .soon) {
        transaction in
        var failure: PostgresError?
        try await transaction.pipeline { pipeline in
          pipeline.query("SELECT 1")
          do throws(PostgresError) {
            for event in added { try OutboxWriter().append(event, to: &pipeline) }
          } catch {
            failure = error
          }
        }
        #expect(failure == nil)
      }
      #expect(try await outbox.count("tenant = 'acme'") == 2)
    }
  }

  @Test func whatCouldNotBeDeliveredIsNotTaken() async throws {
    try await withOutbox { outbox in
      var unnamed = events(1)[0]
      unnamed.id = "none"
      var large = events(1)[0]
      large.action = String(repeating: "x", count: OutboxWriter.eventBytesMax)
      var detailed = events(1)[0]
      detailed.details = ["a": .init(String(repeating: "x", count: AuditV1.Event.detailsBytesMax))]
      let foreign = events(1, tenant: "other")[0]
      let expected: [(AuditV1.Event, PostgresError.Kind)] = [
        (unnamed, .misuse), (large, .limitReached("eventBytesMax")), (detailed, .badValue),
        (foreign, .server),
      ]
      for (event, kind) in expected {
        do {
          try await outbox.add([event])
          Issue.record("\(kind) was expected")
        } catch let error as PostgresError {
          #expect(error.kind == kind)
        }
      }
      #expect(try await outbox.count("true") == 0)
    }
  }

  @Test func servicesNeitherReadNorChangeWhatTheyLeft() async throws {
    try await withOutbox { outbox in
      try await outbox.add(events(1))
      for sql in ["SELECT * FROM outbox", "DELETE FROM outbox", "UPDATE outbox SET attempts = 1"] {
        for (pool, scope) in [
          (outbox.application, PostgresScope.tenant("acme")), (outbox.worker, .worker),
        ] {
          do {
            try await pool.query(scope: scope, sql, deadline: .soon)
            Issue.record("\(sql) was expected to fail")
          } catch {
            #expect((error as? PostgresError)?.sqlState == .insufficientPrivilege)
          }
        }
      }
    }
  }

  // MARK: Delivering

  @Test func eventsAreDeliveredInTheirOrderAsSoonAsTheyAreThere() async throws {
    try await withOutbox { outbox in
      let audit = FakeAudit()
      let metrics = MetricsRegistry()
      let delivery = outbox.delivery(to: audit, metrics: metrics)
      let first = events(5)
      try await outbox.add(first.reversed())
      try delivery.start(listener: outbox.listener)
      try await outbox.wait(for: 5, "delivered_at IS NOT NULL")
      #expect(audit.received == first.map(\.id))
      // By NOTIFY: it would not look again for a minute.
      try await outbox.add(events(3))
      try await outbox.wait(for: 8, "delivered_at IS NOT NULL")
      await delivery.stop()
      #expect(audit.received.count == 8)
      #expect(delivery.metrics.delivered.value == 8)
      #expect(metrics.gauge("outbox_pending", help: "").value == 0)
    }
  }

  @Test func theTimerFindsWhatNobodyAnnounced() async throws {
    try await withOutbox { outbox in
      let audit = FakeAudit()
      let delivery = outbox.delivery(to: audit) { $0.pollInterval = .milliseconds(5) }
      try delivery.start()
      try await outbox.wait(for: 0, "true")
      try await outbox.add(events(3))
      try await outbox.wait(for: 3, "delivered_at IS NOT NULL")
      await delivery.stop()
    }
  }

  @Test func batchesAreLimitedInNumberAndBytes() async throws {
    try await withOutbox { outbox in
      let audit = FakeAudit()
      var large = events(3)
      for index in large.indices {
        large[index].details = ["a": .init(String(repeating: "x", count: 16_000))]
      }
      try await outbox.add(large)
      let delivery = outbox.delivery(to: audit) {
        $0.batchEventsMax = 4
        $0.batchBytesMax = 40_000
      }
      #expect(try await delivery.deliverBatch() == 3)
      #expect(audit.callSizes == [2, 1])
      try await outbox.add(events(10))
      while try await delivery.deliverBatch() > 0 {}
      #expect(audit.callSizes == [2, 1, 4, 4, 2])
    }
  }

  @Test func anEventIsSentAgainWhenItCouldNotBeMarked() async throws {
    try await withOutbox { outbox in
      let audit = FakeAudit()
      let delivery = outbox.delivery(to: audit)
      try await outbox.add(events(3))
      // The process ends between sending and marking, as far as the database can tell.
      let function = "FUNCTION mark_outbox_delivered FROM \(outbox.schema)_worker"
      try await outbox.execute("REVOKE EXECUTE ON \(function)")
      let error = await failure { _ = try await delivery.deliverBatch() }
      #expect((error as? PostgresError)?.sqlState == .insufficientPrivilege)
      #expect(audit.received.count == 3)
      try await outbox.execute(
        "GRANT EXECUTE ON \(function.replacing(" FROM ", with: " TO "))")
      // Held by the dead one until its lease is over.
      #expect(try await delivery.deliverBatch() == 0)
      try await outbox.execute(
        "UPDATE outbox SET claimed_until = clock_timestamp() - interval '1s'")
      audit.outcome = { _ in .duplicate }
      #expect(try await delivery.deliverBatch() == 3)
      #expect(audit.received.count == 6)
      #expect(Set(audit.received).count == 3)
      #expect(try await outbox.count("delivered_at IS NOT NULL AND attempts = 2") == 3)
    }
  }

  @Test func eventsWaitWhileAuditIsDown() async throws {
    try await withOutbox { outbox in
      let audit = FakeAudit()
      let metrics = MetricsRegistry()
      let delivery = outbox.delivery(to: audit, metrics: metrics) {
        $0.pollInterval = .milliseconds(5)
      }
      audit.failure = { _ in RPCError(.unavailable, "cannot connect") }
      try delivery.start(listener: outbox.listener)
      try await outbox.add(events(7))
      try await outbox.wait(for: 7, "attempts >= 3")
      #expect(try await outbox.count("delivered_at IS NOT NULL") == 0)
      #expect(metrics.gauge("outbox_pending", help: "").value == 7)
      #expect(metrics.counter("outbox_failures_total", help: "").value >= 2)
      audit.failure = { _ in nil }
      try await outbox.wait(for: 7, "delivered_at IS NOT NULL")
      await delivery.stop()
      #expect(Set(audit.received).count == 7)
      #expect(audit.received.count == 7)
    }
  }

  /// However the planner joins: a loop that chose anew for each row would claim all.
  @Test func aClaimIsNoLargerThanAsked() async throws {
    try await withOutbox { outbox in
      try await outbox.add(events(40))
      let claimed = try await outbox.owner.withTransaction(scope: .none, deadline: .soon) {
        transaction in
        try await transaction.query("SET LOCAL enable_hashjoin = off")
        try await transaction.query("SET LOCAL enable_mergejoin = off")
        try await transaction.query("SET LOCAL enable_material = off")
        try await transaction.query("SET LOCAL enable_hashagg = off")
        try await transaction.query("SET LOCAL enable_sort = off")
        return try await transaction.query("SELECT * FROM claim_outbox(7, '1 minute')").count
      }
      #expect(claimed == 7)
      #expect(try await outbox.count("claimed_until IS NOT NULL") == 7)
    }
  }

  @Test func twoDeliveriesNeverSendTheSameEvent() async throws {
    try await withOutbox { outbox in
      let audit = FakeAudit()
      let deliveries = (0..<3).map { _ in outbox.delivery(to: audit) { $0.batchEventsMax = 7 } }
      // The others have their turn while one waits for its answer.
      audit.beforeAnswer = { _ = try await outbox.count("true") }
      for delivery in deliveries { try delivery.start() }
      for _ in 0..<10 {
        try await outbox.add(events(20))
        for delivery in deliveries { delivery.wake() }
      }
      try await outbox.wait(for: 200, "delivered_at IS NOT NULL")
      for delivery in deliveries { await delivery.stop() }
      #expect(audit.received.count == 200)
      #expect(Set(audit.received).count == 200)
      #expect(deliveries.map(\.metrics.delivered.value).reduce(0, +) == 200)
      #expect(deliveries.count { $0.metrics.delivered.value > 0 } >= 2)
    }
  }

  @Test func whatAuditRefusesIsSetAsideAndHoldsUpNothing() async throws {
    try await withOutbox { outbox in
      let audit = FakeAudit()
      let metrics = MetricsRegistry()
      let delivery = outbox.delivery(to: audit, metrics: metrics)
      let added = events(5)
      let poison = added[0].id
      audit.outcome = { $0.id == poison ? .rejected : .recorded }
      try await outbox.add(added)
      try delivery.start()
      try await outbox.wait(for: 4, "delivered_at IS NOT NULL")
      await delivery.stop()
      let condition = "id = '\(poison)' AND rejected_at IS NOT NULL"
      #expect(try await outbox.count("\(condition) AND rejection = 'action: not known'") == 1)
      #expect(metrics.counter("outbox_rejected_total", help: "").value == 1)
      #expect(metrics.gauge("outbox_rejected", help: "").value == 1)
      // It is not sent again.
      #expect(try await delivery.deliverBatch() == 0)
    }
  }

  @Test func anEventThatSpoilsTheWholeCallIsFound() async throws {
    try await withOutbox { outbox in
      let audit = FakeAudit()
      let delivery = outbox.delivery(to: audit)
      let added = events(20)
      let poison = added[13].id
      audit.failure = { request in
        request.events.contains { $0.id == poison }
          ? RPCError(.invalidArgument, "cannot be read") : nil
      }
      try await outbox.add(added)
      #expect(try await delivery.deliverBatch() == 20)
      #expect(Set(audit.received).count == 19)
      #expect(try await outbox.count("delivered_at IS NOT NULL") == 19)
      #expect(try await outbox.count("id = '\(poison)' AND rejection = 'cannot be read'") == 1)
    }
  }

  @Test func anEventThatAuditFailsForHoldsUpNoOther() async throws {
    try await withOutbox { outbox in
      let audit = FakeAudit()
      let delivery = outbox.delivery(to: audit)
      let added = events(20)
      let poison = Set([added[0].id, added[13].id])
      audit.failure = { request in
        request.events.contains { poison.contains($0.id) }
          ? RPCError(.unknown, "internal error") : nil
      }
      try await outbox.add(added)
      #expect(try await delivery.deliverBatch() == 20)
      #expect(try await outbox.count("delivered_at IS NOT NULL") == 18)
      // They are not refused: audit may come to take them.
      #expect(
        try await outbox.count(
          """
          delivered_at IS NULL AND rejected_at IS NULL
          AND claimed_until > clock_timestamp() + interval '30 seconds'
          """) == 2)
      try await outbox.add(events(3))
      #expect(try await delivery.deliverBatch() == 3)
      audit.failure = { _ in nil }
      try await outbox.execute("UPDATE outbox SET claimed_until = NULL")
      #expect(try await delivery.deliverBatch() == 2)
    }
  }

  @Test func anAuditThatFailsForEveryEventIsNotAskedForEach() async throws {
    try await withOutbox { outbox in
      let audit = FakeAudit()
      var calls = 0
      audit.failure = { _ in
        calls += 1
        return RPCError(.internal, "broken")
      }
      let delivery = outbox.delivery(to: audit) { $0.suspectsMax = 3 }
      try await outbox.add(events(64))
      let error = await failure { _ = try await delivery.deliverBatch() }
      #expect((error as? RPCError)?.code == .internal)
      // Six halvings to the first, and one or two calls to each of the next.
      #expect(calls == 10)
      #expect(try await outbox.count("delivered_at IS NULL AND rejected_at IS NULL") == 64)
    }
  }

  @Test func whatIsNotSentInTimeIsGivenBack() async throws {
    try await withOutbox { outbox in
      let audit = FakeAudit()
      let delivery = outbox.delivery(to: audit) { $0.batchTimeout = .zero }
      try await outbox.add(events(5))
      #expect(try await delivery.deliverBatch() == 5)
      #expect(audit.received.isEmpty)
      #expect(try await outbox.count("claimed_until <= clock_timestamp()") == 5)
    }
  }

  @Test func aPayloadThatIsNoEventIsSetAside() async throws {
    try await withOutbox { outbox in
      let audit = FakeAudit()
      try await outbox.add(events(2))
      try await outbox.execute(
        "INSERT INTO outbox (id, tenant, payload) VALUES (gen_random_uuid(), 'acme', '\\xffff')")
      let delivery = outbox.delivery(to: audit)
      #expect(try await delivery.deliverBatch() == 3)
      #expect(try await outbox.count("rejection LIKE 'it cannot be read%'") == 1)
      #expect(try await outbox.count("delivered_at IS NOT NULL") == 2)
    }
  }

  @Test func anAnswerThatMakesNoSenseSettlesNothing() async throws {
    try await withOutbox { outbox in
      let audit = FakeAudit()
      let delivery = outbox.delivery(to: audit)
      let added = events(2)
      audit.outcome = { $0.id == added[0].id ? .recorded : .unrecognized(9) }
      try await outbox.add(added)
      let error = await failure { _ = try await delivery.deliverBatch() }
      #expect((error as? RPCError)?.code == .internal)
      #expect(try await outbox.count("delivered_at IS NOT NULL") == 1)
      #expect(try await outbox.count("delivered_at IS NULL AND rejected_at IS NULL") == 1)
    }
  }

  @Test func stoppingLetsTheBatchUnderWayEnd() async throws {
    try await withOutbox { outbox in
      let audit = FakeAudit()
      let delivery = outbox.delivery(to: audit)
      var isStopped = false
      audit.beforeAnswer = {
        outbox.reactor.loop.spawn(on: outbox.reactor) {
          await delivery.stop()
          isStopped = true
        }
        for _ in 0..<3 { _ = try await outbox.count("true") }
        #expect(!isStopped)
      }
      try await outbox.add(events(3))
      try delivery.start()
      try await outbox.wait(for: 3, "delivered_at IS NOT NULL")
      while !isStopped { _ = try await outbox.count("true") }
      try await outbox.add(events(1))
      delivery.wake()
      #expect(try await outbox.count("delivered_at IS NULL AND attempts = 0") == 1)
    }
  }

  @Test func deliveredEventsAreDeletedAfterTheirRetention() async throws {
    try await withOutbox { outbox in
      let audit = FakeAudit()
      let delivery = outbox.delivery(to: audit) {
        $0.pollInterval = .milliseconds(5)
        $0.retention = .seconds(3600)
        $0.purgeInterval = .zero
        $0.purgeEventsMax = 2
      }
      try await outbox.add(events(5))
      try delivery.start()
      try await outbox.wait(for: 5, "delivered_at IS NOT NULL")
      try await outbox.execute(
        """
        UPDATE outbox SET delivered_at = delivered_at - interval '2 hours'
        WHERE id IN (SELECT id FROM outbox LIMIT 3)
        """)
      try await outbox.wait(for: 2, "true")
      await delivery.stop()
    }
  }
}
