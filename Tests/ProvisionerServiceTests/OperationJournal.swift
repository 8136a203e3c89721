import Contracts
import Postgres
import Protobuf
import Reactor

@testable import ProvisionerService

/// Every change of operations and their steps, and every audit event, in the order in which they were
/// written, as triggers of the database see them: the end alone does not tell by what way it was reached.
struct OperationJournal {
  /// What an operation, or one of its steps, has become.
  struct Entry: Equatable, CustomStringConvertible {
    let operation: String
    var state: String
    /// Of an operation only.
    var revision = 0
    /// Its place among the others; nil: the operation itself.
    var step: Int?
    /// Of a step only.
    var attempts = 0
    var failures = 0

    var description: String {
      guard let step else { return "revision \(revision) of \(operation), \(state)," }
      let counts = "(attempts: \(attempts), failures: \(failures))"
      return "step \(step) of \(operation), \(state) \(counts),"
    }
  }

  var entries: [Entry] = []
  var events: [AuditV1.Event] = []

  /// What is not in order; nothing where all is, and every operation has ended.
  var problems: [String] { problemsOfOperations + problemsOfEvents }

  private var problemsOfOperations: [String] {
    var found: [String] = []
    var ways: [String: OperationWay] = [:]
    for entry in entries {
      let problem = ways[entry.operation, default: OperationWay()].take(entry)
      if let problem { found.append("\(entry) \(problem)") }
    }
    for (operation, way) in ways where way.state?.isDone != true {
      found.append("\(operation) has not ended")
    }
    return found
  }

  private var problemsOfEvents: [String] {
    var found: [String] = []
    var ways: [String: StoreWay] = [:]
    for event in events where !event.store.isEmpty {
      let problem = ways[event.store, default: StoreWay()].take(event)
      if let problem {
        found.append("\(event.action) of \(event.store), revision \(event.revision), \(problem)")
      }
    }
    for (store, way) in ways {
      if let open = way.open { found.append("\(open) on \(store) has begun, and no end was told") }
    }
    return found
  }
}

// MARK: Keeping it

extension OperationJournal {
  /// Has one kept from now on. The numbers of what an operation goes through, and of the events of a store,
  /// are in order, as both are written under the lock of its row.
  static func begin(_ owner: PostgresPool) async throws {
    let tables = [
      """
      CREATE TABLE journal (number bigserial PRIMARY KEY, operation uuid NOT NULL,
        state text NOT NULL, revision bigint NOT NULL DEFAULT 0, step int,
        attempts int NOT NULL DEFAULT 0, failures int NOT NULL DEFAULT 0)
      """,
      "CREATE TABLE journal_of_events (number bigserial PRIMARY KEY, payload bytea NOT NULL)",
    ]
    // A renewal of a lease is no change of the operation.
    let ofOperations = watch(
      "operations", "INSERT OR UPDATE",
      """
      IF TG_OP = 'INSERT' OR NEW.revision <> OLD.revision OR NEW.state <> OLD.state THEN
        INSERT INTO journal (operation, state, revision) VALUES (NEW.id, NEW.state, NEW.revision);
      END IF;
      """)
    let ofSteps = watch(
      "operation_steps", "INSERT OR UPDATE",
      """
      INSERT INTO journal (operation, state, step, attempts, failures)
      VALUES (NEW.operation, NEW.state, NEW.position, NEW.attempts, NEW.failures);
      """)
    let ofEvents = watch(
      "outbox", "INSERT", "INSERT INTO journal_of_events (payload) VALUES (NEW.payload);")
    for statement in tables + ofOperations + ofSteps + ofEvents {
      try await owner.query(scope: .none, statement, deadline: .soon)
    }
  }

  private static func watch(_ table: String, _ changes: String, _ body: String) -> [String] {
    [
      """
      CREATE FUNCTION keep_\(table)() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path FROM CURRENT AS $$ BEGIN \(body) RETURN NULL; END $$
      """,
      """
      CREATE TRIGGER keep AFTER \(changes) ON \(table)
        FOR EACH ROW EXECUTE FUNCTION keep_\(table)()
      """,
    ]
  }

  static func read(_ owner: PostgresPool) async throws -> OperationJournal {
    var journal = OperationJournal()
    let changes = try await owner.query(
      scope: .none,
      """
      SELECT operation::text, state, revision, step, attempts, failures FROM journal
      ORDER BY number
      """, deadline: .soon)
    for row in changes {
      journal.entries.append(
        Entry(
          operation: try row.decode(0), state: try row.decode(1), revision: try row.decode(2),
          step: try row.decode(3), attempts: try row.decode(4), failures: try row.decode(5)))
    }
    let told = try await owner.query(
      scope: .none, "SELECT payload FROM journal_of_events ORDER BY number", deadline: .soon)
    for row in told { journal.events.append(try AuditV1.Event(serialized: row.decode(0))) }
    return journal
  }
}

// MARK: What is allowed

/// What an operation has gone through so far.
private struct OperationWay {
  private struct Step {
    var state: StepState
    var attempts = 0
    var failures = 0
    /// Whether an attempt was begun and its end is not known.
    var isAttempted = false
  }

  private(set) var state: OperationState?
  private var revision = 0
  private var steps: [Int: Step] = [:]

  /// Why what comes next cannot; nil where it can.
  mutating func take(_ entry: OperationJournal.Entry) -> String? {
    guard let position = entry.step else { return takeOperation(entry) }
    guard let next = StepState(rawValue: entry.state) else { return "is no state" }
    guard let step = steps[position] else {
      steps[position] = Step(state: next)
      return next == .pending && entry.attempts == 0 ? nil : "is the first that is known of it"
    }
    defer { steps[position] = follow(step, next, entry) }
    guard step.state.canBecome(next) else { return "comes after \(step.state.rawValue)" }
    let begins = entry.attempts != step.attempts
    if begins { return beginning(of: position, after: step, next, entry) }
    let fails = entry.failures != step.failures
    if fails && (next != .waiting && next != .failed || entry.failures != step.failures + 1) {
      return "comes after \(step.failures) failures"
    }
    // A report of how far it is, too.
    let needsAttempt = fails || next == .succeeded || next == .running
    return needsAttempt && !step.isAttempted ? "comes before an attempt was begun" : nil
  }

  private func beginning(
    of position: Int, after step: Step, _ next: StepState, _ entry: OperationJournal.Entry
  ) -> String? {
    if next != .running || entry.failures != step.failures || entry.attempts != step.attempts + 1 {
      return "comes after \(step.attempts) attempts"
    }
    if state != .running { return "is begun while the operation does not run" }
    let earlier = steps.filter { $0.key < position }.values
    return earlier.allSatisfy(\.state.isOver) ? nil : "is begun before those before it are over"
  }

  private func follow(
    _ step: Step, _ next: StepState, _ entry: OperationJournal.Entry
  ) -> Step {
    Step(
      state: next, attempts: entry.attempts, failures: entry.failures,
      isAttempted: next == .running && (step.isAttempted || entry.attempts > step.attempts))
  }

  private mutating func takeOperation(_ entry: OperationJournal.Entry) -> String? {
    guard let next = OperationState(rawValue: entry.state) else { return "is no state" }
    let (before, last) = (state, revision)
    (state, revision) = (next, entry.revision)
    if entry.revision != last + 1 { return "comes after revision \(last)" }
    guard let before else { return next == .pending ? nil : "is the first that is known of it" }
    if before.isDone || (next != before && !before.canBecome(next)) {
      return "comes after \(before.rawValue)"
    }
    return nil
  }
}

/// What a store has gone through so far, as audit is told.
private struct StoreWay {
  private var state: StoreState?
  private var revision: Int64 = 0
  private var told: Set<String> = []
  /// The work on the ready store that goes on.
  private(set) var open: String?

  /// Why what comes next cannot; nil where it can.
  mutating func take(_ event: AuditV1.Event) -> String? {
    if event.action == StoreEventMessage.action { return takeTransition(event) }
    if event.revision != revision { return "comes after revision \(revision)" }
    switch event.action {
    case StoreEventMessage.beginning:
      defer { open = event.operation }
      if let open { return "comes while \(open) goes on" }
      return told.insert(event.operation).inserted ? nil : "was told before"
    case StoreEventMessage.end:
      defer { open = nil }
      return open == event.operation ? nil : "comes while \(open ?? "nothing") goes on"
    default: return nil
    }
  }

  private mutating func takeTransition(_ event: AuditV1.Event) -> String? {
    let (before, last) = (state, revision)
    (state, revision) = (StoreState(rawValue: event.newState), event.revision)
    if event.revision != last + 1 { return "comes after revision \(last)" }
    if event.previousState != before?.rawValue ?? "" {
      return "says that it comes after '\(event.previousState)'"
    }
    let name = event.details?["event"]?.string ?? ""
    guard let before else {
      return name == "create" && state == .requested ? nil : "is the first that is known of it"
    }
    let next = StoreEvent(rawValue: name).flatMap { StoreState.transitions[before]?[$0] }
    return next != nil && next == state ? nil : "comes after \(before.rawValue) by '\(name)'"
  }
}
