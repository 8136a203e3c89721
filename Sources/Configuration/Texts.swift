/// Durations as people write them: a whole number and a unit.
package enum DurationText {
  /// nil for anything but digits and one of `ms`, `s`, `m`, `h`, `d`, and for more than 292 years.
  package static func parse(_ text: String) -> Duration? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let count = Int64(digits) else { return nil }
    let milliseconds: Int64
    switch text[digits.endIndex...] {
    case "ms": milliseconds = 1
    case "s": milliseconds = 1000
    case "m": milliseconds = 60_000
    case "h": milliseconds = 3_600_000
    case "d": milliseconds = 86_400_000
    default: return nil
    }
    let (total, overflow) = count.multipliedReportingOverflow(by: milliseconds)
    guard !overflow, total <= Int64.max / 1_000_000 else { return nil }
    return .milliseconds(total)
  }

  /// In the largest unit that makes a whole number.
  package static func format(_ duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)]
      as [(String, Int64)]
    where milliseconds >= size && milliseconds % size == 0 {
      return "\(milliseconds / size)\(unit)"
    }
    return "\(milliseconds)ms"
  }
}

/// Finds what somebody meant to write.
enum Spelling {
  /// The candidate that is the fewest edits away (insert, delete, replace, swap neighbours), if that is
  /// near enough to be a slip: one edit in three letters.
  static func nearest(to word: String, among candidates: [String]) -> String? {
    let word = Array(word.lowercased().utf8.prefix(wordBytesMaximum))
    var best: (distance: Int, candidate: String)?
    for candidate in candidates.sorted() {
      let distance = distance(word, Array(candidate.lowercased().utf8.prefix(wordBytesMaximum)))
      if distance <= max(1, word.count / 3), distance < best?.distance ?? .max {
        best = (distance, candidate)
      }
    }
    return best?.candidate
  }

  private static let wordBytesMaximum = 64

  private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var beforeLast: [Int] = []
    var last = Array(0...right.count)
    for (row, byte) in left.enumerated() {
      var current = [row + 1]
      for (column, other) in right.enumerated() {
        var cost = min(
          last[column + 1] + 1, current[column] + 1, last[column] + (byte == other ? 0 : 1))
        if row > 0, column > 0, byte == right[column - 1], left[row - 1] == other {
          cost = min(cost, beforeLast[column - 1] + 1)
        }
        current.append(cost)
      }
      (beforeLast, last) = (last, current)
    }
    return last[right.count]
  }
}

/// How somebody's input is shown in a message: quoted, short, without control characters.
enum Shown {
  static let bytesMaximum = 64

  static func text(_ text: String) -> String {
    var shown = ""
    for scalar in text.unicodeScalars {
      if shown.utf8.count >= bytesMaximum { return "\"\(shown)…\"" }
      shown +=
        scalar.properties.generalCategory == .control
          || scalar.properties.generalCategory == .format
        ? "\\u{\(String(scalar.value, radix: 16))}" : String(scalar)
    }
    return "\"\(shown)\""
  }

  static func trimmed(_ text: some StringProtocol) -> String {
    let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
    return String(text.drop(while: isBlank).reversed().drop(while: isBlank).reversed())
  }
}
