import Contracts
import Postgres
import RPC
import RPCCore
import Reactor
import ServiceRuntime
import TestKit
import Testing

@testable import AuditService

@Suite(.timeLimit(.minutes(2))) struct TailTests {
  @Test func newEventsOfTheTenantArriveAsTheyAreRecorded() async throws {
    try await withAudit { audit in
      try await audit.append([event(1)])
      let stream = try await audit.tail("acme")
      try await audit.waitForTails(1)
      // Its first look at the history is over once a later one is.
      let other = try await audit.tail("acme", .init(since: .init(seconds: 0, nanos: 0)))
      #expect(try await other.next()?.revision == 1)
      try await audit.append([event(2), event(3, tenant: "other"), event(4)])
      try await audit.append([event(5)])
      for stream in [stream, other] {
        #expect(try await stream.next()?.revision == 2)
        #expect(try await stream.next()?.revision == 4)
        #expect(try await stream.next()?.revision == 5)
      }
    }
  }

  @Test func whatCommitsLateIsNotLost() async throws {
    try await withAudit { audit in
      let stream = try await audit.tail("acme", .init(since: .init(seconds: 0, nanos: 0)))
      try await audit.append([event(0)])
      #expect(try await stream.next()?.revision == 0)
      try await audit.worker.withTransaction(scope: .worker, deadline: .soon) { transaction in
        // Earlier by its position, its time and its transaction's number than the next one.
        try await Self.record(event(1), in: transaction)
        try await audit.append([event(2)])
        #expect(try await stream.next()?.revision == 2)
        try await audit.append([event(3)])
        #expect(try await stream.next()?.revision == 3)
      }
      audit.hub.announce(["acme"])
      #expect(try await stream.next()?.revision == 1)
      try await audit.append([event(4)])
      #expect(try await stream.next()?.revision == 4)
    }
  }

  @Test func aFeedGivesEachEventOnceInWhateverOrderTransactionsCommit() async throws {
    try await withAudit { audit in
      let history = EventHistory(pool: audit.application)
      try await audit.append((0..<20).map { event($0) })
      // The least that reads in parts.
      var feed = try await EventFeed(
        history, tenant: "acme", filter: EventFilter(), since: 0, limit: 3, deadline: .soon)
      let open = Count()
      open.value = 4
      var writers: [Task<Void, Never>] = []
      for writer in 0..<4 {
        writers.append(
          audit.reactor.loop.spawn(on: audit.reactor) {
            for round in 0..<15 { await Self.write(audit, number: 100 + writer * 100 + round) }
            open.value -= 1
          })
      }
      var seen: [Int64] = []
      while true {
        let isLast = open.value == 0
        let events = try await feed.next(deadline: .soon)
        seen += events.map(\.event.revision)
        if isLast && events.isEmpty { break }
      }
      for writer in writers { await writer.value }
      #expect(seen.prefix(20) == (0..<20).map(Int64.init)[...])
      #expect(seen.count == 20 + 4 * 15 * 2)
      #expect(Set(seen.map { "\($0)" }).count == 20 + 4 * 15)
      // Two of each transaction.
      let counts = Dictionary(grouping: seen.dropFirst(20), by: { $0 }).mapValues(\.count)
      #expect(counts.values.allSatisfy { $0 == 2 })
    }
  }

  @Test func aFeedDoesNotReadAgainWhatItsFilterLeavesOut() async throws {
    try await withAudit { audit in
      var feed = try await EventFeed(
        EventHistory(pool: audit.application), tenant: "acme", filter: EventFilter(action: "login"),
        since: nil, limit: 3, deadline: .soon)
      for number in 0..<3 {
        try await audit.append([event(number)])
        #expect(try await feed.next(deadline: .soon).isEmpty)
        let unread = try await audit.owner.query(
          scope: .none,
          "SELECT count(*) FROM events WHERE NOT pg_visible_in_snapshot(transaction, $1::pg_snapshot)",
          [.text(feed.snapshot)], deadline: .soon)
        #expect(try unread[0].decode(0, as: Int.self) == 0)
      }
      try await audit.append([event(3, action: "login")])
      #expect(try await feed.next(deadline: .soon).map(\.event.revision) == [3])
    }
  }

  /// Where their numbers get another digit, transactions are still read in the order of their numbers.
  @Test func aFeedIsReadInTheOrderOfTransactions() async throws {
    try await withAudit { audit in
      var feed = try await EventFeed(
        EventHistory(pool: audit.application), tenant: "acme", filter: EventFilter(), since: nil,
        limit: 3, deadline: .soon)
      let current = try await audit.owner.query(
        scope: .none, "SELECT pg_current_xact_id()::text", deadline: .soon
      )[0].decode(0, as: String.self)
      // 1,000 are left for what other tests do meanwhile.
      var boundary = 10_000
      while boundary < (Int(current) ?? 0) + 1_000 { boundary *= 10 }
      try await Self.pass(boundary - 1_000, audit)
      for number in 0..<4 { try await audit.append([event(number)]) }
      try await Self.pass(boundary, audit)
      for number in 4..<8 { try await audit.append([event(number)]) }
      var seen: [Int64] = []
      while true {
        let events = try await feed.next(deadline: .soon)
        if events.isEmpty { break }
        seen += events.map(\.event.revision)
      }
      #expect(seen == (0..<8).map(Int64.init))
    }
  }

  /// Uses up the numbers of transactions to beyond `number`.
  private static func pass(_ number: Int, _ audit: AuditPeers) async throws {
    try await audit.owner.withConnection(deadline: .soon) { connection in
      try await connection.script(
        """
        DO $$ BEGIN
          WHILE pg_current_xact_id() <= '\(number)'::xid8 LOOP COMMIT; END LOOP;
        END $$
        """, deadline: .soon)
    }
  }

  /// Two events in a transaction that takes some time, in a part of the cases none.
  private static func write(_ audit: AuditPeers, number: Int) async {
    do {
      try await audit.worker.withTransaction(scope: .worker, deadline: .soon) { transaction in
        for _ in 0..<2 {
          try await record(event(number), in: transaction)
          for _ in 0..<(number % 4) { try await transaction.query("SELECT 1") }
        }
      }
    } catch {
      Issue.record(error)
    }
  }

  @Test func aTailMissesNothingWhileNobodyListens() async throws {
    var limits = AuditLimits()
    // What is not heard of would come too late.
    limits.tailPollInterval = .seconds(3_600)
    try await withAudit(limits: limits) { audit in
      let stream = try await audit.tail("acme", .init(since: .init(seconds: 0, nanos: 0)))
      for round in 0..<3 {
        try await audit.append([event(2 * round)])
        #expect(try await stream.next()?.revision == Int64(2 * round))
        try await audit.application.endOtherSessions(
          running: "LISTEN%", deadline: .soon)
        try await audit.append([event(2 * round + 1)])
        #expect(try await stream.next()?.revision == Int64(2 * round + 1))
      }
    }
  }

  @Test func aTailBeginsWhereItIsTold() async throws {
    try await withAudit { audit in
      try await audit.append((0..<3).map { event($0) })
      try await audit.append((3..<6).map { event($0) })
      let second = try await audit.list("acme", .init(pageSize: 1)).events.first?.recordTime
      let stream = try await audit.tail("acme", .init(since: second))
      for revision in 3..<6 { #expect(try await stream.next()?.revision == Int64(revision)) }
      try await audit.append([event(6)])
      #expect(try await stream.next()?.revision == 6)
    }
  }

  @Test func aTailHasFilters() async throws {
    try await withAudit { audit in
      let since = GoogleProtobuf.Timestamp(seconds: 0, nanos: 0)
      let store = try await audit.tail("acme", .init(store: "demo", since: since))
      let action = try await audit.tail("acme", .init(action: "login", since: since))
      let actor = try await audit.tail("acme", .init(actor: "bert", since: since))
      try await audit.append([
        event(1), event(2, store: "s", name: "demo"), event(3, action: "login"),
        event(4, actor: "bert"),
      ])
      #expect(try await store.next()?.revision == 2)
      #expect(try await action.next()?.revision == 3)
      #expect(try await actor.next()?.revision == 4)
    }
  }

  @Test func badFieldsAreNamed() async throws {
    try await withAudit { audit in
      let long = String(repeating: "x", count: AuditLimits.textBytesMax + 1)
      let request = AuditV1.TailEventsRequest(
        store: long, action: long, actor: long, since: .init(seconds: .max, nanos: 0))
      let error = await rpcError { _ = try await audit.tail("acme", request).next() }
      #expect(error?.fieldViolations.map(\.field) == ["store", "action", "actor", "since"])
    }
  }

  @Test func tailsAreLimited() async throws {
    var limits = AuditLimits()
    limits.tailsMax = 3
    limits.tailsPerTenantMax = 2
    try await withAudit(limits: limits) { audit in
      var tails = [try await audit.tail("acme"), try await audit.tail("acme")]
      try await audit.waitForTails(2)
      let third = await rpcError { _ = try await audit.tail("acme").next() }
      #expect(third?.code == .resourceExhausted)
      #expect(third?.errorInfo?.metadata == ["limit": "tailsPerTenantMax"])
      tails.append(try await audit.tail("other"))
      try await audit.waitForTails(3)
      let fourth = await rpcError { _ = try await audit.tail("third").next() }
      #expect(fourth?.errorInfo?.metadata == ["limit": "tailsMax"])
      // One that ends makes room.
      tails[0].cancel()
      try await audit.waitForTails(2)
      tails.append(try await audit.tail("third"))
      try await audit.waitForTails(3)
    }
  }

  @Test func tailsEndWhenTheServiceStops() async throws {
    try await withAudit { audit in
      let stream = try await audit.tail("acme")
      try await audit.waitForTails(1)
      audit.hub.stop()
      let error = await rpcError { _ = try await stream.next() }
      #expect(error?.code == .unavailable)
      try await audit.waitForTails(0)
    }
  }

  /// Adds an event in a transaction that stays open.
  private static func record(
    _ event: AuditV1.Event, in transaction: PostgresTransaction
  ) async throws {
    try await transaction.query(
      """
      SELECT append_events(
        ARRAY[$1::uuid], ARRAY[$2], ARRAY[''], ARRAY[''], ARRAY[$3], ARRAY['a'], ARRAY[''],
        ARRAY[''], ARRAY[now()], ARRAY[1::bigint], ARRAY['anna'], ARRAY[''], ARRAY[''], ARRAY[''],
        ARRAY['provisioner'], ARRAY[''], ARRAY[NULL::jsonb])
      """, [.text(event.id), .text(event.tenant), .int8(event.revision)])
  }
}
