import Contracts
import ServiceRuntime

/// Reads the fields that select events, and collects what is wrong with them.
struct EventRequestReader {
  private(set) var violations: [FieldViolation] = []

  mutating func filter(store: String, action: String, actor: String) -> EventFilter {
    EventFilter(
      store: text("store", store), action: text("action", action), actor: text("actor", actor))
  }

  /// A time in microseconds since 1970, rounded up: of no event, which are kept in microseconds, that
  /// changes whether it lies before.
  mutating func time(_ field: String, _ time: GoogleProtobuf.Timestamp?) -> Int64? {
    guard let time else { return nil }
    guard let microseconds = time.microsecondsSince1970 else {
      violations.append(FieldViolation(field, "it must be a time in the years 1 to 9999"))
      return nil
    }
    return time.nanos % 1_000 == 0 ? microseconds : microseconds + 1
  }

  mutating func order(_ order: AuditV1.ListEventsRequest.Order) -> EventOrder {
    switch order {
    case .unspecified, .newestFirst: return .newestFirst
    case .oldestFirst: return .oldestFirst
    case .unrecognized(let value):
      violations.append(
        FieldViolation("order", "\(value) is none of ORDER_NEWEST_FIRST and ORDER_OLDEST_FIRST"))
      return .newestFirst
    }
  }

  mutating func pageSize(_ size: Int32) -> Int {
    if size < 0 {
      violations.append(FieldViolation("page_size", "\(size) is negative; 0 gives the default"))
    }
    return size == 0 ? AuditLimits.pageSizeDefault : min(Int(size), AuditLimits.pageSizeMax)
  }

  /// The key to go on after; nil for the first page.
  mutating func key(_ token: PageToken, _ text: String) -> EventKey? {
    do throws(FieldViolation) {
      return try token.key(text)
    } catch {
      violations.append(error)
      return nil
    }
  }

  private mutating func text(_ field: String, _ text: String) -> String? {
    if text.utf8.count > AuditLimits.textBytesMax {
      violations.append(
        FieldViolation(
          field, "\(text.utf8.count) bytes; no event has one over \(AuditLimits.textBytesMax)"))
    }
    return text.isEmpty ? nil : text
  }
}

extension PageToken {
  init(listing filter: EventFilter, _ order: EventOrder, of tenant: String) {
    self.init(
      listing: [
        "events", tenant, filter.store ?? "", filter.action ?? "", filter.actor ?? "",
        filter.since.map { "\($0)" } ?? "", filter.until.map { "\($0)" } ?? "", "\(order)",
      ])
  }

  func encode(after key: EventKey) -> String {
    encode(after: [key.recorded, key.occurred, key.revision, key.position].map { "\($0)" })
  }

  fileprivate func key(_ text: String) throws(FieldViolation) -> EventKey? {
    guard let numbers = try decode(text)?.map({ Int64($0) }) else { return nil }
    guard numbers.count == 4, let recorded = numbers[0], let occurred = numbers[1],
      let revision = numbers[2], let position = numbers[3]
    else { throw Self.violation }
    return EventKey(
      recorded: recorded, occurred: occurred, revision: revision, position: position)
  }
}
