/// The schema's functions that are written in SQL, written in PL/pgSQL instead: statement for statement the same,
/// but the server plans those of SQL anew in each call, which takes it longer than all else that it does in a run.
struct KeptPlans {
  private let admin: ServerSession
  private let schema: String

  init(_ admin: ServerSession, schema: String) {
    self.admin = admin
    self.schema = schema
  }

  func write() throws {
    // What is neither of the two is a part of the statement that calls it, and has no plan of its own.
    let rows = try admin.query(
      """
      SELECT p.proname, p.prosrc, pg_get_function_result(p.oid), pg_get_functiondef(p.oid)
      FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
      WHERE p.pronamespace = '\(schema)'::regnamespace AND l.lanname = 'sql'
        AND (p.prosecdef OR p.proconfig IS NOT NULL)
      ORDER BY p.oid
      """)
    for row in rows {
      let words = row.compactMap(\.self)
      guard words.count == 4, words[3].contains("\n LANGUAGE sql\n") else {
        throw ServerSession.Failure(description: "\(row[0] ?? "") is no function as they were")
      }
      try admin.query(
        words[3].replacing("\n LANGUAGE sql\n", with: "\n LANGUAGE plpgsql\n")
          .replacing(words[1], with: body(words[1], result: words[2])))
    }
  }

  private func body(_ source: String, result: String) -> String {
    let code = source.split(separator: "\n").filter { line in
      !line.trimmingPrefix(while: \.isWhitespace).hasPrefix("--")
    }.joined(separator: "\n")
    var statements = code.split(separator: ";").map { statement in
      statement.trimmingPrefix(while: \.isWhitespace)
    }.filter { !$0.isEmpty }
    let last = statements.removeLast()
    let first = statements.map { statement in
      statement.hasPrefix("SELECT") ? "PERFORM\(statement.dropFirst(6));" : "\(statement);"
    }.joined(separator: "\n")
    // A name that is both a column's and a parameter's is the column's, as in SQL.
    let head = "\n#variable_conflict use_column\n"
    switch result {
    case "void": return "\(head)BEGIN\n\(first)\n\(last);\nEND\n"
    case _ where result.hasPrefix("TABLE(") || result.hasPrefix("SETOF "):
      return "\(head)BEGIN\n\(first)\nRETURN QUERY\n\(last);\nEND\n"
    default:
      return "\(head)DECLARE\nresult \(result);\nBEGIN\n\(first)\n\(last) INTO result;\n"
        + "RETURN result;\nEND\n"
    }
  }
}
