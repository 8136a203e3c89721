import ArgumentParser
import JSON

enum OutputFormat: String, CaseIterable, Sendable, ExpressibleByArgument {
  case table, json, yaml
}

/// Where results go, and how they are told. What happens meanwhile goes to standard error.
struct Output: Sendable {
  let format: OutputFormat
  let results: Terminal
  let messages: Terminal

  init(_ format: OutputFormat, environment: [String: String]) {
    self.format = format
    results = Terminal(.output, environment: environment)
    messages = Terminal(.error, environment: environment)
  }

  /// One document, or what people see of it.
  func show(_ document: JSON, asText text: () -> [String]) throws {
    switch format {
    case .json: results.line(Document.indentedJSON(document))
    case .yaml: results.write(try Document.yaml(document))
    case .table: for line in text() { results.line(line) }
    }
  }

  /// One of many that come one by one: a line of JSON, or a document of a stream of YAML.
  func showNext(_ document: JSON, asText text: () -> [String]) throws {
    switch format {
    case .json: results.line(document.serializedText())
    case .yaml: results.write("---\n" + (try Document.yaml(document)))
    case .table: for line in text() { results.line(line) }
    }
  }

  func show(_ document: JSON, as table: Table) throws {
    try show(document) { table.lines(on: results) }
  }

  /// Names and values, one a line.
  func describe(_ document: JSON, _ members: [(name: String, cell: Table.Cell)]) throws {
    try show(document) {
      let shown = members.filter { !$0.cell.text.isEmpty }
      let width = shown.map(\.name.count).max() ?? 0
      return shown.map { name, cell in
        let value = cell.style.map { results.styled(cell.text, $0) } ?? cell.text
        let padding = String(repeating: " ", count: width - name.count)
        return results.styled(name, .dim) + padding + "  " + value
      }
    }
  }
}
