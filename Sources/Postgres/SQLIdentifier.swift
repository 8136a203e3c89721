/// Names and strings inside SQL text, for the statements that take no parameters.
enum SQL {
  /// Bytes of a name that the server keeps (NAMEDATALEN - 1); a longer one would be cut silently.
  static let identifierBytesMax = 63

  /// `name` in quotation marks.
  static func identifier(_ name: String) throws(PostgresError) -> String {
    guard (1...identifierBytesMax).contains(name.utf8.count), !name.utf8.contains(0) else {
      throw PostgresError(
        .misuse, "'\(name)' cannot be a name in SQL: it needs 1 to \(identifierBytesMax) bytes")
    }
    return "\"" + name.replacing("\"", with: "\"\"") + "\""
  }

  /// `text` as a string constant, whatever standard_conforming_strings says.
  static func literal(_ text: String) -> String {
    let escaped = text.replacing("\\", with: "\\\\").replacing("'", with: "''")
    return (text.contains("\\") ? "E'" : "'") + escaped + "'"
  }
}
