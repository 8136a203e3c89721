/// Writes JSON piece by piece into one buffer, compact, without making values first.
///
/// Commas come by themselves. Balanced brackets, and a key before each member's value, are the
/// caller's part.
package struct JSONWriter {
  /// The document so far, UTF-8.
  package private(set) var bytes: [UInt8] = []
  private var needsComma = false

  package init(reservingBytes: Int = 0) {
    bytes.reserveCapacity(reservingBytes)
  }

  /// The document so far as text.
  package var text: String { String(decoding: bytes, as: UTF8.self) }

  package mutating func openObject() { open(UInt8(ascii: "{")) }
  package mutating func closeObject() { close(UInt8(ascii: "}")) }
  package mutating func openArray() { open(UInt8(ascii: "[")) }
  package mutating func closeArray() { close(UInt8(ascii: "]")) }

  package mutating func key(_ key: String) {
    string(key)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  package mutating func null() { literal("null") }
  package mutating func bool(_ value: Bool) { literal(value ? "true" : "false") }
  package mutating func number(_ value: JSONNumber) { literal(value.text) }
  package mutating func integer(_ value: Int64) { literal(String(value)) }
  package mutating func integer(_ value: Int) { literal(String(value)) }
  package mutating func integer(_ value: UInt64) { literal(String(value)) }

  /// Infinities and NaN, which JSON does not have, become the strings that proto3's JSON mapping
  /// uses: "Infinity", "-Infinity", "NaN".
  package mutating func double(_ value: Double) {
    if value.isFinite {
      literal("\(value)")
    } else {
      string(value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity")
    }
  }

  package mutating func string(_ value: String) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    var value = value
    value.withUTF8 { appendEscaped($0) }
    bytes.append(UInt8(ascii: "\""))
    needsComma = true
  }

  /// Text that is not a `String`, without making one.
  package mutating func string(_ value: UTF8Span) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    value.span.withUnsafeBufferPointer { appendEscaped($0) }
    bytes.append(UInt8(ascii: "\""))
    needsComma = true
  }

  /// - Parameter sortingKeys: members in the order of their keys' UTF-8 bytes instead of the
  ///   object's own, so that equal values have equal bytes.
  package mutating func value(_ value: JSON, sortingKeys: Bool = false) {
    switch value {
    case .null: null()
    case .bool(let value): bool(value)
    case .number(let value): number(value)
    case .string(let value): string(value)
    case .array(let elements):
      openArray()
      for element in elements { self.value(element, sortingKeys: sortingKeys) }
      closeArray()
    case .object(let object):
      openObject()
      let members =
        sortingKeys
        ? object.members.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        : object.members
      for member in members {
        key(member.key)
        self.value(member.value, sortingKeys: sortingKeys)
      }
      closeObject()
    }
  }

  private mutating func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
  }

  private mutating func open(_ bracket: UInt8) {
    separate()
    bytes.append(bracket)
    needsComma = false
  }

  private mutating func close(_ bracket: UInt8) {
    bytes.append(bracket)
    needsComma = true
  }

  private mutating func literal(_ text: String) {
    separate()
    bytes.append(contentsOf: text.utf8)
    needsComma = true
  }

  private mutating func appendEscaped(_ text: UnsafeBufferPointer<UInt8>) {
    var runStart = 0
    for index in text.indices {
      let byte = text[index]
      guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else {
        continue
      }
      bytes.append(contentsOf: text[runStart..<index])
      appendEscape(byte)
      runStart = index + 1
    }
    bytes.append(contentsOf: text[runStart...])
  }

  private mutating func appendEscape(_ byte: UInt8) {
    bytes.append(UInt8(ascii: "\\"))
    switch byte {
    case 0x08: bytes.append(UInt8(ascii: "b"))
    case 0x09: bytes.append(UInt8(ascii: "t"))
    case 0x0A: bytes.append(UInt8(ascii: "n"))
    case 0x0C: bytes.append(UInt8(ascii: "f"))
    case 0x0D: bytes.append(UInt8(ascii: "r"))
    case 0..<0x20:
      let digits = Array("0123456789abcdef".utf8)
      bytes.append(contentsOf: [0x75, 0x30, 0x30, digits[Int(byte >> 4)], digits[Int(byte & 15)]])
    default: bytes.append(byte)
    }
  }
}

extension JSON {
  /// The compact document; see `JSONWriter.value` for the order of members.
  package func serialized(sortingKeys: Bool = false) -> [UInt8] {
    var writer = JSONWriter()
    writer.value(self, sortingKeys: sortingKeys)
    return writer.bytes
  }

  package func serializedText(sortingKeys: Bool = false) -> String {
    String(decoding: serialized(sortingKeys: sortingKeys), as: UTF8.self)
  }
}
