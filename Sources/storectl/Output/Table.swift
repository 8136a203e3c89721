/// Rows in columns.
struct Table {
  struct Cell {
    var text: String
    var style: TextStyle?

    init(_ text: String, _ style: TextStyle? = nil) {
      self.text = text.printable
      self.style = style
    }
  }

  private static let gap = "  "

  let columns: [String]
  /// The least width of each column, for rows that come one by one.
  var widthsMin: [Int] = []
  private(set) var rows: [[Cell]] = []

  init(_ columns: [String], widthsMin: [Int] = []) {
    self.columns = columns
    self.widthsMin = widthsMin
  }

  mutating func add(_ cells: [Cell]) { rows.append(cells) }

  /// The heading and the rows, each as wide as what it shows.
  func lines(on terminal: Terminal) -> [String] {
    let heading = columns.map { Cell($0, .bold) }
    let widths = widths
    return ([heading] + rows).map { Self.line($0, widths, terminal) }
  }

  func heading(on terminal: Terminal) -> String {
    Self.line(columns.map { Cell($0, .bold) }, widths, terminal)
  }

  func line(_ cells: [Cell], on terminal: Terminal) -> String {
    Self.line(cells, widths, terminal)
  }

  private var widths: [Int] {
    columns.indices.map { index in
      let least = index < widthsMin.count ? widthsMin[index] : 0
      let widest = rows.map { $0[index].text.count }.max() ?? 0
      return max(least, widest, columns[index].count)
    }
  }

  private static func line(_ cells: [Cell], _ widths: [Int], _ terminal: Terminal) -> String {
    var line = ""
    for (index, cell) in cells.enumerated() {
      let padding = index == cells.count - 1 ? 0 : max(0, widths[index] - cell.text.count)
      if index > 0 { line += gap }
      line += cell.style.map { terminal.styled(cell.text, $0) } ?? cell.text
      line += String(repeating: " ", count: padding)
    }
    while line.last == " " { line.removeLast() }
    return line
  }
}
