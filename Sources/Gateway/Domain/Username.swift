/// The name that a person signs in with: 1 to 64 lower-case letters, digits and `._@+-`, a letter or
/// digit first. Capitals are read as their small letters.
package struct Username: Hashable, Sendable, CustomStringConvertible {
  package static let lengthMax = 64

  package let text: String

  /// Nil for what is no username; `rule` says why.
  package init?(_ text: String) {
    let bytes = text.utf8.map { 0x41...0x5A ~= $0 ? $0 | 0x20 : $0 }
    guard let first = bytes.first, bytes.count <= Self.lengthMax, Self.isAlphanumeric(first),
      bytes.allSatisfy({ Self.isAlphanumeric($0) || Self.marks.contains($0) })
    else { return nil }
    self.text = String(decoding: bytes, as: UTF8.self)
  }

  package static let rule =
    "use 1 to \(lengthMax) letters, digits and ._@+-, beginning with a letter or digit"

  package var description: String { text }

  private static let marks = Set("._@+-".utf8)

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    0x61...0x7A ~= byte || 0x30...0x39 ~= byte
  }
}
