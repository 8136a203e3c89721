import Contracts
import Postgres
import Reactor

/// An event that was found good.
struct NewEvent {
  let id: PostgresUUID
  let event: AuditV1.Event
  /// In microseconds since 1970.
  let occurred: Int64
  /// JSON.
  let details: String?
}

/// Adds events to the history, across tenants.
struct EventAppend {
  /// As the worker role.
  let pool: PostgresPool
  /// Two batches with the same events in different orders wait for each other: the loser runs again.
  private static let attemptsMax = 3

  /// Records those that are new, all or none, in one round trip.
  ///
  /// - Returns: the ids of the new ones.
  func append(
    _ events: [NewEvent], deadline: Instant
  ) async throws(PostgresError) -> Set<PostgresUUID> {
    if events.isEmpty { return [] }
    let parameters = EventAppend.parameters(events)
    var attempt = 1
    while true {
      do throws(PostgresError) {
        let rows = try await pool.query(
          scope: .worker, EventAppend.statement, parameters, deadline: deadline)
        var recorded: Set<PostgresUUID> = []
        for row in rows { recorded.insert(try row.decode(0)) }
        return recorded
      } catch {
        attempt += 1
        guard error.sqlState?.isConcurrencyFailure ?? false, attempt <= EventAppend.attemptsMax
        else { throw error }
      }
    }
  }

  private static let statement =
    """
    SELECT append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
    """

  /// A column an array: the statement is the same for any number of events.
  private static func parameters(_ events: [NewEvent]) -> [PostgresParameter] {
    func texts(_ field: (AuditV1.Event) -> String) -> PostgresParameter {
      .textArray(events.map { field($0.event) })
    }
    return [
      .uuidArray(events.map(\.id)),
      texts(\.tenant),
      texts(\.store),
      texts(\.storeName),
      .int8Array(events.map(\.event.revision)),
      texts(\.action),
      texts(\.previousState),
      texts(\.newState),
      .timestampArray(events.map { PostgresTimestamp(microseconds: $0.occurred) }),
      .int8Array(events.map { Int64($0.event.actor?.kind.rawValue ?? 0) }),
      texts { $0.actor?.id ?? "" },
      texts { $0.actor?.address ?? "" },
      texts(\.requestID),
      texts(\.traceID),
      texts(\.service),
      texts(\.operation),
      .jsonbArray(events.map(\.details)),
    ]
  }
}
