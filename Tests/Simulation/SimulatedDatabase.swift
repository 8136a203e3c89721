import Logging
import Postgres
import ProvisionerService
import Reactor
import ServiceRuntime
import TestKit

/// A schema of the provisioner on a real server, with a clock that the simulation sets and watchmen that write down
/// what must not happen.
final class SimulatedDatabase {
  static let clusters = ["default", "east"]

  let schema: String
  let admin: ServerSession
  /// Those that the machines share, by role: as many of each as transactions may be open at once.
  let sessions: [String: [ServerSession]]
  /// The names of statements in them, by text and types.
  var statementNames: [[UInt8]: String] = [:]
  private var labels: [String: StatementLabel] = [:]

  init(schema: String, urls: [String: String], adminURL: String) throws {
    self.schema = schema
    admin = try ServerSession(url: adminURL)
    try admin.query("SET search_path = \(schema), pg_catalog")
    try admin.query(
      """
      PREPARE call (text, bigint) AS SELECT fence, kind FROM operations
        WHERE store = $1 AND (fence = $2 OR fence > $2) ORDER BY fence DESC;
      PREPARE rest (bool) AS
        SELECT FROM operations WHERE state IN ('pending', 'running') UNION ALL
        SELECT FROM outbox WHERE delivered_at IS NULL UNION ALL
        SELECT FROM clusters WHERE abandoned_at IS NOT NULL OR ($1
          AND (NOT ready OR uid IS NULL OR findings @> '[{"outcome": "failed"}]')) LIMIT 1
      """)
    sessions = try urls.mapValues { url in
      try (0..<DatabaseProxy.lanesMax).map { _ in try ServerSession(url: url) }
    }
    for session in sessions.values.joined() {
      // Plans must not hang on how often a statement was run before this run.
      try session.query("SET plan_cache_mode = force_generic_plan")
      var bytes: [UInt8] = []
      let clock = "SELECT set_config('sim.now', $1, false), set_config('sim.client', $2, false)"
      for (name, sql) in [
        ("clock", clock), ("start", clock + ", set_config('sim.notices', '', false)"),
      ] {
        WireMessage.parse(name, sql, types: [0, 0]).append(to: &bytes)
      }
      let notices = "SELECT current_setting('sim.notices', true)"
      WireMessage.parse("notices", notices, types: [0, 0]).append(to: &bytes)
      WireMessage.sync.append(to: &bytes)
      _ = try session.exchange(bytes, syncs: 1)
    }
  }

  func label(_ sql: String) -> StatementLabel {
    if let label = labels[sql] { return label }
    let label = StatementLabel(sql)
    labels[sql] = label
    return label
  }

  /// Makes the schema; what is needed to reach it: the admin's URL first, then role and URL in turn.
  static func prepare(on server: ThrowawayPostgres, schema: String) async throws -> [String] {
    let adminURL = try server.createDatabase()
    let admin = try ServerSession(url: adminURL)
    let quiet = Logger(label: "setup") { _ in SwiftLogNoOpLogHandler() }
    let reactor = try Reactor.start(name: "setup")
    defer { reactor.loop.stop() }
    let urls = try await reactor.run { reactor in
      try await DatabaseSetup(logger: quiet).prepare(
        service: schema, admin: DatabaseURL(adminURL), on: reactor, blocking: BlockingPool())
    }
    // What the schema's own statements and functions call the time is the simulation's.
    try admin.query(clock(schema))
    for (name, value) in settings { try admin.query("ALTER SYSTEM SET \(name) = \(value)") }
    try admin.query("SELECT pg_reload_conf()")
    for role in ["owner", "app", "worker"] {
      try admin.query(
        """
        DO $$ BEGIN EXECUTE format('ALTER ROLE \(schema)_\(role) IN DATABASE %I SET search_path =
          \(schema), pg_catalog, pg_temp', current_database()); END $$
        """)
    }
    _ = try await reactor.run { reactor in
      try await Migrator(logger: quiet).run(
        ProvisionerMigrations.all(), owner: urls.owner, on: reactor, blocking: BlockingPool())
    }
    try admin.query("SET search_path = \(schema), pg_catalog")
    try KeptPlans(admin, schema: schema).write()
    try admin.query(Notice.function)
    try admin.query(watchmen(schema))
    try admin.query(ClusterWatchmen.text)
    return [
      adminURL, "\(schema)_app", urls.application.revealed, "\(schema)_worker",
      urls.worker.revealed,
    ]
  }

  private static let settings = [
    // It would change plans, and with them orders, at times of its own.
    ("autovacuum", "off"),
    // Who waits for whom is seen to by the simulation, which does not go by the server's time.
    ("deadlock_timeout", "'1h'"),
    // A database that is thrown away need not be safe, nor watched.
    ("synchronous_commit", "off"), ("jit", "off"), ("track_activities", "off"),
    ("track_counts", "off"), ("update_process_title", "off"),
  ]

  private static func clock(_ schema: String) -> String {
    ["now", "clock_timestamp", "statement_timestamp"].map { name in
      """
      CREATE FUNCTION \(schema).\(name)() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
        SELECT coalesce(nullif(pg_catalog.current_setting('sim.now', true), '')::timestamptz,
          pg_catalog.now()) $$;
      GRANT EXECUTE ON FUNCTION \(schema).\(name)() TO PUBLIC;
      """
    }.joined()
  }

  /// Triggers that see every change of an operation and of a step.
  private static func watchmen(_ schema: String) -> String {
    let steps = StepState.transitions.map { from, to in
      to.map { "('\(from.rawValue)', '\($0.rawValue)')" }
    }.joined().sorted().joined(separator: ", ")
    let operations = OperationState.transitions.map { from, to in
      to.map { "('\(from.rawValue)', '\($0.rawValue)')" }
    }.joined().sorted().joined(separator: ", ")
    return """
      CREATE TABLE original_functions AS
        SELECT proname::text AS name, pg_get_functiondef(oid) AS definition FROM pg_proc
        WHERE pronamespace = '\(schema)'::regnamespace
          AND proname IN ('is_claimable', 'claim_outbox');
      CREATE UNLOGGED TABLE violations (number bigserial, what text NOT NULL);

      CREATE FUNCTION watch_operation() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path FROM CURRENT AS $$
      DECLARE
        client text := current_setting('sim.client', true);
      BEGIN
        IF OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (\(operations)) THEN
          INSERT INTO violations (what) SELECT format('operation %s of %s from %s to %s', NEW.kind,
            NEW.store, OLD.state, NEW.state);
        END IF;
        IF NEW.fence < OLD.fence THEN
          INSERT INTO violations (what) SELECT format('the token of %s fell', NEW.id);
        END IF;
        IF NEW.fence > OLD.fence AND OLD.lease_expires_at > clock_timestamp() THEN
          INSERT INTO violations (what)
          SELECT format('%s was claimed from %s, who had it', NEW.id, OLD.holder);
        END IF;
        -- Of a cluster that was given up any replica cancels what is under way, as a user might.
        IF client LIKE 'replica-%' AND NEW.fence = OLD.fence
            AND (OLD.holder IS DISTINCT FROM client OR OLD.lease_expires_at <= clock_timestamp())
            AND NOT ((NEW.state = 'cancelled' OR OLD.cancel_requested_at IS DISTINCT FROM NEW.cancel_requested_at)
              AND EXISTS (SELECT FROM given_up WHERE store = NEW.store)) THEN
          INSERT INTO violations (what) SELECT format('%s changed %s, which %s held until %s', client,
            NEW.id, coalesce(OLD.holder, 'nobody'), OLD.lease_expires_at);
        END IF;
        RETURN NULL;
      END $$;
      CREATE TRIGGER watch AFTER UPDATE ON operations
        FOR EACH ROW EXECUTE FUNCTION watch_operation();

      CREATE FUNCTION watch_step() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path FROM CURRENT AS $$
      BEGIN
        IF OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (\(steps)) THEN
          INSERT INTO violations (what) SELECT format('step %s from %s to %s', NEW.name, OLD.state,
            NEW.state);
        END IF;
        IF NEW.attempts < OLD.attempts OR NEW.failures < OLD.failures THEN
          INSERT INTO violations (what) SELECT format('step %s forgot attempts', NEW.name);
        END IF;
        RETURN NULL;
      END $$;
      CREATE TRIGGER watch AFTER UPDATE ON operation_steps
        FOR EACH ROW EXECUTE FUNCTION watch_step();
      """
  }

  /// Leaves nothing of an earlier run.
  func clear(_ mutation: Mutation?) throws {
    for session in sessions.values.joined() {
      try session.query("ROLLBACK; DISCARD PLANS; SELECT setseed(0)")
    }
    try admin.query(
      """
      DELETE FROM clusters WHERE name <> 'default';
      INSERT INTO clusters (name, secret) VALUES ('east', 'east');
      UPDATE clusters SET stores = 0, stores_max = NULL, schedule = 'open', ready = true,
        findings = '[]', forced = '{}', uid = name || '-1', labels = '{}',
        abandoned_at = NULL, abandon_request_id = NULL, abandon_tenant = NULL,
        abandon_principal = NULL, created_at = '2026-01-01', updated_at = '2026-01-01',
        checked_at = '2026-01-01', check_at = timestamptz '2026-01-01'
          + CASE name WHEN 'default' THEN interval '1 s' ELSE interval '2 s' END;
      TRUNCATE stores, store_transitions, operations, operation_steps, store_releases, outbox, backups,
        violations, given_up, cluster_changes RESTART IDENTITY;
      ALTER SEQUENCE fencing_tokens RESTART
      """)
    for row in try admin.query("SELECT name, definition FROM original_functions ORDER BY name") {
      guard var definition = row[1] else { continue }
      if let (name, text, replacement) = mutation?.function, name == row[0] {
        guard definition.contains(text) else {
          throw ServerSession.Failure(description: "the mutation no longer fits \(name)")
        }
        definition = definition.replacing(text, with: replacement)
      }
      try admin.query(definition)
    }
  }

  /// Whether no operation goes on, every event was delivered and nothing is left to do about a cluster.
  func isAtRest(checksClusters: Bool) throws -> Bool {
    try admin.query("EXECUTE rest (\(checksClusters))").isEmpty
  }
}

/// A statement in one line.
struct StatementLabel {
  let text: String
  /// Whether it does nothing but lead to others.
  let isPreliminary: Bool

  init(_ sql: String) {
    text = sql.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    isPreliminary = text.hasPrefix("BEGIN") || text.contains("'storeplane.tenant'")
  }
}
