/// Unpadded base64 (RFC 4648): the URL alphabet for tokens, the standard one for password hashes.
///
/// Decoding is strict, so that each byte string has one spelling: no padding, no white space, no
/// character of the other alphabet, and the bits left over in the last character are zero.
package enum Base64: Sendable {
  case url
  case standard

  package func encode(_ bytes: [UInt8]) -> String {
    bytes.withUnsafeBytes { encode($0) }
  }

  func encode(_ bytes: UnsafeRawBufferPointer) -> String {
    let capacity = (bytes.count * 4 + 2) / 3
    return String(unsafeUninitializedCapacity: capacity) { buffer in
      var offset = 0
      var accumulator: UInt32 = 0
      var bitCount: UInt32 = 0
      for byte in bytes {
        accumulator = accumulator << 8 | UInt32(byte)
        bitCount += 8
        while bitCount >= 6 {
          bitCount -= 6
          buffer[offset] = character(UInt8(accumulator >> bitCount & 63))
          offset += 1
        }
      }
      if bitCount > 0 {
        buffer[offset] = character(UInt8(accumulator << (6 - bitCount) & 63))
        offset += 1
      }
      return offset
    }
  }

  package func decode(_ text: String) throws(Base64Error) -> [UInt8] {
    var text = text
    let result = text.withUTF8 { characters in
      Result { () throws(Base64Error) in try decode(characters[...]) }
    }
    return try result.get()
  }

  func decode(_ text: Slice<UnsafeBufferPointer<UInt8>>) throws(Base64Error) -> [UInt8] {
    guard text.count % 4 != 1 else { throw .impossibleLength(text.count) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count * 3 / 4)
    var accumulator: UInt32 = 0
    var bitCount: UInt32 = 0
    for index in text.indices {
      let value = self.value(of: text[index])
      guard value < 64 else { throw .invalidCharacter(offset: index - text.startIndex) }
      accumulator = accumulator << 6 | UInt32(value)
      bitCount += 6
      if bitCount >= 8 {
        bitCount -= 8
        bytes.append(UInt8(truncatingIfNeeded: accumulator >> bitCount))
      }
    }
    guard accumulator & ((1 << bitCount) - 1) == 0 else { throw .notCanonical }
    return bytes
  }

  private func character(_ value: UInt8) -> UInt8 {
    switch value {
    case 0..<26: UInt8(ascii: "A") + value
    case 26..<52: UInt8(ascii: "a") + value - 26
    case 52..<62: UInt8(ascii: "0") + value - 52
    case 62: self == .url ? UInt8(ascii: "-") : UInt8(ascii: "+")
    default: self == .url ? UInt8(ascii: "_") : UInt8(ascii: "/")
    }
  }

  /// The six bits of `character`, or 255.
  private func value(of character: UInt8) -> UInt8 {
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): character - UInt8(ascii: "A")
    case UInt8(ascii: "a")...UInt8(ascii: "z"): character - UInt8(ascii: "a") + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0") + 52
    case UInt8(ascii: "-") where self == .url: 62
    case UInt8(ascii: "_") where self == .url: 63
    case UInt8(ascii: "+") where self == .standard: 62
    case UInt8(ascii: "/") where self == .standard: 63
    default: 255
    }
  }
}

/// Why a text is not unpadded base64. Offsets count bytes from 0.
package enum Base64Error: Error, Equatable, CustomStringConvertible {
  case impossibleLength(Int)
  case invalidCharacter(offset: Int)
  case notCanonical

  package var description: String {
    switch self {
    case .impossibleLength(let length): "no bytes encode to \(length) base64 characters"
    case .invalidCharacter(let offset): "character \(offset + 1) is not of the base64 alphabet"
    case .notCanonical: "the last base64 character carries bits that belong to no byte"
    }
  }
}
