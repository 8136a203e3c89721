/// Takes known secrets out of a text that is to be shown.
package enum Redaction {
  package static func redact(_ text: String, _ secrets: [String]) -> String {
    String(decoding: redact(Array(text.utf8), secrets), as: UTF8.self)
  }

  /// The end of a text, at most `bytesMax` bytes; one that is cut begins with a whole word where it has
  /// one. Redacted before it is cut: what is left of a secret at the cut would not be known as one.
  package static func tail(of text: [UInt8], bytesMax: Int, _ secrets: [String]) -> String {
    let shown = redact(text, secrets)
    if shown.count <= bytesMax { return String(decoding: shown, as: UTF8.self) }
    let cut = shown.suffix(bytesMax)
    let words = cut.firstIndex(where: isSpace).map { cut[$0...].drop(while: isSpace) }
    return String(decoding: words ?? cut, as: UTF8.self)
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || (UInt8(ascii: "\t")...UInt8(ascii: "\r")).contains(byte)
  }

  private static func redact(_ text: [UInt8], _ secrets: [String]) -> [UInt8] {
    // Longest first: one secret may be the beginning of another.
    let secrets = secrets.map { Array($0.utf8) }.filter { !$0.isEmpty }
      .sorted { $0.count > $1.count }
    var isFirst = [Bool](repeating: false, count: 256)
    for secret in secrets { isFirst[Int(secret[0])] = true }
    var shown: [UInt8] = []
    var index = text.startIndex
    while index < text.endIndex {
      let byte = text[index]
      if isFirst[Int(byte)], let secret = secrets.first(where: { text[index...].starts(with: $0) })
      {
        shown += Array("[secret]".utf8)
        index += secret.count
      } else {
        shown.append(byte)
        index += 1
      }
    }
    return shown
  }
}
