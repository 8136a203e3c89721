package import Postgres
package import Reactor
import Resilience

/// The token buckets that all replicas share, in the database.
package struct RateBucketStore {
  package let pool: PostgresPool

  /// - Parameter pool: of the application role.
  package init(pool: PostgresPool) { self.pool = pool }

  /// Takes what was spent out of the shared buckets; they may go into debt by as much as they hold.
  ///
  /// - Parameter spent: sorted by key, so that two replicas do not lock each other out.
  /// - Returns: the tokens left for each.
  package func settle(
    _ policy: RateLimitPolicy, _ spent: [(key: String, spent: Int64)], deadline: Instant
  ) async throws(PostgresError) -> [(key: String, credit: Double)] {
    let capacity = Double(policy.limit)
    let rows = try await pool.query(
      scope: .none,
      """
      INSERT INTO rate_buckets AS bucket (policy, key, credit, updated_at)
      SELECT $1, key, $4 - spent, clock_timestamp()
      FROM unnest($2::text[], $3::int8[]) AS news (key, spent)
      ON CONFLICT (policy, key) DO UPDATE SET
        credit = greatest(-$4, least($4, bucket.credit
          + extract(epoch FROM EXCLUDED.updated_at - bucket.updated_at)::float8 * $5)
          + EXCLUDED.credit - $4),
        updated_at = EXCLUDED.updated_at
      RETURNING key, credit
      """,
      [
        .text(policy.name), .textArray(spent.map(\.key)), .int8Array(spent.map(\.spent)),
        .float8(capacity), .float8(capacity / policy.rate.period.seconds),
      ], deadline: deadline)
    return try rows.map { row throws(PostgresError) in
      (try row.decode("key"), try row.decode("credit"))
    }
  }

  /// Forgets buckets that are full again, at most `count`; says how many.
  package func purge(
    olderThan age: Duration, count: Int, deadline: Instant
  ) async throws(PostgresError) -> Int {
    try await pool.query(
      scope: .none,
      """
      DELETE FROM rate_buckets WHERE (policy, key) IN (
        SELECT policy, key FROM rate_buckets
        WHERE updated_at < clock_timestamp() - make_interval(secs => $1)
        ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED
      )
      """, [.float8(age.seconds), .int8(Int64(count))], deadline: deadline
    ).affectedRows
  }
}
