/// `grpc-timeout`: at most eight digits and a unit.
package enum GRPCTimeout {
  /// Nanoseconds, no more than an Int64 holds (292 years). Nil for anything the specification does not
  /// allow.
  package static func decode(_ text: UnsafeBufferPointer<UInt8>) -> Int64? {
    guard text.count >= 2, text.count <= 9, let unit = text.last else { return nil }
    var value: Int64 = 0
    for character in text.dropLast() {
      guard (0x30...0x39).contains(character) else { return nil }
      value = value * 10 + Int64(character - 0x30)
    }
    let size: Int64
    switch unit {
    case UInt8(ascii: "H"): size = 3_600_000_000_000
    case UInt8(ascii: "M"): size = 60_000_000_000
    case UInt8(ascii: "S"): size = 1_000_000_000
    case UInt8(ascii: "m"): size = 1_000_000
    case UInt8(ascii: "u"): size = 1000
    case UInt8(ascii: "n"): size = 1
    default: return nil
    }
    let (nanoseconds, overflow) = value.multipliedReportingOverflow(by: size)
    return overflow ? .max : nanoseconds
  }

  /// Rounded up to the finest unit that fits eight digits, so that a deadline is never cut short by
  /// its own writing.
  package static func encode(nanoseconds: Int64) -> String {
    String(unsafeUninitializedCapacity: bytesMax) { encode(nanoseconds: nanoseconds, into: $0) }
  }

  /// The longest that there is.
  package static let bytesMax = 9
  private static let valueMax: Int64 = 99_999_999

  /// Writes the text to the start of `text`, which has room for `bytesMax`; returns its length.
  package static func encode(
    nanoseconds: Int64, into text: UnsafeMutableBufferPointer<UInt8>
  ) -> Int {
    let value = max(nanoseconds, 1)
    let (size, unit): (Int64, StaticString) =
      switch value {
      case ...valueMax: (1, "n")
      case ...(valueMax * 1_000): (1_000, "u")
      case ...(valueMax * 1_000_000): (1_000_000, "m")
      case ...(valueMax * 1_000_000_000): (1_000_000_000, "S")
      case ...(valueMax * 60_000_000_000): (60_000_000_000, "M")
      default: (3_600_000_000_000, "H")
      }
    var left = min((value - 1) / size + 1, valueMax)
    var digits = 1
    var power: Int64 = 10
    while power <= left {
      digits += 1
      power *= 10
    }
    for index in stride(from: digits - 1, through: 0, by: -1) {
      text[index] = UInt8(truncatingIfNeeded: 0x30 + left % 10)
      left /= 10
    }
    text[digits] = unit.utf8Start.pointee
    return digits + 1
  }
}

/// `grpc-message`: UTF-8 in which all but printable ASCII, and `%`, is percent-encoded.
package enum GRPCMessageText {
  private static let digits = Array("0123456789ABCDEF".utf8)

  /// No more of `text` than makes `bytesMax` bytes: characters that do not fit are left out.
  package static func encode(_ text: String, bytesMax: Int) -> String {
    let encoded = encode(text)
    if encoded.utf8.count <= bytesMax { return encoded }
    // An escape takes three bytes, so a third of them fits whatever they are.
    var end =
      text.unicodeScalars.index(
        text.unicodeScalars.startIndex, offsetBy: bytesMax / 12,
        limitedBy: text.unicodeScalars.endIndex)
      ?? text.unicodeScalars.endIndex
    var count = encode(String(text.unicodeScalars[..<end])).utf8.count
    while end < text.unicodeScalars.endIndex {
      count += encode(String(text.unicodeScalars[end])).utf8.count
      if count > bytesMax { break }
      end = text.unicodeScalars.index(after: end)
    }
    return encode(String(text.unicodeScalars[..<end]))
  }

  package static func encode(_ text: String) -> String {
    if text.utf8.allSatisfy({ (0x20...0x7E).contains($0) && $0 != 0x25 }) { return text }
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      if (0x20...0x7E).contains(byte), byte != 0x25 {
        bytes.append(byte)
      } else {
        bytes.append(contentsOf: [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]])
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Never fails: what is not an escape stands for itself, and broken UTF-8 is replaced.
  package static func decode(_ text: String) -> String {
    let bytes = Array(text.utf8)
    if !bytes.contains(0x25) { return text }
    var decoded: [UInt8] = []
    var index = 0
    while index < bytes.count {
      if bytes[index] == 0x25, index + 2 < bytes.count, let high = hex(bytes[index + 1]),
        let low = hex(bytes[index + 2])
      {
        decoded.append(high << 4 | low)
        index += 3
      } else {
        decoded.append(bytes[index])
        index += 1
      }
    }
    return String(decoding: decoded, as: UTF8.self)
  }

  private static func hex(_ character: UInt8) -> UInt8? {
    switch character {
    case 0x30...0x39: character - 0x30
    case 0x41...0x46: character - 0x41 + 10
    case 0x61...0x66: character - 0x61 + 10
    default: nil
    }
  }
}
