import Foundation
import ProvisionerService
import Testing

/// docs/failures.md tells of every code, and of the test that brings it about.
@Suite struct FailureTableTests {
  private struct Row {
    let subject: String
    let cells: [String]

    /// `Suite.test`, of the last cell.
    var test: String { cells[cells.count - 1] }
  }

  private static func rows() throws -> [Row] {
    let text = try String(contentsOfFile: Checkout.file("docs/failures.md"), encoding: .utf8)
    return text.split(separator: "\n").filter { $0.hasPrefix("| ") }.map { line in
      let cells = line.split(separator: "|").map {
        $0.trimmingCharacters(in: CharacterSet(charactersIn: " `"))
      }
      return Row(subject: cells[0], cells: cells)
    }
  }

  @Test func tellsOfEveryCodeWhatItIs() throws {
    let rows = Dictionary(grouping: try Self.rows(), by: \.subject)
    for code in FailureCode.allCases {
      let found = rows[code.rawValue] ?? []
      try #require(found.count == 1, "\(code.rawValue)")
      let again = code.isOutage ? "as an outage" : code.isRetryable ? "yes" : "no"
      #expect(
        found[0].cells[1...2] == [code.isUserFault ? "tenant" : "platform", again],
        "\(code.rawValue)")
    }
  }

  /// UNEXPECTED is what none of them is.
  @Test func namesATestOfEveryRowThatIsThere() throws {
    let folder = Checkout.file("Tests/ProvisionerBackendTests")
    let sources = try FileManager.default.contentsOfDirectory(atPath: folder).filter {
      $0.hasSuffix(".swift")
    }.map {
      try String(contentsOfFile: "\(folder)/\($0)", encoding: .utf8)
    }
    let codes = Dictionary(
      uniqueKeysWithValues: FailureCode.allCases.map { ($0.rawValue, $0) })
    let rows = try Self.rows().filter { $0.test.contains(".") }
    #expect(rows.count >= FailureCode.allCases.count - 1)
    for row in rows {
      let names = row.test.split(separator: ".")
      try #require(names.count == 2, "\(row.test) is no test")
      let text = try #require(
        sources.lazy.compactMap { TestText.find(names[1], of: names[0], in: $0) }.first,
        "\(row.test) is not there")
      guard let code = codes[row.subject] else { continue }
      #expect(text.names(code), "\(row.test) does not name \(row.subject)")
    }
  }

  private static let source = """
    extension First {
      func other() { #expect(code == .helmFailed) }
    }

    @Suite struct Second {
      private static let table: [FailureCode] = [
        .crashLoop, .outOfMemory,
      ]
      private static let others: [FailureCode] = [.quotaExceeded]

      @Test(arguments: table) func one(code: FailureCode) {
        #expect(failure.code == code && code != .helmFailedTwice)
      }

      /// Not .releaseGone, that is of the next.
      @Test
      func other() async throws {
        let known = "INTERRUPTED"
      }

      @Test func last() { #expect(code == .cancelled) }
    }
    """

  @Test(arguments: [
    ("Second", "one", FailureCode.crashLoop), ("Second", "one", .outOfMemory),
    ("Second", "other", .interrupted), ("Second", "last", .cancelled),
    ("First", "other", .helmFailed),
  ])
  func seesWhatATestNames(suite: String, test: String, code: FailureCode) throws {
    let text = try #require(TestText.find(test[...], of: suite[...], in: Self.source))
    #expect(text.names(code))
  }

  /// Of the next test, of the one before, of another suite's, of a table that is not its own, with a name that
  /// begins as another's, of a comment.
  @Test(arguments: [
    ("Second", "one", FailureCode.interrupted), ("Second", "other", .crashLoop),
    ("Second", "other", .cancelled), ("Second", "other", .helmFailed),
    ("Second", "one", .quotaExceeded), ("Second", "one", .helmFailed),
    ("Second", "other", .releaseGone),
  ])
  func seesNothingBesideTheTest(suite: String, test: String, code: FailureCode) throws {
    let text = try #require(TestText.find(test[...], of: suite[...], in: Self.source))
    #expect(!text.names(code))
  }

  @Test(arguments: [("First", "one"), ("Third", "other"), ("Second", "oth")])
  func seesNoTestThatIsNotThere(suite: String, test: String) {
    #expect(TestText.find(test[...], of: suite[...], in: Self.source) == nil)
  }
}

/// What a test says in its function and in the table of its arguments, as the formatter lays them out.
private struct TestText {
  private let text: String

  /// Whether a code stands there, as a case or as what it is called outside.
  func names(_ code: FailureCode) -> Bool {
    if text.contains("\"\(code.rawValue)\"") { return true }
    let name = ".\(code)"
    return text.ranges(of: name).contains { range in
      let next = text[range.upperBound...].first
      return next.map { !$0.isLetter && !$0.isNumber && $0 != "_" } ?? true
    }
  }

  /// Nil where the suite has no such test in `source`.
  static func find(
    _ test: Substring, of suite: Substring, in source: String
  ) -> TestText? {
    let lines = source.split(separator: "\n", omittingEmptySubsequences: false)
    var current: Substring?
    for (index, line) in lines.enumerated() {
      if let name = suiteName(line) { current = name }
      guard current == suite, line.contains("func \(test)(") else { continue }
      let begin = lines[...index].lastIndex { $0.contains("@Test") || $0.isEmpty } ?? index
      let head = lines[begin...index].joined(separator: "\n")
      return TestText(
        text: head + block(from: index, in: lines) + table(ofArguments: head, in: lines))
    }
    return nil
  }

  /// The name of the type that begins, or goes on, with the line; nil where none does.
  private static func suiteName(_ line: Substring) -> Substring? {
    guard line.first?.isWhitespace == false else { return nil }
    let words = line.split { !$0.isLetter && !$0.isNumber && $0 != "_" }
    return words.firstIndex { $0 == "struct" || $0 == "extension" || $0 == "class" }
      .flatMap { words.indices.contains($0 + 1) ? words[$0 + 1] : nil }
  }

  /// The lines of a declaration, up to what closes it.
  private static func block(from first: Int, in lines: [Substring]) -> String {
    func count(_ brackets: String) -> Int { lines[first].count { brackets.contains($0) } }
    if count("([{") == count(")]}") { return String(lines[first]) }
    let indentation = lines[first].prefix { $0 == " " }
    let last = lines[(first + 1)...].firstIndex { line in
      line.hasPrefix(indentation + "}") || line.hasPrefix(indentation + "]")
    }
    return lines[first...(last ?? first)].joined(separator: "\n")
  }

  /// The table that a test has its arguments from, where it names one.
  private static func table(ofArguments head: String, in lines: [Substring]) -> String {
    guard let begin = head.firstRange(of: "@Test(arguments: ")?.upperBound else { return "" }
    let name = head[begin...].prefix { $0 != ")" && $0 != "," }.trimmingPrefix("Self.")
    let declaration = lines.firstIndex { line in
      [":", " ="].contains { line.contains(" let \(name)\($0)") }
    }
    return declaration.map { block(from: $0, in: lines) } ?? ""
  }
}
