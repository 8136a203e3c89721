import JSON

/// An event as a row.
enum EventRow {
  private static let columns = ["TIME", "ACTOR", "ACTION", "STORE", "CHANGE", "REQUEST"]

  static func table(of events: Listing) -> Table {
    var table = Table(columns)
    for event in events.elements { table.add(cells(event)) }
    return table
  }

  /// For rows that come one by one: wide enough for most.
  static var followedTable: Table { Table(columns, widthsMin: [19, 41, 16, 16, 28, 36]) }

  static func cells(_ event: JSON) -> [Table.Cell] {
    let store = event["storeName"].text
    return [
      .init(event["occurTime"].text.asLocalTime), .init(actor(event["actor"])),
      .init(event["action"].text, .bold), .init(store.isEmpty ? event["store"].text : store),
      .init(change(event)), .init(event["requestId"].text, .dim),
    ]
  }

  private static func actor(_ actor: JSON) -> String {
    let kind = EnumName.short(actor["kind"].text, "KIND")
    return kind.isEmpty ? actor["id"].text : "\(kind.replacing(" ", with: "-")):\(actor["id"].text)"
  }

  /// From state to state; of work what was done and how it ended; for other events what was changed.
  private static func change(_ event: JSON) -> String {
    let (before, after) = (event["previousState"].text, event["newState"].text)
    let details = event["details"]
    if !before.isEmpty || !after.isEmpty {
      let states = (before.isEmpty ? "-" : before) + " -> " + (after.isEmpty ? "-" : after)
      return words(states, details["error_code"])
    }
    if let kind = details["kind"].string {
      return words(kind, details["outcome"], details["error_code"])
    }
    if let name = details["name"].string {
      let version = details["version"]
      return version.isNull ? name : "\(name) version \(version.integer)"
    }
    return (details["changed"].array ?? []).map(\.text).joined(separator: ", ")
  }

  private static func words(_ first: String, _ more: JSON...) -> String {
    ([first] + more.map(\.text)).filter { !$0.isEmpty }.joined(separator: " ")
  }
}
