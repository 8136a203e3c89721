/// Hexadecimal text. Encoding is in lower case; decoding takes both cases and nothing else.
package enum Hexadecimal {
  private static let digits = [UInt8]("0123456789abcdef".utf8)

  package static func encode(_ bytes: some Collection<UInt8>) -> String {
    String(unsafeUninitializedCapacity: bytes.count * 2) { buffer in
      var offset = 0
      for byte in bytes {
        buffer[offset] = digits[Int(byte >> 4)]
        buffer[offset + 1] = digits[Int(byte & 15)]
        offset += 2
      }
      return offset
    }
  }

  package static func decode(_ text: String) throws(HexadecimalError) -> [UInt8] {
    try check(text)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count / 2)
    decodeChecked(text) { bytes.append($0) }
    return bytes
  }

  /// As `decode`, into memory that is wiped.
  package static func decodeSecret(_ text: String) throws(HexadecimalError) -> SecretBytes {
    try check(text)
    return SecretBytes(count: text.utf8.count / 2) { buffer in
      var offset = 0
      decodeChecked(text) { byte in
        buffer[offset] = byte
        offset += 1
      }
    }
  }

  private static func check(_ text: String) throws(HexadecimalError) {
    for (offset, character) in text.utf8.enumerated() where value(of: character) == nil {
      throw .invalidDigit(offset: offset)
    }
    guard text.utf8.count.isMultiple(of: 2) else { throw .oddLength(text.utf8.count) }
  }

  private static func decodeChecked(_ text: String, into append: (UInt8) -> Void) {
    var high: UInt8?
    for character in text.utf8 {
      guard let digit = value(of: character) else { return }
      if let first = high {
        append(first << 4 | digit)
        high = nil
      } else {
        high = digit
      }
    }
  }

  private static func value(of character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}

/// Why a text is not hexadecimal. Offsets count bytes from 0; the text itself is not repeated,
/// since it may be a key.
package enum HexadecimalError: Error, Equatable, CustomStringConvertible {
  case oddLength(Int)
  case invalidDigit(offset: Int)

  package var description: String {
    switch self {
    case .oddLength(let length): "\(length) hexadecimal digits are not whole bytes"
    case .invalidDigit(let offset): "character \(offset + 1) is not a hexadecimal digit"
    }
  }
}
