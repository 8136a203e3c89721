/// A P-256 signature in its two forms: r and s side by side, 64 bytes, as JOSE has it, and the DER
/// sequence of two integers that X.509 and OpenSSL use.
struct ECDSASignature: Equatable {
  static let rawLength = 64
  /// Two integers of 33 bytes, with two bytes before each and before the sequence.
  static let derLengthMax = 72
  private static let numberLength = 32
  private static let sequenceTag: UInt8 = 0x30
  private static let integerTag: UInt8 = 0x02

  let raw: [UInt8]

  init?(raw: [UInt8]) {
    guard raw.count == Self.rawLength else { return nil }
    self.raw = raw
  }

  var der: [UInt8] {
    var body: [UInt8] = []
    body.reserveCapacity(Self.derLengthMax)
    body += [Self.sequenceTag, 0]
    Self.append(raw[..<Self.numberLength], to: &body)
    Self.append(raw[Self.numberLength...], to: &body)
    body[1] = UInt8(body.count - 2)
    return body
  }

  /// Takes distinguished encoding only: shortest lengths, positive integers, nothing after them.
  init?(der: [UInt8]) {
    guard der.count >= 2, der.count <= Self.derLengthMax, der[0] == Self.sequenceTag,
      Int(der[1]) == der.count - 2
    else { return nil }
    var rest = der[2...]
    guard let r = Self.takeInteger(from: &rest), let s = Self.takeInteger(from: &rest),
      rest.isEmpty
    else { return nil }
    raw = r + s
  }

  private static func append(_ number: ArraySlice<UInt8>, to body: inout [UInt8]) {
    var digits = number.drop { $0 == 0 }
    if digits.isEmpty { digits = number.suffix(1) }
    let needsSignByte = digits.first.map { $0 >= 0x80 } ?? false
    body += [integerTag, UInt8(digits.count + (needsSignByte ? 1 : 0))]
    if needsSignByte { body.append(0) }
    body += digits
  }

  private static func takeInteger(from rest: inout ArraySlice<UInt8>) -> [UInt8]? {
    guard rest.popFirst() == integerTag, let length = rest.popFirst(), length > 0,
      Int(length) <= rest.count
    else { return nil }
    var digits = rest.prefix(Int(length))
    rest = rest.dropFirst(Int(length))
    guard let first = digits.first, first < 0x80 else { return nil }
    if first == 0, digits.count > 1 {
      digits = digits.dropFirst()
      guard let second = digits.first, second >= 0x80 else { return nil }
    }
    guard digits.count <= numberLength else { return nil }
    return [UInt8](repeating: 0, count: numberLength - digits.count) + digits
  }
}
