import Contracts
import Postgres
import RPCCore
import ServiceRuntime
import Testing

/// What a caller is told of a database that fails.
@Suite struct DatabaseErrorTests {
  private func error(_ kind: PostgresError.Kind, _ state: SQLState? = nil) -> PostgresError {
    var error = PostgresError(kind, "internals that are nobody's business")
    error.sqlState = state
    return error
  }

  @Test func whatMayPassIsTold() {
    let cases: [(PostgresError, StatusCode, String?)] = [
      (error(.connectFailed), .unavailable, "DATABASE_UNAVAILABLE"),
      (error(.connectionLost), .unavailable, "DATABASE_UNAVAILABLE"),
      (error(.server, .serializationFailure), .unavailable, "DATABASE_UNAVAILABLE"),
      (error(.exhausted("waitersMax")), .unavailable, "DATABASE_BUSY"),
      (error(.outcomeUnknown), .unavailable, "OUTCOME_UNKNOWN"),
      (error(.deadlineExceeded), .deadlineExceeded, "DATABASE_SLOW"),
      (error(.cancelled), .cancelled, nil),
    ]
    for (error, code, reason) in cases {
      let told = RPCError(database: error)
      #expect(told?.code == code)
      #expect(told?.errorInfo?.reason == reason)
      #expect(told?.message.contains("internals") == false)
    }
  }

  @Test func whatAPersonMustMendIsNot() {
    let cases = [
      error(.server, .undefinedTable), error(.server, .insufficientPrivilege), error(.misuse),
      error(.badValue), error(.closed),
    ]
    for error in cases { #expect(RPCError(database: error) == nil) }
  }

  @Test func anErrorTellsABoundedNumberOfFields() {
    let violations = (0..<40).map { FieldViolation("field\($0)", "wrong") }
    let error = RPCError.invalidArgument(violations)
    #expect(error.fieldViolations == Array(violations.prefix(RPCError.fieldViolationsMax)))
    #expect(error.errorInfo?.reason == "INVALID_FIELD")
    #expect(error.status?.message == error.message)
  }
}
