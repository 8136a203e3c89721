/// Which events of a tenant are asked for; nil means any.
struct EventFilter: Equatable, Sendable {
  /// A store's id or its name.
  var store: String?
  var action: String?
  /// The actor's id.
  var actor: String?
  /// When the event occurred, in microseconds since 1970: from `since` on, before `until`.
  var since: Int64?
  var until: Int64?
}

/// The order of a list.
enum EventOrder: Equatable, Sendable {
  case newestFirst
  case oldestFirst
}

/// Where an event stands in every order that lists have.
struct EventKey: Equatable, Sendable {
  /// Microseconds since 1970.
  let recorded: Int64
  let occurred: Int64
  let revision: Int64
  let position: Int64
}
