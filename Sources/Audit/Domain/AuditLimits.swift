/// What the audit service takes and gives at once; each is an error with the limit's name when reached.
package struct AuditLimits: Sendable {
  /// Events of one AppendEvents.
  package static let appendEventsMax = 500
  /// Texts of an event and of a filter, unless a smaller limit is named.
  package static let textBytesMax = 256
  package static let pageSizeDefault = 50
  package static let pageSizeMax = 1_000
  /// Bytes of the events of one page: a client takes messages of 4 MiB. The page ends early.
  package static let pageBytesMax = 3 * 1024 * 1024
  /// Events that a tail reads at once.
  package static let tailEventsMax = 500

  /// Calls of TailEvents at a time, of this process.
  package var tailsMax = 256
  package var tailsPerTenantMax = 16
  /// How often a tail looks for events without having been told of any.
  package var tailPollInterval: Duration = .seconds(15)

  package init() {}
}
