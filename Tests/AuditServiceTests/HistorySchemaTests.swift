import Contracts
import Postgres
import Reactor
import Testing

@testable import AuditService

@Suite(.timeLimit(.minutes(2))) struct HistorySchemaTests {
  private func refusal(
    _ pool: PostgresPool, _ scope: PostgresScope, _ sql: String
  ) async -> PostgresError? {
    do {
      try await pool.query(scope: scope, sql, deadline: .soon)
      return nil
    } catch {
      return error
    }
  }

  @Test func theRoleOfRequestsReadsAndNothingElse() async throws {
    try await withAudit { audit in
      try await audit.append([event()])
      let id = PostgresUUID.random()
      for sql in [
        "UPDATE events SET action = 'x'", "DELETE FROM events", "TRUNCATE events",
        "INSERT INTO events (id) VALUES ('\(id)')", "DROP TABLE events",
        "ALTER TABLE events DISABLE TRIGGER append_only",
        "ALTER TABLE events NO FORCE ROW LEVEL SECURITY",
      ] {
        let error = await refusal(audit.application, .tenant("acme"), sql)
        #expect(error?.sqlState == .insufficientPrivilege, "\(sql)")
      }
      #expect(try await audit.list("acme").events.count == 1)
    }
  }

  @Test func notEvenTheOwnerChangesHistory() async throws {
    try await withAudit { audit in
      try await audit.append([event()])
      for sql in [
        "UPDATE events SET action = 'x'", "UPDATE events SET action = 'x' WHERE false",
        "DELETE FROM events", "TRUNCATE events",
      ] {
        let error = await refusal(audit.owner, .none, sql)
        #expect(error?.sqlState == .insufficientPrivilege, "\(sql)")
        #expect(error?.message.contains("never changed or removed") == true, "\(sql)")
      }
      #expect(try await audit.list("acme").events.count == 1)
    }
  }

  @Test func theRoleThatRecordsReadsNothing() async throws {
    try await withAudit { audit in
      try await audit.append([event()])
      for sql in ["SELECT * FROM events", "UPDATE events SET action = 'x'", "DELETE FROM events"] {
        let error = await refusal(audit.worker, .worker, sql)
        #expect(error?.sqlState == .insufficientPrivilege, "\(sql)")
      }
    }
  }

  @Test func aForgottenScopeSeesNothing() async throws {
    try await withAudit { audit in
      try await audit.append([event(), event(tenant: "other")])
      func count(_ scope: PostgresScope) async throws -> Int {
        try await audit.application.query(
          scope: scope, "SELECT count(*) FROM events", deadline: .soon)[0].decode(0)
      }
      #expect(try await count(.none) == 0)
      // Nor one that another transaction left behind on the connection.
      for _ in 0..<8 {
        #expect(try await count(.tenant("acme")) == 1)
        #expect(try await count(.none) == 0)
      }
    }
  }

  /// The condition of row-level security is checked first, unless another cannot leak: the indexes for
  /// tails and pages are of use only where the planner knows that of what their conditions call.
  @Test func everyReadHasAnIndex() async throws {
    try await withAudit { audit in
      for batch in 0..<20 {
        try await audit.append((0..<400).map { event(batch * 400 + $0, store: "s-\($0)") })
      }
      try await audit.owner.query(scope: .none, "ANALYZE events", deadline: .soon)
      let key = EventKey(recorded: 1, occurred: 1, revision: 1, position: 1)

      var tail = EventQuery(tenant: "acme", filter: EventFilter())
      let snapshot = try await audit.application.query(
        scope: .tenant("acme"), "SELECT pg_current_snapshot()::text", deadline: .soon
      )[0].decode(0, as: String.self)
      tail.invisible(in: snapshot, after: nil)
      #expect(try await plan(audit, &tail).contains("events_transaction"))

      var page = EventQuery(tenant: "acme", filter: EventFilter())
      page.inOrder(.oldestFirst, after: key, ofStore: false)
      #expect(try await plan(audit, &page).contains("events_recorded"))

      var store = EventQuery(tenant: "acme", filter: EventFilter(store: "s-3"))
      store.inOrder(.newestFirst, after: nil, ofStore: true)
      let plan = try await plan(audit, &store)
      #expect(plan.contains("events_store") && plan.contains("events_store_name"), "\(plan)")
    }
  }

  private func plan(_ audit: AuditPeers, _ query: inout EventQuery) async throws -> String {
    let statement = query.statement(limit: 50)
    let parameters = query.parameters
    let rows = try await audit.application.query(
      scope: .tenant("acme"), "EXPLAIN \(statement)", parameters, deadline: .soon)
    return try rows.map { try $0.decode(0, as: String.self) }.joined(separator: "\n")
  }
}
