/// The words of a command line, taken one by one. Options stand before what the rest is about.
struct Words {
  private var words: [String]

  init(_ words: [String]) { self.words = words }

  mutating func next() -> String? { words.isEmpty ? nil : words.removeFirst() }

  /// Whether the option is among the leading ones; it is taken.
  mutating func flag(_ name: String) -> Bool {
    guard let index = words.prefix(while: { $0.hasPrefix("-") }).firstIndex(of: name) else {
      return false
    }
    words.remove(at: index)
    return true
  }

  /// The value of an option, `--name value` or `--name=value`.
  mutating func option(_ name: String) throws -> String? {
    for (index, word) in words.enumerated() {
      if word.hasPrefix(name + "=") {
        words.remove(at: index)
        return String(word.dropFirst(name.count + 1))
      }
      if word == name {
        guard index + 1 < words.count else { throw Misuse(reason: "\(name) needs a value") }
        words.remove(at: index)
        return words.remove(at: index)
      }
    }
    return nil
  }

  mutating func rest() -> [String] {
    defer { words = [] }
    return words
  }

  func end() throws {
    if let word = words.first { throw Misuse(reason: "\(word) is not understood") }
  }
}
