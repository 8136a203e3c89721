import Postgres
import Reactor

/// Reads the events of one tenant.
struct EventHistory {
  /// As the application role.
  let pool: PostgresPool

  /// A page of events in order.
  ///
  /// - Parameter key: of the last event of the page before.
  func list(
    tenant: String, filter: EventFilter, order: EventOrder, after key: EventKey?, limit: Int,
    deadline: Instant
  ) async throws(PostgresError) -> [StoredEvent] {
    var query = EventQuery(tenant: tenant, filter: filter)
    query.inOrder(order, after: key, ofStore: filter.store != nil)
    return try await run(&query, tenant, limit, deadline).map(\.stored)
  }

  /// Runs `query`; with each event comes what the query selects beside it, as text.
  func run(
    _ query: inout EventQuery, _ tenant: String, _ limit: Int, _ deadline: Instant
  ) async throws(PostgresError) -> [(stored: StoredEvent, row: PostgresRow)] {
    let statement = query.statement(limit: limit)
    let rows = try await pool.query(
      scope: .tenant(tenant), statement, query.parameters, deadline: deadline)
    return try Self.events(rows)
  }

  /// As `run`, with a snapshot that was taken before: the query saw all that is visible in it.
  func runAfterSnapshot(
    _ query: inout EventQuery, _ tenant: String, _ limit: Int, _ deadline: Instant
  ) async throws(PostgresError) -> (
    snapshot: String, events: [(stored: StoredEvent, row: PostgresRow)]
  ) {
    let statement = query.statement(limit: limit)
    let parameters = query.parameters
    let results = try await pool.pipeline(scope: .tenant(tenant), deadline: deadline) { pipeline in
      pipeline.query(Self.snapshotStatement)
      pipeline.query(statement, parameters)
    }
    return (try results[0][0].decode(0), try Self.events(results[1]))
  }

  /// What a transaction that began now would see.
  func snapshot(tenant: String, deadline: Instant) async throws(PostgresError) -> String {
    try await pool.query(
      scope: .tenant(tenant), Self.snapshotStatement, deadline: deadline)[0].decode(0)
  }

  private static let snapshotStatement = "SELECT pg_current_snapshot()::text"

  private static func events(
    _ rows: PostgresRows
  ) throws(PostgresError) -> [(stored: StoredEvent, row: PostgresRow)] {
    var events: [(stored: StoredEvent, row: PostgresRow)] = []
    events.reserveCapacity(rows.count)
    for row in rows { events.append((try StoredEvent(row), row)) }
    return events
  }
}
