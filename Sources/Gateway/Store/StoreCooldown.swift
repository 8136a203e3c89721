package import Postgres
package import Reactor
import Resilience

/// How long a tenant waits between two new stores. Exact, whichever replicas are asked: one row a
/// tenant, changed by one statement, by the database's clock.
package struct StoreCooldown {
  package let pool: PostgresPool
  package let duration: Duration

  /// - Parameter pool: of the application role.
  package init(pool: PostgresPool, duration: Duration) {
    self.pool = pool
    self.duration = duration
  }

  package enum Verdict: Equatable, Sendable {
    /// The creation counts, unless `cancel` takes it back.
    case reserved(Reservation)
    /// The last creation, asked for again.
    case repeated
    case denied(retryAfter: Duration)
  }

  package struct Reservation: Equatable, Sendable {
    let tenant: String
    let id: PostgresUUID
  }

  /// Lets a creation begin where none was within the cooldown; one that is under way counts.
  ///
  /// - Parameter requestID: names the creation, so that it can be repeated.
  package func reserve(
    tenant: String, requestID: String?, deadline: Instant
  ) async throws(PostgresError) -> Verdict {
    let reservation = PostgresUUID.random()
    let results = try await pool.pipeline(scope: .tenant(tenant), deadline: deadline) { pipeline in
      pipeline.query(
        """
        INSERT INTO store_cooldowns AS known (tenant, until, reservation, request_id)
        VALUES ($1, clock_timestamp() + make_interval(secs => $2), $3, $4)
        ON CONFLICT (tenant) DO UPDATE SET
          until = EXCLUDED.until, reservation = EXCLUDED.reservation,
          request_id = EXCLUDED.request_id
        WHERE known.until <= clock_timestamp()
        RETURNING tenant
        """, [.text(tenant), .float8(duration.seconds), .uuid(reservation), .text(requestID)])
      pipeline.query(
        """
        SELECT request_id,
          extract(epoch FROM until - clock_timestamp())::float8 AS seconds
        FROM store_cooldowns WHERE tenant = $1
        """, [.text(tenant)])
    }
    if !results[0].isEmpty { return .reserved(Reservation(tenant: tenant, id: reservation)) }
    guard let row = results[1].first else {
      throw PostgresError(.badValue, "the cooldown of a tenant is not to be seen")
    }
    if let requestID, try row.decode("request_id", as: String?.self) == requestID {
      return .repeated
    }
    return .denied(retryAfter: .seconds(max(0, try row.decode("seconds", as: Double.self))))
  }

  /// The creation was refused: it does not count.
  package func cancel(
    _ reservation: Reservation, deadline: Instant
  ) async throws(PostgresError) {
    try await pool.query(
      scope: .tenant(reservation.tenant),
      """
      UPDATE store_cooldowns SET until = clock_timestamp(), request_id = NULL
      WHERE tenant = $1 AND reservation = $2
      """, [.text(reservation.tenant), .uuid(reservation.id)], deadline: deadline)
  }
}
