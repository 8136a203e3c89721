package import Logging
package import Reactor

/// Brings a service's schema up to date, once however many replicas try at the same time.
package struct Migrator {
  package var logger: Logger
  /// How long a replica waits for another one that migrates.
  package var turnTimeout: Duration = .seconds(120)
  /// How long a statement of a migration waits for a lock that a transaction of the service holds:
  /// while it waits, it holds up every later one.
  package var lockTimeout: Duration = .seconds(5)
  /// How long one migration may take.
  package var migrationTimeout: Duration = .seconds(600)

  package init(logger: Logger) { self.logger = logger }

  private struct Applied {
    let version: Int
    let name: String
    let checksum: [UInt8]
  }

  /// Applies the migrations that are not applied yet, in order.
  ///
  /// Applied migrations that are newer than all of `migrations` are left alone: an older replica
  /// starts while a newer one is rolled out.
  ///
  /// - Parameter owner: logs in as the schema's owner, `<service>_owner`.
  /// - Returns: the names of those applied now.
  /// - Throws: `misuse` where an applied migration was changed, is gone, or one was added before it.
  @discardableResult
  package func run(
    _ migrations: [Migration], owner: DatabaseURL, on reactor: Reactor, blocking: BlockingPool
  ) async throws(PostgresError) -> [String] {
    let migrations = migrations.sorted { $0.version < $1.version }
    for (left, right) in zip(migrations, migrations.dropFirst()) where left.version == right.version
    {
      throw PostgresError(.misuse, "two migrations have one number: \(left.name), \(right.name)")
    }
    var configuration = try PostgresConfiguration(url: owner.revealed)
    configuration.applicationName = "storeplane-migrator"
    configuration.statementTimeout = max(migrationTimeout, turnTimeout)
    let connection = try await PostgresConnection.connect(
      configuration, on: reactor, blocking: blocking, logger: logger)
    // Closing ends the session and with it the lock.
    defer { connection.close() }
    try await takeTurn(connection)
    try await prepare(connection)
    return try await apply(migrations, connection)
  }

  // MARK: Turns

  private func takeTurn(_ connection: PostgresConnection) async throws(PostgresError) {
    let deadline = Instant.now() + turnTimeout
    do {
      try await connection.query(
        """
        SELECT pg_advisory_lock(hashtextextended('storeplane-migrations:' || current_schema(), 0))
        """, deadline: deadline)
    } catch  where error.kind == .deadlineExceeded {
      throw PostgresError(
        .deadlineExceeded,
        "another replica has been migrating for longer than \(turnTimeout) (turnTimeout): see "
          + "pg_stat_activity for what it waits for")
    }
  }

  private func prepare(_ connection: PostgresConnection) async throws(PostgresError) {
    let deadline = Instant.now() + migrationTimeout
    let row = try await connection.query(
      "SELECT current_schema() AS schema, current_user::text AS owner", deadline: deadline)[0]
    let owner = try row.decode("owner", as: String.self)
    guard let schema = try row.decode("schema", as: String?.self), schema + "_owner" == owner else {
      throw PostgresError(
        .misuse,
        "migrations run as the owner role of a service's schema; '\(owner)' is none: "
          + "set the database up first")
    }
    try await connection.script("BEGIN;" + tenantFunctions(schema) + "COMMIT", deadline: deadline)
  }

  // MARK: Migrations

  private func apply(
    _ migrations: [Migration], _ connection: PostgresConnection
  ) async throws(PostgresError) -> [String] {
    let applied = try await self.applied(connection)
    try await check(migrations, against: applied, connection)
    let last = applied.last?.version ?? 0
    var names: [String] = []
    for migration in migrations where migration.version > last {
      try await apply(migration, connection)
      names.append(migration.name)
      logger.info("applied migration \(migration.name)")
    }
    return names
  }

  private func applied(_ connection: PostgresConnection) async throws(PostgresError) -> [Applied] {
    let rows = try await connection.query(
      "SELECT version, name, checksum FROM schema_migrations ORDER BY version",
      deadline: .now() + migrationTimeout)
    var applied: [Applied] = []
    for row in rows {
      applied.append(
        Applied(
          version: try row.decode("version"), name: try row.decode("name"),
          checksum: try row.decode("checksum")))
    }
    return applied
  }

  private func check(
    _ migrations: [Migration], against applied: [Applied], _ connection: PostgresConnection
  ) async throws(PostgresError) {
    let known = Dictionary(uniqueKeysWithValues: migrations.map { ($0.version, $0) })
    let newest = migrations.last?.version ?? 0
    for past in applied where past.version <= newest {
      guard let migration = known[past.version] else {
        throw PostgresError(
          .misuse, "migration \(past.name) is applied but is not in this program: restore its file")
      }
      guard try await checksum(migration, connection) == past.checksum else {
        throw PostgresError(
          .misuse,
          "migration \(migration.name) was changed after it had been applied: restore the file and "
            + "make the change in a new migration")
      }
    }
    let done = Set(applied.map(\.version))
    let last = applied.last?.version ?? 0
    for migration in migrations where migration.version < last && !done.contains(migration.version)
    {
      throw PostgresError(
        .misuse,
        "migration \(migration.name) was added before \(applied.last?.name ?? ""), which is applied "
          + "already: give it a later number")
    }
  }

  private func checksum(
    _ migration: Migration, _ connection: PostgresConnection
  ) async throws(PostgresError) -> [UInt8] {
    try await connection.query(
      "SELECT sha256($1)", [.bytea(Array(migration.script.utf8))],
      deadline: .now() + migrationTimeout)[0].decode(0)
  }

  private func apply(
    _ migration: Migration, _ connection: PostgresConnection
  ) async throws(PostgresError) {
    let deadline = Instant.now() + migrationTimeout
    do throws(PostgresError) {
      try await connection.pipeline(deadline: deadline) { pipeline in
        pipeline.query("BEGIN")
        pipeline.query(
          "SELECT set_config('lock_timeout', $1, true)",
          [.text("\(lockTimeout.components.seconds)s")])
      }
      try await connection.script(migration.script, deadline: deadline)
      if connection.transactionState != .open {
        throw PostgresError(.misuse, "it ends its own transaction: remove COMMIT and ROLLBACK")
      }
      let results = try await connection.pipeline(deadline: deadline) { pipeline in
        pipeline.query(
          "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, sha256($3))",
          [
            .int8(Int64(migration.version)), .text(migration.name),
            .bytea(Array(migration.script.utf8)),
          ])
        pipeline.query("COMMIT")
      }
      if results[1].commandTag != "COMMIT" {
        throw PostgresError(.misuse, "its transaction was rolled back")
      }
    } catch {
      throw failed(migration, error)
    }
  }

  private func failed(_ migration: Migration, _ error: PostgresError) -> PostgresError {
    var text = "migration \(migration.name): \(error.message)"
    if error.sqlState == .lockNotAvailable {
      text += "; a transaction holds a lock for longer than \(lockTimeout) (lockTimeout): try again"
    }
    var failure = PostgresError(error.kind, text)
    failure.sqlState = error.sqlState
    failure.table = error.table
    failure.constraint = error.constraint
    return failure
  }

  /// What every schema has: the table of applied migrations and the helper of the migrations.
  private func tenantFunctions(_ schema: String) -> String {
    """
    CREATE TABLE IF NOT EXISTS schema_migrations (
      version int PRIMARY KEY,
      name text NOT NULL,
      checksum bytea NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE OR REPLACE FUNCTION protect_tenant_rows(
      protected regclass, tenant_column name DEFAULT 'tenant'
    ) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
    DECLARE
      condition text;
    BEGIN
      -- An empty setting is what a transaction leaves behind on its connection: no tenant.
      SELECT format(
          '%I = nullif(current_setting(''storeplane.tenant'', true), '''')::%s',
          attname, format_type(atttypid, atttypmod))
        INTO STRICT condition
        FROM pg_attribute
        WHERE attrelid = protected AND attname = tenant_column AND NOT attisdropped;
      EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', protected);
      EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', protected);
      EXECUTE format(
        'CREATE POLICY tenant ON %s USING (%s) WITH CHECK (%s)', protected, condition, condition);
      EXECUTE format(
        'CREATE POLICY owner ON %s TO %I USING (true) WITH CHECK (true)',
        protected, current_schema() || '_owner');
    END
    $function$;
    """
  }
}
