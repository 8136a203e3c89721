/// The `tracestate` header (W3C Trace Context, section 3.3): other vendors' entries. We add none and
/// hand them on in their order, within the limits below.
package struct TraceState: Sendable, Hashable {
  /// A list may have this many entries (section 3.3.1.1); one with more is not valid.
  package static let entriesMaximum = 32
  /// A receiver must hand on at least this much (section 3.3.1.5). Beyond it, entries over
  /// `longEntryBytes` go first, then those at the end.
  package static let bytesMaximum = 512
  package static let longEntryBytes = 128
  /// More than this is not even read.
  package static let inputBytesMaximum = 8192

  /// The header to send; empty when there is nothing to send.
  package let text: String

  package static let empty = TraceState(checked: "")

  private init(checked text: String) {
    self.text = text
  }

  /// nil when the list is not valid as a whole: a bad entry, a key twice, or too many entries.
  package init?(_ header: String) {
    guard header.utf8.count <= Self.inputBytesMaximum else { return nil }
    var entries: [Substring] = []
    var keys: Set<Substring> = []
    for member in header.split(separator: ",", omittingEmptySubsequences: false) {
      let entry = Self.trimmed(member)
      if entry.isEmpty { continue }
      guard let key = Self.key(of: entry), keys.insert(key).inserted,
        entries.count < Self.entriesMaximum
      else { return nil }
      entries.append(entry)
    }
    text = Self.shortened(entries).joined(separator: ",")
  }

  private static func shortened(_ entries: [Substring]) -> [Substring] {
    var kept = entries
    var length = entries.reduce(entries.count - 1) { $0 + $1.utf8.count }
    for index in kept.indices.reversed() where length > bytesMaximum {
      if kept[index].utf8.count > longEntryBytes {
        length -= kept.remove(at: index).utf8.count + 1
      }
    }
    while length > bytesMaximum, let last = kept.popLast() { length -= last.utf8.count + 1 }
    return kept
  }

  private static func trimmed(_ member: Substring) -> Substring {
    let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
    let bytes = member.utf8
    guard let first = bytes.firstIndex(where: { !isBlank($0) }),
      let last = bytes.lastIndex(where: { !isBlank($0) })
    else { return "" }
    return Substring(bytes[first...last])
  }

  /// The key of a valid entry; nil when key or value breaks the grammar.
  private static func key(of entry: Substring) -> Substring? {
    let bytes = entry.utf8
    guard let equals = bytes.firstIndex(of: UInt8(ascii: "=")) else { return nil }
    let value = bytes[bytes.index(after: equals)...]
    // `entry` is trimmed, so the value does not end in a space.
    guard (1...256).contains(value.count),
      value.allSatisfy({ (0x20...0x7e).contains($0) && $0 != UInt8(ascii: "=") })
    else { return nil }
    let key = bytes[..<equals]
    return isValid(key: key) ? Substring(key) : nil
  }

  private static func isValid(key: Substring.UTF8View) -> Bool {
    guard let at = key.firstIndex(of: UInt8(ascii: "@")) else {
      return isName(key, lengthMaximum: 256, digitFirst: false)
    }
    return isName(key[..<at], lengthMaximum: 241, digitFirst: true)
      && isName(key[key.index(after: at)...], lengthMaximum: 14, digitFirst: false)
  }

  private static func isName(
    _ name: Substring.UTF8View, lengthMaximum: Int, digitFirst: Bool
  ) -> Bool {
    guard let first = name.first, name.count <= lengthMaximum else { return false }
    let isLetter = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first)
    let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
    guard isLetter || (digitFirst && isDigit) else { return false }
    return name.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "*"), UInt8(ascii: "/"):
        true
      default: false
      }
    }
  }
}
