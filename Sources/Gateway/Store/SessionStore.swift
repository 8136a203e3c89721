package import Contracts
package import Postgres
package import Reactor
import ServiceRuntime

/// Logins and their refresh tokens, in the database. Tokens are known by their SHA-256 alone.
///
/// Whose a token is shows only in the database, so that looking it up goes across tenants. What is
/// then done is done in the scope of the user's tenant, in one transaction with the audit event that
/// tells of it. An administrator without a tenant has no audit trail to write to.
package struct SessionStore {
  /// How long a refresh token can be exchanged.
  package static let refreshLifetimeSeconds = 30 * 86_400
  /// Sessions of one user; the oldest make room for new ones.
  package static let sessionsPerUserMax = 50
  /// Exchanges of a session's refresh token within an hour. An access token lives for a quarter of one,
  /// and each exchange leaves a row for as long as a refresh token lives.
  package static let rotationsPerHourMax = 30

  private let application: PostgresPool
  private let worker: PostgresPool
  private let outbox = OutboxWriter()

  package init(application: PostgresPool, worker: PostgresPool) {
    self.application = application
    self.worker = worker
  }

  /// What became of a refresh token that was presented.
  package enum Rotation: Equatable, Sendable {
    /// It is used up, and the new one works until `expiry`.
    case rotated(session: String, user: User, expiry: PostgresTimestamp)
    case unknown
    case expired(at: PostgresTimestamp)
    /// Its session was ended before.
    case ended
    /// Its session has had too many within the hour; the token can be exchanged later.
    case limited(retryAfter: Duration)
    /// It had been used before: its session is to be ended.
    case reused(session: String, user: User)
  }

  /// - Returns: when the token expires.
  package func begin(
    session: PostgresUUID, user: User, tokenHash: [UInt8], event: AuditV1.Event?,
    deadline: Instant
  ) async throws -> PostgresTimestamp {
    try await withTransaction(for: user, event, deadline: deadline) { transaction in
      let rows = try await transaction.query(
        "SELECT begin_session($1, $2, $3, make_interval(secs => $4), $5::int) AS expiry",
        [
          .uuid(session), .uuid(PostgresUUID(user.id)), .bytea(tokenHash),
          .float8(Double(Self.refreshLifetimeSeconds)), .int8(Int64(Self.sessionsPerUserMax)),
        ])
      return try rows[0].decode("expiry")
    }
  }

  /// Exchanges the token `old` for `new`, and reads whose they are: in one statement, since a token
  /// that is used up without an answer is lost, and its session with it.
  package func rotate(
    old: [UInt8], new: [UInt8], deadline: Instant
  ) async throws(PostgresError) -> Rotation {
    let rows = try await worker.query(
      scope: .worker,
      """
      SELECT outcome, session_id, expiry, retry_seconds,
        id, username, display_name, tenant, roles
      FROM rotate_refresh_token($1, $2, make_interval(secs => $3), $4::int)
        LEFT JOIN LATERAL user_with_id(owner_id) ON true
      """,
      [
        .bytea(old), .bytea(new), .float8(Double(Self.refreshLifetimeSeconds)),
        .int8(Int64(Self.rotationsPerHourMax)),
      ], deadline: deadline)
    return try Self.rotation(rows[0])
  }

  private static func rotation(_ row: PostgresRow) throws(PostgresError) -> Rotation {
    let outcome = try row.decode("outcome", as: String.self)
    if outcome == "unknown" { return .unknown }
    let session = try row.decode("session_id", as: PostgresUUID.self).description
    let user = try UserStore.user(row)
    let expiry = try row.decode("expiry", as: PostgresTimestamp.self)
    switch outcome {
    case "rotated": return .rotated(session: session, user: user, expiry: expiry)
    case "expired": return .expired(at: expiry)
    case "reused": return .reused(session: session, user: user)
    case "ended": return .ended
    case "limited":
      return .limited(retryAfter: .seconds(try row.decode("retry_seconds", as: Int64.self)))
    default: throw PostgresError(.badValue, "rotate_refresh_token has another outcome: \(outcome)")
    }
  }

  /// Ends a session for good.
  package func end(
    session: String, of user: User, reason: String, event: AuditV1.Event?, deadline: Instant
  ) async throws {
    _ = try await withTransaction(for: user, event, deadline: deadline) { transaction in
      try await transaction.query(
        "SELECT end_session($1, $2)", [.uuid(PostgresUUID(session)), .text(reason)])
    }
  }

  /// Forgets sessions that have expired, at most `count`; says how many.
  package func purge(count: Int, deadline: Instant) async throws(PostgresError) -> Int {
    let rows = try await worker.query(
      scope: .worker, "SELECT purge_sessions($1::int) AS purged", [.int8(Int64(count))],
      deadline: deadline)
    return try rows[0].decode("purged")
  }

  private func withTransaction<R>(
    for user: User, _ event: AuditV1.Event?, deadline: Instant,
    _ body: (PostgresTransaction) async throws -> R
  ) async throws -> R {
    guard let tenant = user.tenant else {
      return try await worker.withTransaction(scope: .worker, deadline: deadline, body)
    }
    return try await application.withTransaction(scope: .tenant(tenant), deadline: deadline) {
      transaction in
      let result = try await body(transaction)
      if let event { try await outbox.append(event, in: transaction) }
      return result
    }
  }
}
