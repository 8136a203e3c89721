import Postgres
import Reactor
import Synchronization
import TestKit
import Testing

@Suite struct SchemaTests {
  private static let blocking = BlockingPool()

  /// Roles are common to all databases of a server: each test has a service of its own.
  private static let services = Mutex(0)

  private func newService() -> String {
    SchemaTests.services.withLock { number in
      number += 1
      return "service\(number)"
    }
  }

  private func setUp(
    _ service: String, admin: String, present: ServiceDatabase? = nil
  ) async throws -> ServiceDatabase {
    try await onReactor { reactor in
      var setup = DatabaseSetup(logger: quiet)
      setup.timeout = .seconds(60)
      return try await setup.prepare(
        service: service, admin: DatabaseURL(admin), present: present, on: reactor,
        blocking: SchemaTests.blocking)
    }
  }

  @discardableResult
  private func migrate(
    _ owner: DatabaseURL, _ scripts: KeyValuePairs<String, String>,
    _ adjust: @Sendable (inout Migrator) -> Void = { _ in }
  ) async throws -> [String] {
    let migrations = try scripts.map { try Migration(file: $0, contents: Array($1.utf8)) }
    return try await onReactor { reactor in
      var migrator = Migrator(logger: quiet)
      adjust(&migrator)
      return try await migrator.run(
        migrations, owner: owner, on: reactor, blocking: SchemaTests.blocking)
    }
  }

  private func connected<R: Sendable>(
    _ url: DatabaseURL, _ body: @Sendable (PostgresConnection) async throws -> R
  ) async throws -> R {
    try await onReactor { reactor in
      let connection = try await PostgresConnection.connect(
        PostgresConfiguration(url: url.revealed), on: reactor, blocking: SchemaTests.blocking,
        logger: quiet)
      defer { connection.close() }
      return try await body(connection)
    }
  }

  private func refusal(_ url: DatabaseURL, _ sql: String) async throws -> SQLState? {
    try await connected(url) { connection in
      await failure { try await connection.query(sql, deadline: .soon) }?.sqlState
    }
  }

  // MARK: Roles

  @Test func noRoleReachesAnothersSchema() async throws {
    let admin = try ThrowawayPostgres.shared().createDatabase()
    let (mine, other) = (newService(), newService())
    let mineURLs = try await setUp(mine, admin: admin)
    let otherURLs = try await setUp(other, admin: admin)
    try await migrate(
      mineURLs.owner,
      ["v0001_init.sql": "CREATE TABLE t (n int); GRANT SELECT ON t TO \(mine)_app"])
    #expect(try await refusal(mineURLs.application, "SELECT * FROM t") == nil)
    #expect(try await refusal(mineURLs.application, "SELECT * FROM \(mine).t") == nil)
    for url in [otherURLs.owner, otherURLs.application, otherURLs.worker] {
      #expect(try await refusal(url, "SELECT * FROM \(mine).t") == .insufficientPrivilege)
      #expect(try await refusal(url, "CREATE TABLE \(mine).u (n int)") == .insufficientPrivilege)
      #expect(try await refusal(url, "CREATE TABLE public.u (n int)") == .insufficientPrivilege)
      #expect(try await refusal(url, "CREATE TEMPORARY TABLE u (n int)") == .insufficientPrivilege)
      #expect(try await refusal(url, "CREATE SCHEMA u") == .insufficientPrivilege)
      #expect(try await refusal(url, "SET ROLE \(mine)_owner") == .insufficientPrivilege)
    }
    for url in [mineURLs.application, mineURLs.worker] {
      #expect(try await refusal(url, "CREATE TABLE u (n int)") == .insufficientPrivilege)
      #expect(try await refusal(url, "SET ROLE \(mine)_owner") == .insufficientPrivilege)
      #expect(try await refusal(url, "DROP TABLE t") == .insufficientPrivilege)
      #expect(
        try await refusal(url, "DELETE FROM schema_migrations") == .insufficientPrivilege)
    }
    #expect(try await refusal(mineURLs.application, "DELETE FROM t") == .insufficientPrivilege)
    #expect(try await refusal(mineURLs.worker, "SELECT * FROM t") == .insufficientPrivilege)
  }

  @Test func settingUpTwiceKeepsWhatWorksAndMendsWhatDoesNot() async throws {
    let admin = try ThrowawayPostgres.shared().createDatabase()
    let service = newService()
    let first = try await setUp(service, admin: admin)
    #expect(try await setUp(service, admin: admin, present: first) == first)
    let second = try await setUp(service, admin: admin)
    #expect(second != first)
    let error = await failure { try await connected(first.application) { _ in } }
    #expect(error?.kind == .connectFailed)
    #expect(try await setUp(service, admin: admin, present: first) != first)

    // A role that someone gave more rights loses them.
    let third = try await setUp(service, admin: admin)
    try await connected(DatabaseURL(admin)) {
      try await $0.script("ALTER ROLE \(service)_app BYPASSRLS CREATEDB", deadline: .soon)
    }
    _ = try await setUp(service, admin: admin, present: third)
    try await connected(DatabaseURL(admin)) { connection in
      let row = try await connection.query(
        "SELECT rolbypassrls OR rolcreatedb FROM pg_roles WHERE rolname = $1",
        [.text("\(service)_app")], deadline: .soon)[0]
      #expect(try row.decode(0, as: Bool.self) == false)
    }
    #expect("\(first) \(String(reflecting: first))".contains("password") == false)
    #expect("\(first.owner)" == "(database URL not shown)")
  }

  @Test func anAdministratorNeedsNoSuperuser() async throws {
    let server = try ThrowawayPostgres.shared()
    let admin = try server.createDatabase()
    let service = newService()
    let database = try PostgresConfiguration(url: admin)
    try await connected(DatabaseURL(admin)) { connection in
      try await connection.script(
        """
        CREATE ROLE \(service)_admin LOGIN CREATEROLE PASSWORD 'of the test';
        ALTER DATABASE \(database.database ?? "") OWNER TO \(service)_admin
        """, deadline: .soon)
    }
    let limited = database.url(user: "\(service)_admin", password: "of the test")
    for _ in 0..<2 {
      let urls = try await setUp(service, admin: limited.revealed)
      try await migrate(urls.owner, ["v0001_init.sql": "CREATE TABLE t (n int)"])
    }
  }

  @Test func aServicesNameIsChecked() async throws {
    for name in ["", "Audit", "a-b", "a;b", "1a", String(repeating: "a", count: 49)] {
      let error = await failure {
        try await setUp(name, admin: "postgresql://nobody@nowhere.invalid/")
      }
      #expect(error?.kind == .misuse)
    }
  }

  // MARK: Tenants

  private let tenantTable = """
    CREATE TABLE stores (tenant text NOT NULL, name text NOT NULL);
    SELECT protect_tenant_rows('stores');
    CREATE FUNCTION count_stores() RETURNS bigint LANGUAGE sql SECURITY DEFINER
      SET search_path FROM CURRENT AS 'SELECT count(*) FROM stores';
    """

  @Test func rowsOfAnotherTenantAreOutOfReach() async throws {
    let admin = try ThrowawayPostgres.shared().createDatabase()
    let service = newService()
    let urls = try await setUp(service, admin: admin)
    try await migrate(
      urls.owner,
      [
        "v0001_init.sql": tenantTable + """
          GRANT SELECT, INSERT, UPDATE, DELETE ON stores TO \(service)_app;
          GRANT EXECUTE ON FUNCTION count_stores TO \(service)_worker;
          """
      ])
    try await onReactor { reactor in
      func pool(_ url: DatabaseURL, _ role: PostgresPool.Role) throws -> PostgresPool {
        var limits = PoolConfiguration()
        limits.acquireTimeout = .seconds(60)
        return PostgresPool(
          try PostgresConfiguration(url: url.revealed), as: role, limits: limits, on: reactor,
          blocking: SchemaTests.blocking, logger: quiet)
      }
      let app = try pool(urls.application, .application)
      let worker = try pool(urls.worker, .worker)
      defer {
        app.close()
        worker.close()
      }
      func names(_ scope: PostgresScope) async throws -> [String] {
        try await app.query(scope: scope, "SELECT name FROM stores ORDER BY name", deadline: .soon)
          .map { try $0.decode(0, as: String.self) }
      }
      for tenant in ["a", "b"] {
        try await app.query(
          scope: .tenant(tenant), "INSERT INTO stores VALUES ($1, $2)",
          [.text(tenant), .text("store of \(tenant)")], deadline: .soon)
      }
      #expect(try await names(.tenant("a")) == ["store of a"])
      #expect(try await names(.tenant("b")) == ["store of b"])
      #expect(try await names(.tenant("c")) == [])
      // The scope was forgotten.
      #expect(try await names(.none) == [])
      let forgotten = await failure {
        try await app.query(scope: .none, "INSERT INTO stores VALUES ('a', 'x')", deadline: .soon)
      }
      #expect(forgotten?.sqlState == .insufficientPrivilege)
      // Across tenants.
      let crossing = await failure {
        try await app.query(
          scope: .tenant("a"), "INSERT INTO stores VALUES ('b', 'x')", deadline: .soon)
      }
      #expect(crossing?.sqlState == .insufficientPrivilege)
      let moving = await failure {
        try await app.query(
          scope: .tenant("a"), "UPDATE stores SET tenant = 'b'", deadline: .soon)
      }
      #expect(moving?.sqlState == .insufficientPrivilege)
      let deleted = try await app.query(
        scope: .tenant("a"), "DELETE FROM stores WHERE tenant = 'b'", deadline: .soon)
      #expect(deleted.affectedRows == 0)

      let total = try await worker.query(
        scope: .worker, "SELECT count_stores()", deadline: .soon)
      #expect(try total[0].decode(0, as: Int.self) == 2)
      let direct = await failure {
        try await worker.query(scope: .worker, "SELECT * FROM stores", deadline: .soon)
      }
      #expect(direct?.sqlState == .insufficientPrivilege)
      let notGranted = await failure {
        try await app.query(scope: .none, "SELECT count_stores()", deadline: .soon)
      }
      #expect(notGranted?.sqlState == .insufficientPrivilege)
    }
  }

  // MARK: Migrations

  @Test func migrationsAreAppliedOnceAndInOrder() async throws {
    let urls = try await setUp(newService(), admin: ThrowawayPostgres.shared().createDatabase())
    let first: KeyValuePairs = ["v0001_init.sql": "CREATE TABLE t (n int)"]
    let both: KeyValuePairs = [
      "v0002_more.sql": "ALTER TABLE t ADD m int; INSERT INTO t VALUES (1, 2)",
      "v0001_init.sql": "CREATE TABLE t (n int)",
    ]
    #expect(try await migrate(urls.owner, first) == ["v0001_init"])
    #expect(try await migrate(urls.owner, first) == [])
    #expect(try await migrate(urls.owner, both) == ["v0002_more"])
    #expect(try await migrate(urls.owner, both) == [])
    // An older replica starts beside a newer one.
    #expect(try await migrate(urls.owner, first) == [])
  }

  @Test func twoReplicasAtOnceMigrateOnce() async throws {
    let urls = try await setUp(newService(), admin: ThrowawayPostgres.shared().createDatabase())
    let applied = try await withThrowingTaskGroup(of: [String].self) { group in
      for _ in 0..<4 {
        group.addTask {
          try await migrate(
            urls.owner,
            [
              "v0001_init.sql": "CREATE TABLE t (n int); SELECT pg_sleep(0.1)",
              "v0002_more.sql": "INSERT INTO t VALUES (1)",
            ])
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(applied.sorted { $0.count < $1.count } == [[], [], [], ["v0001_init", "v0002_more"]])
    try await connected(urls.owner) { connection in
      let rows = try await connection.query("SELECT * FROM t", deadline: .soon)
      #expect(rows.count == 1)
    }
  }

  @Test func aChangedLostOrLateMigrationIsAnError() async throws {
    let urls = try await setUp(newService(), admin: ThrowawayPostgres.shared().createDatabase())
    try await migrate(
      urls.owner, ["v0001_init.sql": "CREATE TABLE t (n int)", "v0003_more.sql": "SELECT 1"])
    let changed = await failure {
      try await migrate(
        urls.owner, ["v0001_init.sql": "CREATE TABLE t (n int8)", "v0003_more.sql": "SELECT 1"])
    }
    #expect(changed?.message.contains("v0001_init was changed after it had been applied") ?? false)
    let lost = await failure { try await migrate(urls.owner, ["v0003_more.sql": "SELECT 1"]) }
    #expect(lost?.message.contains("v0001_init is applied but is not in this program") ?? false)
    let late = await failure {
      try await migrate(
        urls.owner,
        [
          "v0001_init.sql": "CREATE TABLE t (n int)", "v0002_late.sql": "SELECT 1",
          "v0003_more.sql": "SELECT 1",
        ])
    }
    #expect(late?.message.contains("v0002_late was added before v0003_more") ?? false)
    let double = await failure {
      try await migrate(urls.owner, ["v0001_init.sql": "", "v0001_other.sql": ""])
    }
    #expect(double?.kind == .misuse)
  }

  @Test func aMigrationThatFailsLeavesNothing() async throws {
    let urls = try await setUp(newService(), admin: ThrowawayPostgres.shared().createDatabase())
    let failed = await failure {
      try await migrate(
        urls.owner, ["v0001_init.sql": "CREATE TABLE t (n int); SELECT 1/0; SELECT 1"])
    }
    #expect(failed?.message == "migration v0001_init: division by zero")
    let commits = await failure {
      try await migrate(urls.owner, ["v0001_init.sql": "CREATE TABLE t (n int); ROLLBACK"])
    }
    #expect(commits?.message.contains("it ends its own transaction") ?? false)
    #expect(
      try await migrate(urls.owner, ["v0001_init.sql": "CREATE TABLE t (n int)"])
        == ["v0001_init"])
  }

  @Test func aLockHeldTooLongIsNamed() async throws {
    let urls = try await setUp(newService(), admin: ThrowawayPostgres.shared().createDatabase())
    try await migrate(urls.owner, ["v0001_init.sql": "CREATE TABLE t (n int)"])
    let error = try await connected(urls.owner) { connection in
      try await connection.script("BEGIN; LOCK TABLE t IN ACCESS SHARE MODE", deadline: .soon)
      return await failure {
        try await migrate(
          urls.owner,
          ["v0001_init.sql": "CREATE TABLE t (n int)", "v0002_more.sql": "DROP TABLE t"]
        ) { $0.lockTimeout = .seconds(1) }
      }
    }
    #expect(error?.sqlState == .lockNotAvailable)
    #expect(error?.isRetryable == true)
    #expect(error?.message.contains("lockTimeout") ?? false)
  }

  @Test func waitingForAnotherReplicaHasALimit() async throws {
    let urls = try await setUp(newService(), admin: ThrowawayPostgres.shared().createDatabase())
    let error = try await connected(urls.owner) { connection in
      try await connection.query(
        "SELECT pg_advisory_lock(hashtextextended('storeplane-migrations:' || current_schema(), 0))",
        deadline: .soon)
      return await failure {
        try await migrate(urls.owner, [:]) { $0.turnTimeout = .milliseconds(100) }
      }
    }
    #expect(error?.kind == .deadlineExceeded)
    #expect(error?.message.contains("turnTimeout") ?? false)
  }

  @Test func onlyAServicesOwnerMigrates() async throws {
    let admin = try ThrowawayPostgres.shared().createDatabase()
    let error = await failure { try await migrate(DatabaseURL(admin), [:]) }
    #expect(error?.message.contains("'postgres' is none") ?? false)
  }

  @Test func filesOfMigrationsAreNamedAndEncodedWell() throws {
    for file in ["0001_init.sql", "v1_init.sql", "v0001-init.sql", "v0000_init.sql", "v0001_init"] {
      #expect(throws: PostgresError.self) { try Migration(file: file, contents: []) }
    }
    #expect(throws: PostgresError.self) { try Migration(file: "v0001_a.sql", contents: [0xff]) }
    #expect(throws: PostgresError.self) { try Migration(file: "v0001_a.sql", contents: [0]) }
    #expect(try Migration(file: "v0012_add_keys.sql", contents: []).version == 12)
  }
}
