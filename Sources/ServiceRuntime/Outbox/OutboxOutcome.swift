import Contracts
import Postgres
import Protobuf

/// A row of the outbox as it was claimed.
struct OutboxRow {
  let id: PostgresUUID
  let payload: [UInt8]
  /// This one included.
  let attempts: Int
}

/// An event of the outbox that can be sent.
struct OutboxEvent {
  let id: PostgresUUID
  let event: AuditV1.Event
  let byteCount: Int
}

/// What became of a batch: whatever is in no list of it goes back.
struct OutboxOutcome {
  /// In the order in which they happened.
  let events: [OutboxEvent]
  let attemptsMax: Int
  private(set) var delivered: [PostgresUUID] = []
  private(set) var rejected: [(id: PostgresUUID, reason: String)] = []
  /// Those for which audit failed where it did not for others.
  private(set) var suspects: [PostgresUUID] = []
  private var open: Set<PostgresUUID>

  init(_ rows: [OutboxRow]) {
    attemptsMax = rows.map(\.attempts).max() ?? 1
    open = Set(rows.map(\.id))
    var events: [OutboxEvent] = []
    for row in rows {
      do throws(ProtobufError) {
        let event = try AuditV1.Event(serialized: row.payload)
        events.append(OutboxEvent(id: row.id, event: event, byteCount: row.payload.count))
      } catch {
        open.remove(row.id)
        rejected.append((row.id, "it cannot be read: \(error)"))
      }
    }
    self.events = events.sorted { OutboxOutcome.isEarlier($0.event, $1.event) }
  }

  /// What was not settled.
  var returned: [PostgresUUID] { Array(open) }

  mutating func deliver(_ id: PostgresUUID) {
    if open.remove(id) != nil { delivered.append(id) }
  }

  mutating func reject(_ id: PostgresUUID, _ reason: String) {
    if open.remove(id) != nil { rejected.append((id, reason)) }
  }

  mutating func suspect(_ id: PostgresUUID) {
    if open.remove(id) != nil { suspects.append(id) }
  }

  /// The events in parts of at most so many bytes, or of one event.
  func batches(bytesMax: Int) -> [ArraySlice<OutboxEvent>] {
    var batches: [ArraySlice<OutboxEvent>] = []
    var start = 0
    var bytes = 0
    for (index, event) in events.enumerated() {
      if index > start && bytes + event.byteCount > bytesMax {
        batches.append(events[start..<index])
        start = index
        bytes = 0
      }
      bytes += event.byteCount
    }
    if start < events.count { batches.append(events[start...]) }
    return batches
  }

  private static func isEarlier(_ left: AuditV1.Event, _ right: AuditV1.Event) -> Bool {
    let (one, other) = (left.occurTime, right.occurTime)
    return (one?.seconds ?? 0, one?.nanos ?? 0, left.revision)
      < (other?.seconds ?? 0, other?.nanos ?? 0, right.revision)
  }
}
