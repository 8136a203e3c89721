/// A set of ASCII bytes, tested in a few instructions and without memory access.
struct ByteSet: Sendable {
  private let low: UInt64
  private let high: UInt64

  init(_ members: StaticString) {
    var low: UInt64 = 0
    var high: UInt64 = 0
    for index in 0..<members.utf8CodeUnitCount {
      let byte = members.utf8Start[index]
      if byte < 64 { low |= 1 << UInt64(byte) } else { high |= 1 << UInt64(byte & 63) }
    }
    self.low = low
    self.high = high
  }

  /// False for every byte outside ASCII.
  @inline(__always)
  func contains(_ byte: UInt8) -> Bool {
    if byte < 64 { return low >> UInt64(byte) & 1 == 1 }
    return byte < 128 && high >> UInt64(byte & 63) & 1 == 1
  }

  func containsAll(_ bytes: Span<UInt8>) -> Bool {
    for index in bytes.indices where !contains(bytes[index]) { return false }
    return true
  }
}

extension ByteSet {
  /// `tchar` (RFC 9110 section 5.6.2): methods, field names, codings, protocol names.
  static let token = ByteSet(
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
  /// `pchar` without "%", and "/" (RFC 3986 section 3.3).
  static let path = ByteSet(
    "/-._~!$&'()*+,;=:@0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
  /// `query` without "%" (RFC 3986 section 3.4).
  static let query = ByteSet(
    "?/-._~!$&'()*+,;=:@0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
  /// What needs no escape anywhere in a URI (RFC 3986 section 2.3).
  static let unreserved = ByteSet(
    "-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
  /// Names that DNS and container networks use; the rest of `reg-name` has no use in a Host.
  static let hostName = ByteSet(
    "-._0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
}

extension UInt8 {
  static let horizontalTab = UInt8(ascii: "\t")
  static let lineFeed = UInt8(ascii: "\n")
  static let carriageReturn = UInt8(ascii: "\r")
  static let space = UInt8(ascii: " ")

  /// SP or HTAB, the only white space inside an HTTP line.
  @inline(__always)
  var isBlank: Bool { self == .space || self == .horizontalTab }

  @inline(__always)
  var isDigit: Bool { self &- UInt8(ascii: "0") < 10 }

  @inline(__always)
  var lowercased: UInt8 {
    self &- UInt8(ascii: "A") < 26 ? self | 0x20 : self
  }

  /// A byte of `field-value`: HTAB, SP, visible ASCII or obs-text (RFC 9110 section 5.5).
  @inline(__always)
  var isFieldValue: Bool { self >= 0x20 && self != 0x7F || self == .horizontalTab }

  @inline(__always)
  var hexadecimalValue: UInt8? {
    if isDigit { return self &- UInt8(ascii: "0") }
    let letter = lowercased &- UInt8(ascii: "a")
    return letter < 6 ? letter + 10 : nil
  }
}

extension Span<UInt8> {
  func firstIndex(of byte: UInt8) -> Int? {
    for index in indices where self[index] == byte { return index }
    return nil
  }

  func equalsIgnoringCase(_ lowercase: StaticString) -> Bool {
    guard count == lowercase.utf8CodeUnitCount else { return false }
    for index in indices where self[index].lowercased != lowercase.utf8Start[index] {
      return false
    }
    return true
  }
}

extension String {
  /// Text of bytes already known to be ASCII, or shown for people: bad UTF-8 is replaced.
  init(copying bytes: Span<UInt8>) {
    self = bytes.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
  }

  func equalsIgnoringASCIICase(_ other: String) -> Bool {
    utf8.count == other.utf8.count
      && zip(utf8, other.utf8).allSatisfy { $0.lowercased == $1.lowercased }
  }
}
