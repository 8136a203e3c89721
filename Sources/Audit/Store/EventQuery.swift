import Postgres

/// A SELECT on events that is put together from the conditions that a caller gave.
///
/// Every one is of one tenant: by its own condition, and a second time by row-level security.
struct EventQuery {
  private(set) var parameters: [PostgresParameter]
  private var conditions: [String]
  private var columns = StoredEvent.columns
  private var order = ""

  init(tenant: String, filter: EventFilter) {
    parameters = [.text(tenant)]
    conditions = ["tenant = $1"]
    if let store = filter.store {
      let place = add(.text(store))
      // An id or a name; the empty text is named for the indexes that leave it out.
      conditions.append(
        "(store = \(place) AND store <> '' OR store_name = \(place) AND store_name <> '')")
    }
    if let action = filter.action { conditions.append("action = \(add(.text(action)))") }
    if let actor = filter.actor { conditions.append("actor_id = \(add(.text(actor)))") }
    if let since = filter.since { conditions.append("occurred_at >= \(addTime(since))") }
    if let until = filter.until { conditions.append("occurred_at < \(addTime(until))") }
  }

  /// The next parameter's place.
  private mutating func add(_ parameter: PostgresParameter) -> String {
    parameters.append(parameter)
    return "$\(parameters.count)"
  }

  private mutating func addTime(_ microseconds: Int64) -> String {
    add(.timestamp(PostgresTimestamp(microseconds: microseconds)))
  }

  mutating func select(_ column: String) { columns += ", " + column }

  // MARK: Lists

  /// In the order in which events were recorded, or for one store in which they occurred there, after
  /// `key` in that order.
  mutating func inOrder(_ order: EventOrder, after key: EventKey?, ofStore: Bool) {
    let keyColumns =
      ofStore ? ["occurred_at", "revision", "position"] : ["recorded_at", "position"]
    let direction = order == .newestFirst ? "DESC" : "ASC"
    self.order = keyColumns.map { "\($0) \(direction)" }.joined(separator: ", ")
    guard let key else { return }
    let places =
      ofStore
      ? [addTime(key.occurred), add(.int8(key.revision)), add(.int8(key.position))]
      : [addTime(key.recorded), add(.int8(key.position))]
    conditions.append(
      "(\(keyColumns.joined(separator: ", "))) \(order == .newestFirst ? "<" : ">") "
        + "(\(places.joined(separator: ", ")))")
  }

  // MARK: Tails

  mutating func recorded(since microseconds: Int64) {
    conditions.append("recorded_at >= \(addTime(microseconds))")
  }

  /// Only what a transaction with this snapshot would see.
  mutating func visible(in snapshot: String) {
    let place = add(.text(snapshot))
    conditions.append("pg_visible_in_snapshot(transaction, \(place)::pg_snapshot)")
  }

  /// Only what a transaction with this snapshot would not see, by the transaction that added it.
  mutating func invisible(in snapshot: String, after key: (transaction: String, position: Int64)?) {
    let place = add(.text(snapshot)) + "::pg_snapshot"
    conditions.append("transaction >= pg_snapshot_xmin(\(place))")
    conditions.append("NOT pg_visible_in_snapshot(transaction, \(place))")
    order = "transaction, position"
    guard let key else { return }
    let places = [add(.text(key.transaction)) + "::xid8", add(.int8(key.position))]
    conditions.append("(transaction, position) > (\(places.joined(separator: ", ")))")
  }

  /// The statement, to be run with `parameters`.
  mutating func statement(limit: Int) -> String {
    let place = add(.int8(Int64(limit)))
    return """
      SELECT \(columns) FROM events WHERE \(conditions.joined(separator: " AND "))
      ORDER BY \(order) LIMIT \(place)
      """
  }
}
