/// A file of settings, `NAME=VALUE` a line, `#` before a comment. A value goes to the end of its line
/// as it stands, without quotes, so that systemd, docker and this program read it alike.
struct SettingsFile {
  static let linesMaximum = 2000

  let path: String
  private(set) var lines: [String]
  private(set) var values: [String: String] = [:]
  private var places: [String: Int] = [:]

  /// - Throws: every line that is wrong.
  static func parse(_ text: String, path: String) throws(SetupError) -> SettingsFile {
    var file = SettingsFile(path: path, text: text)
    var problems = ProblemCollector()
    guard file.lines.count <= linesMaximum else {
      problems.add(
        SetupProblem(
          subject: path, reason: "has more than \(linesMaximum) lines", remedy: "restore it"))
      try problems.check()
      return file
    }
    for index in file.lines.indices {
      _ = problems.attempt { () throws(SetupProblem) in try file.take(index) }
    }
    try problems.check()
    return file
  }

  private init(path: String, text: String) {
    self.path = path
    // "\r\n" is one Character; the lines are split by bytes.
    var lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      .map { String(Substring($0)) }
    if lines.last == "" { lines.removeLast() }
    self.lines = lines
  }

  private mutating func take(_ index: Int) throws(SetupProblem) {
    let line = Self.trimmed(lines[index])
    if line.isEmpty || line.hasPrefix("#") { return }
    let subject = "\(path):\(index + 1)"
    guard let mark = line.firstIndex(of: "=") else {
      throw SetupProblem(subject: subject, reason: "has no =", remedy: "write NAME=VALUE")
    }
    let name = String(line[..<mark])
    let value = Self.trimmed(String(line[line.index(after: mark)...]))
    guard Self.isName(name) else {
      throw SetupProblem(
        subject: subject, reason: "does not begin with the name of a setting",
        remedy: "write NAME=VALUE, without `export` and without spaces before the =")
    }
    if let first = value.first, value.count > 1, "\"'".contains(first), value.last == first {
      throw SetupProblem(
        subject: subject, reason: "has its value in quotes", remedy: "take the quotes away")
    }
    if let other = places[name] {
      throw SetupProblem(
        subject: subject, reason: "gives \(name), which line \(other + 1) does too",
        remedy: "keep one of the two")
    }
    places[name] = index
    values[name] = value.isEmpty ? nil : value
  }

  /// The file with this value, in the place of the line that gives the name, or of the comment that
  /// shows it (`#NAME=`), or at the end.
  mutating func set(_ name: String, _ value: String) {
    precondition(Self.isName(name) && !value.contains(where: \.isNewline), "one line a setting")
    let line = "\(name)=\(value)"
    let place = places[name] ?? lines.firstIndex { $0.hasPrefix("#\(name)=") }
    if let place {
      lines[place] = line
    } else {
      lines.append(line)
    }
    places[name] = place ?? lines.count - 1
    values[name] = value.isEmpty ? nil : value
  }

  var text: String { lines.joined(separator: "\n") + "\n" }

  func place(of name: String) -> String {
    places[name].map { "\(path):\($0 + 1)" } ?? path
  }

  private static func isName(_ name: String) -> Bool {
    name.wholeMatch(of: /[A-Z][A-Z0-9_]*/) != nil
  }

  private static func trimmed(_ text: String) -> String {
    let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }
    let bytes = Array(text.utf8)
    guard let first = bytes.firstIndex(where: { !isBlank($0) }),
      let last = bytes.lastIndex(where: { !isBlank($0) })
    else { return "" }
    return String(decoding: bytes[first...last], as: UTF8.self)
  }
}
