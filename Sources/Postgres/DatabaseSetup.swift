import Glibc
package import Logging
package import Reactor

/// How a service logs in, one URL for each of its roles.
package struct ServiceDatabase: Sendable, Equatable {
  /// Owns the schema; migrations only.
  package let owner: DatabaseURL
  /// Serves requests; row-level security holds for it.
  package let application: DatabaseURL
  /// Works across tenants by the functions granted to it.
  package let worker: DatabaseURL

  package init(owner: DatabaseURL, application: DatabaseURL, worker: DatabaseURL) {
    self.owner = owner
    self.application = application
    self.worker = worker
  }
}

/// Creates a service's schema and roles, with the rights of an administrator; can be run again.
package struct DatabaseSetup {
  package var logger: Logger
  /// The longest for the whole of one service.
  package var timeout: Duration = .seconds(30)

  package init(logger: Logger) { self.logger = logger }

  /// Makes schema `service` and the roles `<service>_owner`, `_app` and `_worker`, or mends them.
  ///
  /// - Parameters:
  ///   - service: lower-case letters, digits and underscores.
  ///   - admin: a superuser, or a role that may create roles and, on this database, schemas.
  ///   - present: URLs of an earlier run. They are returned where all three still work; otherwise
  ///     the roles get new random passwords.
  package func prepare(
    service: String, admin: DatabaseURL, present: ServiceDatabase? = nil, on reactor: Reactor,
    blocking: BlockingPool
  ) async throws(PostgresError) -> ServiceDatabase {
    guard service.wholeMatch(of: /[a-z][a-z0-9_]{0,47}/) != nil else {
      throw PostgresError(
        .misuse,
        "service '\(service)': use up to 48 lower-case letters, digits and underscores")
    }
    let configuration = try PostgresConfiguration(url: admin.revealed)
    let connection = try await PostgresConnection.connect(
      configuration, on: reactor, blocking: blocking, logger: logger)
    defer { connection.close() }
    let deadline = Instant.now() + timeout
    let kept = try await working(present, on: reactor, blocking: blocking)
    let urls = ServiceRole.allCases.map { role in
      configuration.url(user: role.name(service), password: randomPassword())
    }
    let script = try await self.script(service, kept == nil ? urls : nil, connection, deadline)
    try await connection.script(script, deadline: deadline)
    return kept ?? ServiceDatabase(owner: urls[0], application: urls[1], worker: urls[2])
  }

  private enum ServiceRole: CaseIterable {
    case owner
    case application
    case worker

    func name(_ service: String) -> String {
      switch self {
      case .owner: service + "_owner"
      case .application: service + "_app"
      case .worker: service + "_worker"
      }
    }
  }

  /// `present` if all its URLs still let in.
  private func working(
    _ present: ServiceDatabase?, on reactor: Reactor, blocking: BlockingPool
  ) async throws(PostgresError) -> ServiceDatabase? {
    guard let present else { return nil }
    for url in [present.owner, present.application, present.worker] {
      do throws(PostgresError) {
        try await PostgresConnection.connect(
          PostgresConfiguration(url: url.revealed), on: reactor, blocking: blocking, logger: logger
        ).close()
      } catch {
        logger.info("new database passwords are made, as the present ones do not let in: \(error)")
        return nil
      }
    }
    return present
  }

  // MARK: The script, one transaction

  private func script(
    _ service: String, _ urls: [DatabaseURL]?, _ connection: PostgresConnection,
    _ deadline: Instant
  ) async throws(PostgresError) -> String {
    let row = try await connection.query(
      """
      SELECT current_database()::text AS database, current_setting('is_superuser') = 'on' AS super
      """, deadline: deadline)[0]
    let database = try SQL.identifier(row.decode("database"))
    let isSuperuser = try row.decode("super", as: Bool.self)
    let owner = ServiceRole.owner.name(service)
    var lines = [
      "BEGIN",
      // Two set-ups at once, also of two services: roles and the database are common to them.
      "SELECT pg_advisory_xact_lock(hashtextextended('storeplane-setup', 0))",
    ]
    for (index, role) in ServiceRole.allCases.enumerated() {
      lines += try roleStatements(role.name(service), urls?[index], connection)
    }
    // Making something for another role takes membership, unless one is a superuser.
    if !isSuperuser { lines.append("GRANT \(owner) TO CURRENT_USER") }
    lines += schemaStatements(service, database: database)
    if !isSuperuser { lines.append("REVOKE \(owner) FROM CURRENT_USER") }
    return (lines + ["COMMIT"]).joined(separator: ";\n")
  }

  private func roleStatements(
    _ role: String, _ url: DatabaseURL?, _ connection: PostgresConnection
  ) throws(PostgresError) -> [String] {
    var lines = [
      """
      DO $do$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '\(role)') THEN
          CREATE ROLE \(role) LOGIN NOINHERIT;
        END IF;
      END $do$
      """
    ]
    if let url, let password = try PostgresConfiguration(url: url.revealed).password {
      // The server sees, and may log, the SCRAM verifier only.
      let verifier = try connection.encryptedPassword(password, user: role)
      lines.append("ALTER ROLE \(role) PASSWORD \(SQL.literal(verifier))")
    }
    // Only a superuser may change some of these, even to what they are: change what differs.
    lines.append(
      """
      DO $do$ BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = '\(role)' AND (rolsuper OR rolbypassrls
            OR rolcreaterole OR rolcreatedb OR rolreplication OR rolinherit OR NOT rolcanlogin)) THEN
          ALTER ROLE \(role) LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB
            NOREPLICATION;
        END IF;
      END $do$
      """)
    return lines
  }

  private func schemaStatements(_ service: String, database: String) -> [String] {
    let roles = ServiceRole.allCases.map { $0.name(service) }
    let owner = roles[0]
    var lines = [
      "CREATE SCHEMA IF NOT EXISTS \(service) AUTHORIZATION \(owner)",
      "REVOKE ALL ON SCHEMA \(service) FROM PUBLIC",
      "GRANT USAGE ON SCHEMA \(service) TO \(roles[1]), \(roles[2])",
      "GRANT CONNECT ON DATABASE \(database) TO \(roles.joined(separator: ", "))",
      // Nothing is common: neither the database and its temporary tables nor the schema `public`.
      "REVOKE ALL ON DATABASE \(database) FROM PUBLIC",
      "REVOKE ALL ON SCHEMA public FROM PUBLIC",
      "ALTER DEFAULT PRIVILEGES FOR ROLE \(owner) REVOKE EXECUTE ON ROUTINES FROM PUBLIC",
      "ALTER DEFAULT PRIVILEGES FOR ROLE \(owner) REVOKE USAGE ON TYPES FROM PUBLIC",
      """
      ALTER DEFAULT PRIVILEGES FOR ROLE \(owner) IN SCHEMA \(service)
        GRANT USAGE ON TYPES TO \(roles[1]), \(roles[2])
      """,
    ]
    for role in roles {
      lines.append(
        "ALTER ROLE \(role) IN DATABASE \(database) SET search_path = \(service), pg_temp")
    }
    return lines
  }

  /// 192 random bits in letters that need no escape.
  private func randomPassword() -> String {
    let letters = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_".utf8)
    var source = SystemRandomNumberGenerator()
    return String(
      decoding: (0..<32).map { _ in letters[Int(source.next() as UInt64 % 64)] }, as: UTF8.self)
  }
}
