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
    let names = Dictionary(
      uniqueKeysWithValues: FailureCode.allCases.map { ($0.rawValue, "\($0)") })
    let rows = try Self.rows().filter { $0.test.contains(".") }
    #expect(rows.count >= FailureCode.allCases.count - 1)
    for row in rows {
      let (suite, test) = try #require(
        row.test.firstIndex(of: ".").map { dot in
          (row.test[..<dot], row.test[row.test.index(after: dot)...])
        })
      let source = sources.first { source in
        source.contains("func \(test)(")
          && (source.contains("struct \(suite) ") || source.contains("extension \(suite) "))
      }
      let body = try #require(source, "\(row.test) is not there")
      guard let name = names[row.subject] else { continue }
      #expect(
        body.contains(".\(name)") || body.contains("\"\(row.subject)\""),
        "\(row.test) does not name \(row.subject)")
    }
  }
}
