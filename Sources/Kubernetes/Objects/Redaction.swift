/// Takes known secrets out of a text that is to be shown.
package enum Redaction {
  package static func redact(_ text: String, _ secrets: [String]) -> String {
    // Longest first: one secret may be the beginning of another.
    let secrets = secrets.map { Array($0.utf8) }.filter { !$0.isEmpty }
      .sorted { $0.count > $1.count }
    var shown: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.first {
      if let secret = secrets.first(where: { rest.starts(with: $0) }) {
        shown += Array("[secret]".utf8)
        rest = rest.dropFirst(secret.count)
      } else {
        shown.append(byte)
        rest = rest.dropFirst()
      }
    }
    return String(decoding: shown, as: UTF8.self)
  }
}
