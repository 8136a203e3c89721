package import Postgres
package import Reactor

/// The people who may sign in, in the database. Goes across tenants, by the worker role's functions.
package struct UserStore {
  package let pool: PostgresPool

  /// - Parameter pool: of the worker role.
  package init(pool: PostgresPool) { self.pool = pool }

  /// A user with the hash of its password.
  package struct Credentials: Sendable {
    package let user: User
    package let passwordHash: String
  }

  package func credentials(
    of username: Username, deadline: Instant
  ) async throws(PostgresError) -> Credentials? {
    let rows = try await pool.query(
      scope: .worker,
      "SELECT id, username, display_name, tenant, roles, password_hash FROM user_named($1)",
      [.text(username.text)], deadline: deadline)
    guard let row = rows.first else { return nil }
    return Credentials(user: try Self.user(row), passwordHash: try row.decode("password_hash"))
  }

  /// - Parameter id: nil is returned for what is no UUID, too.
  package func user(id: String, deadline: Instant) async throws(PostgresError) -> User? {
    guard let id = PostgresUUID(id) else { return nil }
    let rows = try await pool.query(
      scope: .worker,
      "SELECT id, username, display_name, tenant, roles FROM user_with_id($1)", [.uuid(id)],
      deadline: deadline)
    return try rows.first.map { row throws(PostgresError) in try Self.user(row) }
  }

  /// Adds a user; false where there is one of that name, which stays as it is.
  package func create(
    _ username: Username, displayName: String, tenant: String?, roles: [UserRole],
    passwordHash: String, deadline: Instant
  ) async throws(PostgresError) -> Bool {
    let rows = try await pool.query(
      scope: .worker, "SELECT create_user($1, $2, $3, $4, $5, $6) AS created",
      [
        .uuid(.random()), .text(username.text), .text(passwordHash), .text(displayName),
        .text(tenant), .textArray(roles.map(\.rawValue)),
      ], deadline: deadline)
    return try rows[0].decode("created")
  }

  static func user(_ row: PostgresRow) throws(PostgresError) -> User {
    let roles = try row.decode("roles", as: [String].self)
    return User(
      id: try row.decode("id", as: PostgresUUID.self).description,
      username: try row.decode("username"), displayName: try row.decode("display_name"),
      tenant: try row.decode("tenant"), roles: roles.compactMap(UserRole.init(rawValue:)))
  }
}
