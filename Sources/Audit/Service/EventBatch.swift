import Contracts
import Postgres
import Protobuf
import RPCCore
import ServiceRuntime

/// The events of one AppendEvents and what becomes of each.
struct EventBatch {
  typealias Result = AuditV1.AppendEventsResponse.Result

  /// Those to be recorded, each id once.
  private(set) var new: [NewEvent] = []
  /// One for each event; of those in `new`, as duplicates until they are settled.
  private(set) var results: [Result] = []
  /// The place in `results` of each of `new`.
  private var places: [Int] = []

  init(_ events: [AuditV1.Event], from service: String) {
    new.reserveCapacity(events.count)
    results.reserveCapacity(events.count)
    var seen: Set<PostgresUUID> = []
    for (index, event) in events.enumerated() {
      let check = EventCheck(event, path: "events[\(index)]", from: service)
      guard check.violations.isEmpty, let id = PostgresUUID(event.id),
        let occurred = event.occurTime?.microsecondsSince1970
      else {
        results.append(EventBatch.rejected(event, check.violations))
        continue
      }
      if seen.insert(id).inserted {
        places.append(index)
        new.append(NewEvent(id: id, event: event, occurred: occurred, details: check.details))
      }
      results.append(Result(event: event.id, outcome: .duplicate))
    }
  }

  /// Takes in which events were recorded now; returns their tenants.
  mutating func settle(_ recorded: Set<PostgresUUID>) -> Set<String> {
    var tenants: Set<String> = []
    for (place, event) in zip(places, new) where recorded.contains(event.id) {
      results[place].outcome = .recorded
      tenants.insert(event.event.tenant)
    }
    return tenants
  }

  private static func rejected(_ event: AuditV1.Event, _ violations: [FieldViolation]) -> Result {
    let error = RPCError.invalidArgument(violations)
    return Result(event: event.id, outcome: .rejected, error: error.status)
  }
}
