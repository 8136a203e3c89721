/// Finds the name that a mistyped one was probably meant to be.
enum Suggestion {
  /// Longer names are not compared: the work is the product of the lengths.
  private static let lengthMax = 64

  /// A sentence to append to an error: the nearest of the names, or nothing when none is near.
  static func text(for typed: String, among names: [String]) -> String {
    nearest(to: typed, among: names).map { "; did you mean \"\($0)\"?" } ?? ""
  }

  static func nearest(to typed: String, among names: [String]) -> String? {
    let typed = Array(typed.utf8.map(lowercased).filter(isSignificant))
    guard 1...lengthMax ~= typed.count else { return nil }
    var best: (name: String, distance: Int)?
    for name in names where name.utf8.count <= lengthMax {
      let distance = distance(typed, Array(name.utf8.map(lowercased).filter(isSignificant)))
      guard distance <= max(1, name.utf8.count / 3) else { continue }
      if best.map({ distance < $0.distance }) ?? true { best = (name, distance) }
    }
    return best?.name
  }

  private static func lowercased(_ byte: UInt8) -> UInt8 {
    byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte
  }

  private static func isSignificant(_ byte: UInt8) -> Bool {
    byte != UInt8(ascii: "_") && byte != UInt8(ascii: "-")
  }

  /// The least number of insertions, deletions and replacements (Levenshtein).
  private static func distance(_ one: [UInt8], _ other: [UInt8]) -> Int {
    var row = Array(0...other.count)
    for (index, byte) in one.enumerated() {
      var diagonal = row[0]
      row[0] = index + 1
      for column in other.indices {
        let replaced = diagonal + (byte == other[column] ? 0 : 1)
        diagonal = row[column + 1]
        row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
      }
    }
    return row[other.count]
  }
}
