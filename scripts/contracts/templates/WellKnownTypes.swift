package import Protobuf

extension GoogleProtobuf.Timestamp {
  /// The time that is this long after 1970-01-01T00:00:00Z, or before it when negative.
  package init(nanosecondsSince1970 nanoseconds: Int64) {
    let (seconds, rest) = nanoseconds.floorDivided(by: 1_000_000_000)
    self.init(seconds: seconds, nanos: Int32(rest))
  }

  /// The time that is this long after 1970-01-01T00:00:00Z, or before it when negative.
  package init(microsecondsSince1970 microseconds: Int64) {
    let (seconds, rest) = microseconds.floorDivided(by: 1_000_000)
    self.init(seconds: seconds, nanos: Int32(rest) * 1_000)
  }

  /// Nil outside the years 1678 to 2262, which are all that fit, and when the value is no valid
  /// timestamp.
  package var nanosecondsSince1970: Int64? {
    guard isValid else { return nil }
    return Int64.combined(seconds, units: 1_000_000_000, plus: Int64(nanos))
  }

  /// Whole microseconds, rounded down; nil when the value is no valid timestamp.
  package var microsecondsSince1970: Int64? {
    guard isValid else { return nil }
    return Int64.combined(seconds, units: 1_000_000, plus: Int64(nanos / 1_000))
  }

  /// Whether the value is one of the years 1 to 9999, with 0 to 999,999,999 nanoseconds.
  package var isValid: Bool {
    (-62_135_596_800...253_402_300_799).contains(seconds) && (0...999_999_999).contains(nanos)
  }
}

extension GoogleProtobuf.Duration {
  package init(_ duration: Swift.Duration) {
    let (seconds, attoseconds) = duration.components
    self.init(seconds: seconds, nanos: Int32(attoseconds / 1_000_000_000))
  }

  /// Nil when the value is no valid duration: beyond 10,000 years, or of two signs.
  package var duration: Swift.Duration? {
    let limit: Int64 = 315_576_000_000
    guard (-limit...limit).contains(seconds), (-999_999_999...999_999_999).contains(nanos),
      seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0)
    else { return nil }
    return .seconds(seconds) + .nanoseconds(Int64(nanos))
  }
}

extension Int64 {
  /// The quotient, rounded down, and the remainder, never negative.
  fileprivate func floorDivided(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }

  /// `seconds` × `units` + `rest`; nil when that does not fit.
  fileprivate static func combined(_ seconds: Int64, units: Int64, plus rest: Int64) -> Int64? {
    // With the rest taken first, the smallest value does not overflow on the way.
    let whole = seconds < 0 ? seconds + 1 : seconds
    let part = seconds < 0 ? rest - units : rest
    let (product, overflow) = whole.multipliedReportingOverflow(by: units)
    let (sum, carry) = product.addingReportingOverflow(part)
    return overflow || carry ? nil : sum
  }
}

extension GoogleProtobuf.AnyMessage {
  private static let prefix = "type.googleapis.com/"

  /// Packs a message with its type.
  package init<Message: ProtobufMessage>(packing message: Message) {
    self.init(typeURL: Self.prefix + Message.fullName, value: message.serialized())
  }

  /// Whether it says that it holds a message of this type.
  package func holds<Message: ProtobufMessage>(_ type: Message.Type) -> Bool {
    guard let slash = typeURL.lastIndex(of: "/") else { return false }
    return typeURL[typeURL.index(after: slash)...] == Message.fullName
  }

  /// The message it holds; nil when that is of another type.
  package func unpacked<Message: ProtobufMessage>(
    as type: Message.Type, limits: DecodingLimits = .default
  ) throws(ProtobufError) -> Message? {
    guard holds(type) else { return nil }
    return try Message(serialized: value, limits: limits)
  }
}

extension GoogleProtobuf.Value: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByNilLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  package init(stringLiteral value: String) { self.init(kind: .stringValue(value)) }
  package init(booleanLiteral value: Bool) { self.init(kind: .boolValue(value)) }
  package init(integerLiteral value: Int) { self.init(kind: .numberValue(Double(value))) }
  package init(floatLiteral value: Double) { self.init(kind: .numberValue(value)) }
  package init(nilLiteral: ()) { self.init(kind: .nullValue(.nullValue)) }

  package init(arrayLiteral elements: GoogleProtobuf.Value...) {
    self.init(kind: .listValue(GoogleProtobuf.ListValue(values: elements)))
  }

  /// When a key is there twice, the last value stands.
  package init(dictionaryLiteral elements: (String, GoogleProtobuf.Value)...) {
    let fields = Dictionary(elements, uniquingKeysWith: { _, last in last })
    self.init(kind: .structValue(GoogleProtobuf.Struct(fields: fields)))
  }
}

extension GoogleProtobuf.Value {
  package init(_ string: String) { self.init(kind: .stringValue(string)) }

  /// The text; nil when the value is something else.
  package var string: String? {
    if case .stringValue(let value) = kind { value } else { nil }
  }
}

extension GoogleProtobuf.Struct: ExpressibleByDictionaryLiteral {
  /// When a key is there twice, the last value stands.
  package init(dictionaryLiteral elements: (String, GoogleProtobuf.Value)...) {
    self.init(fields: Dictionary(elements, uniquingKeysWith: { _, last in last }))
  }

  package subscript(key: String) -> GoogleProtobuf.Value? {
    get { fields[key] }
    set { fields[key] = newValue }
  }
}
