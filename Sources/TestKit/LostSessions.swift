package import Postgres
package import Reactor

extension PostgresPool {
  /// Ends the sessions of this pool's role in its database, but for the one that asks for it, as when a
  /// server is moved; returns when they are gone.
  ///
  /// - Parameter statement: only those whose last statement is like this.
  package func endOtherSessions(
    running statement: String = "%", deadline: Instant
  ) async throws(PostgresError) {
    try await query(
      scope: .none,
      """
      SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
      WHERE usename = current_user AND datname = current_database() AND pid <> pg_backend_pid()
        AND query LIKE $1
      """, [.text(statement)], deadline: deadline)
  }
}
