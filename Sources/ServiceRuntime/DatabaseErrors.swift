package import Postgres
package import RPC
package import RPCCore
package import Reactor

extension RPCError {
  /// What a caller is told where the database failed in a way that may pass; nil for an error that
  /// only a person can mend, of which the caller learns nothing.
  package init?(database error: PostgresError) {
    switch error.kind {
    case .deadlineExceeded:
      self.init(
        .deadlineExceeded, reason: "DATABASE_SLOW",
        "the deadline passed before the database answered")
    case .cancelled: self.init(.cancelled, "the call was cancelled")
    case .exhausted(let limit):
      self.init(
        .unavailable, reason: "DATABASE_BUSY", "the database is busy; try again",
        metadata: ["limit": limit])
    case .outcomeUnknown:
      self.init(
        .unavailable, reason: "OUTCOME_UNKNOWN",
        "the connection to the database was lost; the change may or may not have been made")
    default:
      guard error.isRetryable else { return nil }
      self.init(
        .unavailable, reason: "DATABASE_UNAVAILABLE", "the database is not available; try again")
    }
  }
}

extension ServerContext {
  /// The longest wait for the database, where a call has a later deadline, or none as a watch.
  package static let databaseTimeout: Duration = .seconds(10)

  /// Until when an exchange with the database that begins now is to be over.
  package var databaseDeadline: Instant { min(deadline, .now() + Self.databaseTimeout) }
}
