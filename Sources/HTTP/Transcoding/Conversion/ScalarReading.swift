import Descriptors
import JSON

/// Reads JSON values as protobuf's scalars.
enum ScalarReading {
  /// Shown where an enum's names are few enough to be listed.
  private static let listedNamesMax = 8

  /// - Parameter kind: any but a message.
  static func scalar(
    _ value: JSON, as kind: FieldDescriptor.Kind
  ) throws(TranscodingError) -> WireScalar {
    switch kind {
    case .double: .fixed64(try double(value).bitPattern)
    case .float: .fixed32(try float(value).bitPattern)
    case .int32: .varint(UInt64(bitPattern: Int64(try signed(value, Int32.self))))
    case .int64: .varint(UInt64(bitPattern: try signed(value, Int64.self)))
    case .uint32: .varint(UInt64(try unsigned(value, UInt32.self)))
    case .uint64: .varint(try unsigned(value, UInt64.self))
    case .sint32: .varint(zigZag(Int64(try signed(value, Int32.self))))
    case .sint64: .varint(zigZag(try signed(value, Int64.self)))
    case .fixed32: .fixed32(try unsigned(value, UInt32.self))
    case .fixed64: .fixed64(try unsigned(value, UInt64.self))
    case .sfixed32: .fixed32(UInt32(bitPattern: try signed(value, Int32.self)))
    case .sfixed64: .fixed64(UInt64(bitPattern: try signed(value, Int64.self)))
    case .bool: .varint(try bool(value) ? 1 : 0)
    case .string: .text(try string(value))
    case .bytes: .bytes(try bytes(value))
    case .enumeration(let type):
      .varint(UInt64(bitPattern: Int64(try enumeration(value, type))))
    case .message: throw .expected("a scalar", found: value)
    }
  }

  /// The key of a map; JSON has only strings there.
  static func mapKey(
    _ key: String, as kind: FieldDescriptor.Kind
  ) throws(TranscodingError) -> WireScalar {
    switch kind {
    case .string: return .text(try string(.string(key)))
    case .bool:
      guard key == "true" || key == "false" else {
        throw TranscodingError("the key must be \"true\" or \"false\"")
      }
      return .varint(key == "true" ? 1 : 0)
    default:
      // One spelling a number, or two keys could be the same.
      guard Int64(key).map({ "\($0)" == key }) ?? UInt64(key).map({ "\($0)" == key }) ?? false
      else {
        throw TranscodingError("the key must be an integer in digits, without leading zeros")
      }
      return try scalar(.string(key), as: kind)
    }
  }

  private static func zigZag(_ value: Int64) -> UInt64 {
    UInt64(bitPattern: value << 1 ^ value >> 63)
  }

  private static func signed<Integer: FixedWidthInteger & SignedInteger>(
    _ value: JSON, _ type: Integer.Type
  ) throws(TranscodingError) -> Integer {
    let number = try number(value, "an integer")
    guard let integer = number.int64.flatMap(Integer.init(exactly:)) else {
      throw outOfRange(number, type)
    }
    return integer
  }

  private static func unsigned<Integer: FixedWidthInteger & UnsignedInteger>(
    _ value: JSON, _ type: Integer.Type
  ) throws(TranscodingError) -> Integer {
    let number = try number(value, "an integer")
    guard let integer = number.uint64.flatMap(Integer.init(exactly:)) else {
      throw outOfRange(number, type)
    }
    return integer
  }

  private static func outOfRange<Integer: FixedWidthInteger>(
    _ number: JSONNumber, _ type: Integer.Type
  ) -> TranscodingError {
    TranscodingError("expected an integer from \(type.min) to \(type.max)")
  }

  /// The number, or the one that a string spells.
  private static func number(
    _ value: JSON, _ wanted: String
  ) throws(TranscodingError) -> JSONNumber {
    switch value {
    case .number(let number): return number
    case .string(let text):
      guard let first = text.utf8.first, let last = text.utf8.last,
        first == UInt8(ascii: "-") || isDigit(first), isDigit(last),
        let number = try? JSON(parsing: text).number
      else { throw TranscodingError("expected \(wanted), found other text") }
      return number
    default: throw .expected(wanted, found: value)
    }
  }

  private static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

  private static func double(_ value: JSON) throws(TranscodingError) -> Double {
    switch value.string {
    case "NaN": return .nan
    case "Infinity": return .infinity
    case "-Infinity": return -.infinity
    default: break
    }
    guard let double = try number(value, "a number").double else {
      throw TranscodingError("the number is out of the range of a double")
    }
    return double
  }

  private static func float(_ value: JSON) throws(TranscodingError) -> Float {
    let double = try double(value)
    let float = Float(double)
    guard float.isFinite || !double.isFinite else {
      throw TranscodingError("the number is out of the range of a float")
    }
    return float
  }

  private static func bool(_ value: JSON) throws(TranscodingError) -> Bool {
    guard let bool = value.bool else { throw .expected("true or false", found: value) }
    return bool
  }

  /// Services refuse NUL, which C libraries and Postgres cut or refuse.
  static func string(_ value: JSON) throws(TranscodingError) -> String {
    guard let text = value.string else { throw .expected("a string", found: value) }
    guard !text.utf8.contains(0) else {
      throw TranscodingError("contains a NUL character (\\u0000), which is not allowed")
    }
    return text
  }

  private static func bytes(_ value: JSON) throws(TranscodingError) -> [UInt8] {
    guard let text = value.string else { throw .expected("base64 in a string", found: value) }
    guard let bytes = Base64.decode(text) else {
      throw TranscodingError("expected base64, found other text")
    }
    return bytes
  }

  private static func enumeration(
    _ value: JSON, _ type: EnumDescriptor
  ) throws(TranscodingError) -> Int32 {
    switch value {
    case .number: return try signed(value, Int32.self)
    case .string(let name):
      if let number = type.number(named: name) { return number }
      throw TranscodingError("is not a value of \(type.fullName)" + remedy(name, type))
    default: throw .expected("the name of a \(type.fullName)", found: value)
    }
  }

  private static func remedy(_ name: String, _ type: EnumDescriptor) -> String {
    let names = type.values.map(\.name)
    if let nearest = Suggestion.nearest(to: name, among: names) {
      return "; did you mean \"\(nearest)\"?"
    }
    let listed = names.prefix(listedNamesMax).joined(separator: ", ")
    return ", such as \(listed)"
  }
}
