/// An object identifier of a PostgreSQL type (pg_type.dat).
struct PostgresType: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  let rawValue: UInt32
  init(rawValue: UInt32) { self.rawValue = rawValue }
  private init(_ rawValue: UInt32) { self.rawValue = rawValue }

  /// The server infers the type from the statement.
  static let inferred = PostgresType(0)
  static let bool = PostgresType(16)
  static let bytea = PostgresType(17)
  static let char = PostgresType(18)
  static let name = PostgresType(19)
  static let int8 = PostgresType(20)
  static let int2 = PostgresType(21)
  static let int4 = PostgresType(23)
  static let text = PostgresType(25)
  static let json = PostgresType(114)
  static let xml = PostgresType(142)
  static let float4 = PostgresType(700)
  static let float8 = PostgresType(701)
  static let unknown = PostgresType(705)
  static let boolArray = PostgresType(1000)
  static let byteaArray = PostgresType(1001)
  static let int4Array = PostgresType(1007)
  static let textArray = PostgresType(1009)
  static let int8Array = PostgresType(1016)
  static let float8Array = PostgresType(1022)
  static let bpchar = PostgresType(1042)
  static let varchar = PostgresType(1043)
  static let timestamptz = PostgresType(1184)
  static let timestamptzArray = PostgresType(1185)
  static let uuid = PostgresType(2950)
  static let uuidArray = PostgresType(2951)
  static let jsonb = PostgresType(3802)
  static let jsonbArray = PostgresType(3807)

  /// The first identifier that is given to a type made by a user, such as an enumeration.
  static let firstOfUsers: UInt32 = 16384

  private static let names: [PostgresType: String] = [
    .bool: "bool", .bytea: "bytea", .char: "char", .name: "name", .int8: "int8", .int2: "int2",
    .int4: "int4", .text: "text", .json: "json", .xml: "xml", .float4: "float4",
    .float8: "float8", .bpchar: "bpchar", .varchar: "varchar", .timestamptz: "timestamptz",
    .uuid: "uuid", .jsonb: "jsonb", .textArray: "text[]", .int8Array: "int8[]",
    .uuidArray: "uuid[]", .byteaArray: "bytea[]", .timestamptzArray: "timestamptz[]",
    .jsonbArray: "jsonb[]", .int4Array: "int4[]", .boolArray: "bool[]", .float8Array: "float8[]",
  ]

  var description: String { PostgresType.names[self] ?? "type \(rawValue)" }
}

/// A UUID (RFC 9562), 16 bytes in network order.
package struct PostgresUUID: Hashable, Sendable, LosslessStringConvertible {
  package let high: UInt64
  package let low: UInt64

  package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// A random UUID (version 4).
  package static func random() -> PostgresUUID {
    PostgresUUID(
      high: UInt64.random(in: 0 ... .max) & ~0xf000 | 0x4000,
      low: UInt64.random(in: 0 ... .max) & ~(0b11 << 62) | (0b10 << 62))
  }

  /// Reads 32 hexadecimal digits in groups of 8-4-4-4-12.
  package init?(_ text: String) {
    var digits: (UInt64, UInt64) = (0, 0)
    var count = 0
    let utf8 = text.utf8
    guard utf8.count == 36 else { return nil }
    for (position, byte) in utf8.enumerated() {
      if position == 8 || position == 13 || position == 18 || position == 23 {
        guard byte == UInt8(ascii: "-") else { return nil }
        continue
      }
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
      if count < 16 {
        digits.0 = digits.0 << 4 | UInt64(digit)
      } else {
        digits.1 = digits.1 << 4 | UInt64(digit)
      }
      count += 1
    }
    self.init(high: digits.0, low: digits.1)
  }

  package var description: String {
    let digits = Array("0123456789abcdef".utf8)
    return String(unsafeUninitializedCapacity: 36) { buffer in
      var position = 0
      for nibble in 0..<32 {
        if nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20 {
          buffer[position] = UInt8(ascii: "-")
          position += 1
        }
        let half = nibble < 16 ? high : low
        buffer[position] = digits[Int(half >> UInt64((15 - nibble % 16) * 4) & 15)]
        position += 1
      }
      return 36
    }
  }
}

/// A point in time as `timestamptz` holds it.
package struct PostgresTimestamp: Hashable, Comparable, Sendable {
  /// Microseconds since 1970-01-01T00:00:00Z.
  package let microseconds: Int64

  package init(microseconds: Int64) { self.microseconds = microseconds }

  package static func < (left: PostgresTimestamp, right: PostgresTimestamp) -> Bool {
    left.microseconds < right.microseconds
  }

  /// 2000-01-01T00:00:00Z, from which PostgreSQL counts.
  static let serverEpochMicroseconds: Int64 = 946_684_800_000_000

  /// Whether the server takes it: 4713-11-24 BC (Julian day 0) and later.
  var isInRange: Bool { microseconds >= -210_866_803_200_000_000 }
}
