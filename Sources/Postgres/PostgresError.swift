/// What went wrong with a database call: never holds a parameter's value or a password.
package struct PostgresError: Error, Equatable, CustomStringConvertible {
  package enum Kind: Equatable, Sendable {
    /// The server refused a statement; `sqlState` says why.
    case server
    /// No connection could be made; nothing was sent.
    case connectFailed
    /// The connection was lost inside a transaction that was not being committed: it is rolled back.
    case connectionLost
    /// The connection was lost during a commit, or during a statement outside a transaction: the
    /// change may or may not have been made.
    case outcomeUnknown
    case deadlineExceeded
    case cancelled
    /// A statement, its parameters or its result are larger than allowed; the limit's name.
    case limitReached(String)
    /// Too many at once: a queue is full or a wait was too long; the limit's name.
    case exhausted(String)
    /// A value cannot be sent, or a column cannot be read as the type asked for.
    case badValue
    /// The connection, pool or transaction was used after its end.
    case closed
    /// The call itself is wrong.
    case misuse
  }

  package let kind: Kind
  package let message: String
  package var sqlState: SQLState?
  package var schema: String?
  package var table: String?
  package var column: String?
  package var constraint: String?
  /// Which statement of a pipeline failed, from 0.
  package var statement: Int?

  package init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  package var description: String {
    var text = message
    if let sqlState { text += " (SQLSTATE \(sqlState.rawValue))" }
    if let constraint { text += " [constraint \(constraint)]" }
    if let table { text += " [table \(table)]" }
    return text
  }

  /// Whether the whole transaction may be run again with hope of another result.
  ///
  /// False for `outcomeUnknown`: only who knows the statement can tell whether doing it twice harms.
  package var isRetryable: Bool {
    switch kind {
    case .server: sqlState?.isRetryable ?? false
    case .connectFailed, .connectionLost, .exhausted: true
    case .outcomeUnknown, .deadlineExceeded, .cancelled: false
    case .limitReached, .badValue, .closed, .misuse: false
    }
  }
}

/// A five-character error code of the SQL standard (PostgreSQL's Appendix A).
package struct SQLState: RawRepresentable, Hashable, Sendable {
  package let rawValue: String
  package init(rawValue: String) { self.rawValue = rawValue }

  package static let uniqueViolation = SQLState(rawValue: "23505")
  package static let foreignKeyViolation = SQLState(rawValue: "23503")
  package static let notNullViolation = SQLState(rawValue: "23502")
  package static let checkViolation = SQLState(rawValue: "23514")
  package static let exclusionViolation = SQLState(rawValue: "23P01")
  package static let serializationFailure = SQLState(rawValue: "40001")
  package static let deadlockDetected = SQLState(rawValue: "40P01")
  package static let insufficientPrivilege = SQLState(rawValue: "42501")
  package static let undefinedTable = SQLState(rawValue: "42P01")
  package static let tooManyConnections = SQLState(rawValue: "53300")
  package static let lockNotAvailable = SQLState(rawValue: "55P03")
  package static let queryCanceled = SQLState(rawValue: "57014")
  package static let adminShutdown = SQLState(rawValue: "57P01")
  package static let crashShutdown = SQLState(rawValue: "57P02")
  package static let cannotConnectNow = SQLState(rawValue: "57P03")
  package static let inFailedTransaction = SQLState(rawValue: "25P02")
  package static let featureNotSupported = SQLState(rawValue: "0A000")
  package static let invalidStatementName = SQLState(rawValue: "26000")

  /// Two transactions got into each other's way: the loser may run again at once.
  package var isConcurrencyFailure: Bool {
    self == .serializationFailure || self == .deadlockDetected
  }

  var isRetryable: Bool {
    isConcurrencyFailure || rawValue.hasPrefix("08")
      || [
        .tooManyConnections, .lockNotAvailable, .adminShutdown, .crashShutdown, .cannotConnectNow,
      ].contains(self)
  }

  /// Messages of class 22 (data exceptions) quote the offending value.
  var messageQuotesValues: Bool { rawValue.hasPrefix("22") }
}

extension PostgresError {
  static func connectionLost(_ reason: String, outcomeUnknown: Bool) -> PostgresError {
    outcomeUnknown
      ? PostgresError(
        .outcomeUnknown,
        "the connection to the database was lost before it answered; the change may or may not "
          + "have been made: \(reason)")
      : PostgresError(.connectionLost, "the connection to the database was lost: \(reason)")
  }

  static let deadlineExceeded = PostgresError(
    .deadlineExceeded, "the deadline passed before the database answered")
  static let cancelled = PostgresError(.cancelled, "the call was cancelled")

  static func limitReached(_ name: String, _ message: String) -> PostgresError {
    PostgresError(.limitReached(name), message)
  }

  static func exhausted(_ name: String, _ message: String) -> PostgresError {
    PostgresError(.exhausted(name), message)
  }

  /// `message` without the values it quotes: from the first quotation mark to the last, and raw bytes.
  static func withoutQuotedValues(_ message: String) -> String {
    var text = Substring(message)
    if let first = text.firstIndex(of: "\""), let last = text.lastIndex(of: "\"") {
      text = text[..<first] + "(value not shown)" + text[text.index(after: last)...]
    }
    if let bytes = text.firstRange(of: ": 0x") { text = text[..<bytes.lowerBound] }
    return String(text)
  }
}
