import Postgres
import Reactor
import Resilience

/// How much waits in an outbox.
struct OutboxBacklog {
  let pending: Int64
  let rejected: Int64
  let oldestSeconds: Int64
}

/// The outbox of one schema, by the functions of its worker role.
struct OutboxStore {
  let pool: PostgresPool
  let configuration: OutboxDeliveryConfiguration

  func claim() async throws(PostgresError) -> [OutboxRow] {
    let rows = try await query(
      """
      SELECT event, event_payload, event_attempts
      FROM claim_outbox($1::int, make_interval(secs => $2))
      """, [.int8(Int64(configuration.batchEventsMax)), .float8(configuration.lease.seconds)])
    var claimed: [OutboxRow] = []
    claimed.reserveCapacity(rows.count)
    for row in rows {
      claimed.append(
        OutboxRow(id: try row.decode(0), payload: try row.decode(1), attempts: try row.decode(2)))
    }
    return claimed
  }

  /// Marks a batch, in one transaction; what was not settled is free again after `delay`.
  func settle(_ outcome: OutboxOutcome, delay: Duration) async throws(PostgresError) {
    let returned = outcome.returned
    try await pool.pipeline(scope: .worker, deadline: deadline) { pipeline in
      if !outcome.delivered.isEmpty {
        pipeline.query("SELECT mark_outbox_delivered($1)", [.uuidArray(outcome.delivered)])
      }
      if !outcome.rejected.isEmpty {
        pipeline.query(
          "SELECT mark_outbox_rejected($1, $2)",
          [
            .uuidArray(outcome.rejected.map(\.id)),
            .textArray(outcome.rejected.map { $0.reason.replacing("\0", with: "") }),
          ])
      }
      let released = [(returned, delay), (outcome.suspects, configuration.suspectDelay)]
      for (events, delay) in released where !events.isEmpty {
        pipeline.query(
          "SELECT release_outbox($1, make_interval(secs => $2))",
          [.uuidArray(events), .float8(delay.seconds)])
      }
    }
  }

  func purge() async throws(PostgresError) -> Int {
    try await query(
      "SELECT purge_outbox(make_interval(secs => $1), $2::int)",
      [.float8(configuration.retention.seconds), .int8(Int64(configuration.purgeEventsMax))]
    )[0].decode(0)
  }

  func backlog() async throws(PostgresError) -> OutboxBacklog {
    let row = try await query(
      """
      SELECT pending, rejected,
        coalesce(extract(epoch FROM clock_timestamp() - oldest), 0)::int8 AS age
      FROM outbox_backlog()
      """, [])[0]
    return OutboxBacklog(
      pending: try row.decode("pending"), rejected: try row.decode("rejected"),
      oldestSeconds: try row.decode("age"))
  }

  private var deadline: Instant { .now() + configuration.databaseTimeout }

  private func query(
    _ sql: String, _ parameters: [PostgresParameter]
  ) async throws(PostgresError) -> PostgresRows {
    try await pool.query(scope: .worker, sql, parameters, deadline: deadline)
  }
}
