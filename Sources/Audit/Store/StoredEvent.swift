import Contracts
import JSON
import Postgres
import ServiceRuntime

/// An event as it was read.
struct StoredEvent {
  let event: AuditV1.Event
  let key: EventKey
  /// The id of the transaction that added it, as Postgres writes an xid8.
  let transaction: String

  /// No name of a column is given to something else: ORDER BY would take that for it.
  static let columns =
    """
    id, tenant, store, store_name, revision, action, previous_state, new_state, occurred_at,
    recorded_at, position, transaction::text AS transaction_id, actor_kind, actor_id,
    actor_address, request_id, trace_id, service, operation, details
    """

  init(_ row: PostgresRow) throws(PostgresError) {
    let occurred = try row.decode("occurred_at", as: PostgresTimestamp.self).microseconds
    let recorded = try row.decode("recorded_at", as: PostgresTimestamp.self).microseconds
    key = EventKey(
      recorded: recorded, occurred: occurred, revision: try row.decode("revision"),
      position: try row.decode("position"))
    transaction = try row.decode("transaction_id")
    var event = AuditV1.Event()
    event.id = try row.decode("id", as: PostgresUUID.self).description
    event.tenant = try row.decode("tenant")
    event.store = try row.decode("store")
    event.storeName = try row.decode("store_name")
    event.revision = key.revision
    event.action = try row.decode("action")
    event.previousState = try row.decode("previous_state")
    event.newState = try row.decode("new_state")
    event.occurTime = GoogleProtobuf.Timestamp(microsecondsSince1970: occurred)
    event.recordTime = GoogleProtobuf.Timestamp(microsecondsSince1970: recorded)
    event.actor = AuditV1.Actor(
      kind: AuditV1.Actor.Kind(rawValue: try row.decode("actor_kind")),
      id: try row.decode("actor_id"), address: try row.decode("actor_address"))
    event.requestID = try row.decode("request_id")
    event.traceID = try row.decode("trace_id")
    event.service = try row.decode("service")
    event.operation = try row.decode("operation")
    event.details = try StoredEvent.details(row)
    self.event = event
  }

  private static func details(
    _ row: PostgresRow
  ) throws(PostgresError) -> GoogleProtobuf.Struct? {
    guard let text = try row.decode("details", as: String?.self) else { return nil }
    guard let details = try? JSON(parsing: text).object else {
      throw PostgresError(.badValue, "the details of an event are no JSON object")
    }
    return GoogleProtobuf.Struct(details)
  }
}
