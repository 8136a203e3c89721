import CLibpq
import Glibc

/// One result of libpq: rows with their columns' names and types, or a command's outcome.
final class LibpqResult {
  enum Status {
    case rows
    case pipelineSync
    case pipelineAborted
    case failure
    case unexpected
  }

  private let result: OpaquePointer
  let rowCount: Int
  let columnCount: Int

  /// Takes ownership of `result`.
  init(_ result: OpaquePointer) {
    self.result = result
    rowCount = Int(PQntuples(result))
    columnCount = Int(PQnfields(result))
  }

  deinit { PQclear(result) }

  var status: Status {
    switch PQresultStatus(result) {
    case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: .rows
    case PGRES_PIPELINE_SYNC: .pipelineSync
    case PGRES_PIPELINE_ABORTED: .pipelineAborted
    case PGRES_FATAL_ERROR, PGRES_NONFATAL_ERROR, PGRES_BAD_RESPONSE: .failure
    default: .unexpected
    }
  }

  /// The tag of the command that ran, such as `INSERT 0 1` or `ROLLBACK`.
  var commandTag: String { PQcmdStatus(result).map { String(cString: $0) } ?? "" }

  var affectedRows: Int { PQcmdTuples(result).flatMap { Int(String(cString: $0)) } ?? 0 }

  // MARK: Columns

  func columnIndex(named name: StaticString) -> Int? {
    (0..<columnCount).first { index in
      guard let candidate = PQfname(result, Int32(index)) else { return false }
      return strcmp(candidate, UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self))
        == 0
    }
  }

  func columnName(_ column: Int) -> String {
    PQfname(result, Int32(column)).map { String(cString: $0) } ?? "?"
  }

  func columnType(_ column: Int) -> PostgresType {
    PostgresType(rawValue: PQftype(result, Int32(column)))
  }

  func isBinary(_ column: Int) -> Bool { PQfformat(result, Int32(column)) == 1 }

  /// The bytes of a value, valid as long as this result; nil for NULL.
  func value(row: Int, column: Int) -> UnsafeRawBufferPointer? {
    if PQgetisnull(result, Int32(row), Int32(column)) == 1 { return nil }
    return UnsafeRawBufferPointer(
      start: PQgetvalue(result, Int32(row), Int32(column)),
      count: Int(PQgetlength(result, Int32(row), Int32(column))))
  }

  // MARK: Errors

  /// The server's error, without its DETAIL and CONTEXT, which quote values.
  var error: PostgresError {
    guard let sqlState = field("C").map(SQLState.init(rawValue:)) else {
      return PostgresError(.connectionLost, LibpqResult.oneLine(PQresultErrorMessage(result)))
    }
    let message = field("M") ?? "no message"
    var error = PostgresError(
      .server,
      sqlState.messageQuotesValues ? PostgresError.withoutQuotedValues(message) : message)
    error.sqlState = sqlState
    error.schema = field("s")
    error.table = field("t")
    error.column = field("c")
    error.constraint = field("n")
    return error
  }

  /// A field of an error or notice, by its letter in the protocol.
  func field(_ letter: Unicode.Scalar) -> String? {
    PQresultErrorField(result, Int32(letter.value)).map { String(cString: $0) }
  }

  static func oneLine(_ message: UnsafePointer<CChar>?) -> String {
    guard let message else { return "" }
    return String(cString: message).split(separator: "\n").joined(separator: "; ")
  }
}
