/// Looks for what makes bytes no text of the contracts: a NUL, or anything that is not UTF-8.
enum TextScan {
  private static let highBits: UInt64 = 0x8080_8080_8080_8080
  private static let ones: UInt64 = 0x0101_0101_0101_0101

  static func defect(_ bytes: UnsafePointer<UInt8>, count: Int) -> ProtobufError.Reason? {
    var index = 0
    while index < count {
      while index + 8 <= count {
        let word = UnsafeRawPointer(bytes + index).loadUnaligned(as: UInt64.self)
        // No byte over 0x7F, and none that borrows when 1 is taken from it.
        if (word | (word &- ones)) & highBits != 0 { break }
        index += 8
      }
      guard index < count else { break }
      if bytes[index] == 0 { return .containsNUL }
      let length = scalarLength(bytes + index, available: count - index)
      if length == 0 { return .invalidUTF8 }
      index += length
    }
    return nil
  }

  /// The number of bytes of the scalar that starts here, by table 3-7 of the Unicode Standard; 0
  /// when none does.
  private static func scalarLength(_ bytes: UnsafePointer<UInt8>, available: Int) -> Int {
    let first = bytes[0]
    if first < 0x80 { return 1 }
    let length: Int
    var second: ClosedRange<UInt8> = 0x80...0xBF
    switch first {
    case 0xC2...0xDF: length = 2
    case 0xE0: (length, second) = (3, 0xA0...0xBF)
    case 0xED: (length, second) = (3, 0x80...0x9F)
    case 0xE1...0xEF: length = 3
    case 0xF0: (length, second) = (4, 0x90...0xBF)
    case 0xF4: (length, second) = (4, 0x80...0x8F)
    case 0xF1...0xF3: length = 4
    default: return 0
    }
    guard available >= length, second.contains(bytes[1]) else { return 0 }
    for index in 2..<max(length, 2) where bytes[index] & 0xC0 != 0x80 { return 0 }
    return length
  }
}
