import Postgres
import Reactor

@testable import ProvisionerService

/// Holders that are gone in the very moment in which the end of a step is written down: triggers let
/// nothing through that they would write after it.
enum SuddenDeath {
  static func strike(
    _ doomed: [(operation: PostgresUUID, step: OperationStep)], _ owner: PostgresPool
  ) async throws {
    for statement in statements { try await owner.query(scope: .none, statement, deadline: .soon) }
    try await owner.query(
      scope: .none, "INSERT INTO doomed SELECT * FROM unnest($1::uuid[], $2::text[])",
      [.uuidArray(doomed.map { $0.operation }), .textArray(doomed.map { $0.step.rawValue })],
      deadline: .soon)
  }

  /// The time has come at which others may take over what is held now.
  static func endLeases(_ owner: PostgresPool) async throws {
    try await owner.query(
      scope: .none,
      """
      UPDATE operations SET lease_expires_at = clock_timestamp()
      WHERE lease_expires_at IS NOT NULL
      """, deadline: .soon)
  }

  private static let statements = [
    // The token is that of the holder, once it is dead; its successor has another one.
    "CREATE TABLE doomed (operation uuid PRIMARY KEY, step text NOT NULL, fence bigint)",
    """
    CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
      SET search_path FROM CURRENT AS $$ BEGIN
        UPDATE doomed SET fence = o.fence FROM operations o
        WHERE o.id = NEW.operation AND doomed.operation = o.id AND doomed.step = NEW.name;
        RETURN NULL;
      END $$
    """,
    """
    CREATE TRIGGER die AFTER UPDATE ON operation_steps FOR EACH ROW
      WHEN (NEW.state = 'succeeded') EXECUTE FUNCTION die()
    """,
    """
    CREATE FUNCTION be_dead() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
      SET search_path FROM CURRENT AS $$ BEGIN
        IF EXISTS (SELECT FROM doomed WHERE operation = NEW.id AND fence = NEW.fence) THEN
          RAISE EXCEPTION 'the holder is dead';
        END IF;
        RETURN NEW;
      END $$
    """,
    // Leases are renewed all together, the others' too.
    """
    CREATE TRIGGER be_dead BEFORE UPDATE ON operations FOR EACH ROW
      WHEN (NEW.revision <> OLD.revision) EXECUTE FUNCTION be_dead()
    """,
  ]
}
