import Contracts
import Testing

@testable import ProvisionerService

/// What the journal of a test would not let pass.
@Suite struct OperationJournalTests {
  private typealias Entry = OperationJournal.Entry

  private static func operation(_ state: String, _ revision: Int) -> Entry {
    Entry(operation: "a", state: state, revision: revision)
  }

  private static func step(
    _ step: Int, _ state: String, _ attempts: Int = 0, _ failures: Int = 0
  ) -> Entry {
    Entry(operation: "a", state: state, step: step, attempts: attempts, failures: failures)
  }

  /// The first step fails once, is cut off once and succeeds; then the second.
  private static let entries = [
    operation("pending", 1), step(1, "pending"), step(2, "pending"),
    operation("running", 2), operation("running", 3), step(1, "running", 1),
    operation("running", 4), step(1, "waiting", 1, 1),
    operation("running", 5), operation("running", 6), step(1, "running", 2, 1),
    operation("running", 7), operation("running", 8), step(1, "running", 3, 1),
    operation("running", 9), step(1, "running", 3, 1),
    operation("running", 10), step(1, "succeeded", 3, 1),
    operation("running", 11), step(2, "running", 1),
    operation("running", 12), step(2, "succeeded", 1),
    operation("succeeded", 13),
  ]

  private static func transition(
    _ event: String, _ from: String, _ state: String, _ revision: Int64
  ) -> AuditV1.Event {
    AuditV1.Event(
      store: "demo", revision: revision, action: StoreEventMessage.action, previousState: from,
      newState: state, details: ["event": GoogleProtobuf.Value(event)])
  }

  private static func work(_ action: String, _ operation: String) -> AuditV1.Event {
    AuditV1.Event(store: "demo", revision: 3, action: action, operation: operation)
  }

  private static let events = [
    transition("create", "", "requested", 1), transition("start", "requested", "provisioning", 2),
    transition("succeed", "provisioning", "ready", 3),
    work(StoreEventMessage.beginning, "b"), work(StoreEventMessage.end, "b"),
    work(StoreEventMessage.beginning, "c"), work(StoreEventMessage.end, "c"),
    transition("delete", "ready", "deleting", 4), transition("vanish", "deleting", "deleted", 5),
  ]

  private static let journal = OperationJournal(entries: entries, events: events)

  @Test func whatIsInOrderPasses() { #expect(Self.journal.problems == []) }

  struct Mistake: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let make: @Sendable (inout OperationJournal) -> Void

    init(_ name: String, _ make: @escaping @Sendable (inout OperationJournal) -> Void) {
      testDescription = name
      self.make = make
    }
  }

  private static let mistakes = [
    Mistake("a revision is left out") { $0.entries.remove(at: 6) },
    Mistake("a revision is there twice") { $0.entries[8].revision = 4 },
    Mistake("an operation changes after its end") { $0.entries.append(operation("running", 14)) },
    Mistake("an operation does not end") { $0.entries.removeLast() },
    Mistake("an operation runs before it was asked for") { $0.entries[0].state = "running" },
    Mistake("an attempt fails before it was begun") { $0.entries.swapAt(5, 7) },
    Mistake("an attempt succeeds that was not begun") { $0.entries.remove(at: 19) },
    Mistake("an attempt is counted that was not made") { $0.entries[10].attempts = 3 },
    Mistake("a failure is forgotten") { $0.entries[10].failures = 0 },
    Mistake("an attempt fails twice") { $0.entries[7].failures = 2 },
    Mistake("a step is done before an earlier one") { $0.entries.swapAt(17, 19) },
    Mistake("a step is begun when all is over") { $0.entries.append(step(2, "running", 2)) },
    Mistake("a step is taken up again that was done") {
      $0.entries.insert(step(1, "running", 4, 1), at: 18)
    },
    Mistake("a transition is left out") { $0.events.remove(at: 1) },
    Mistake("a transition is told twice") { $0.events.insert($0.events[1], at: 2) },
    Mistake("an arrow that is not there") { $0.events[2].newState = "deleted" },
    Mistake("it came from elsewhere") { $0.events[2].previousState = "failed" },
    Mistake("an end is told before the beginning") { $0.events.swapAt(3, 4) },
    Mistake("an end is not told") { $0.events.remove(at: 6) },
    Mistake("a beginning is not told") { $0.events.remove(at: 3) },
    Mistake("the same work begins twice") { $0.events[5].operation = "b" },
    Mistake("work begins beside other work") { $0.events.swapAt(4, 5) },
    Mistake("work is told at another revision") { $0.events[3].revision = 2 },
  ]

  @Test(arguments: mistakes) func whatIsNotInOrderIsFound(mistake: Mistake) {
    var journal = Self.journal
    mistake.make(&journal)
    #expect(journal.problems != [])
  }
}
