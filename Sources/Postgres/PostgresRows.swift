/// The outcome of one statement: its rows, or the count of rows it changed. Confined to its reactor.
package struct PostgresRows: RandomAccessCollection {
  let result: LibpqResult

  package var startIndex: Int { 0 }
  package var endIndex: Int { result.rowCount }

  package subscript(position: Int) -> PostgresRow {
    precondition(indices.contains(position), "row \(position) of \(count)")
    return PostgresRow(result: result, row: position)
  }

  /// Rows inserted, updated, deleted or returned.
  package var affectedRows: Int { result.affectedRows }

  /// The tag of the command, such as `INSERT 0 1`.
  package var commandTag: String { result.commandTag }
}

/// A column by its name or its position from 0.
package struct PostgresColumn: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
  enum Reference {
    case name(StaticString)
    case position(Int)
  }

  let reference: Reference

  package init(stringLiteral name: StaticString) { reference = .name(name) }
  package init(integerLiteral position: Int) { reference = .position(position) }
  package init(_ position: Int) { reference = .position(position) }
}

/// One row of a result.
package struct PostgresRow {
  let result: LibpqResult
  let row: Int

  /// The value of `column` as a `T`; NULL is an error unless `T` is optional.
  ///
  /// - Throws: `badValue`, naming the column, where it is missing, NULL, or of a type that is not
  ///   read as `T`.
  package func decode<T: PostgresDecodable>(
    _ column: PostgresColumn, as type: T.Type = T.self
  ) throws(PostgresError) -> T {
    try T.decode(cell(column))
  }

  package func isNull(_ column: PostgresColumn) throws(PostgresError) -> Bool {
    try cell(column).bytes == nil
  }

  private func cell(_ column: PostgresColumn) throws(PostgresError) -> PostgresCell {
    let index: Int? =
      switch column.reference {
      case .name(let name): result.columnIndex(named: name)
      case .position(let position): (0..<result.columnCount).contains(position) ? position : nil
      }
    guard let index else {
      let names = (0..<result.columnCount).map(result.columnName).joined(separator: ", ")
      throw PostgresError(.badValue, "no column \(column.reference) in a row of (\(names))")
    }
    return PostgresCell(result: result, row: row, column: index)
  }
}

extension PostgresColumn.Reference: CustomStringConvertible {
  var description: String {
    switch self {
    case .name(let name): "'\(name)'"
    case .position(let position): "\(position)"
    }
  }
}
