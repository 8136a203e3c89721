/// A type that a column can be read as.
package protocol PostgresDecodable {
  static func decode(_ cell: PostgresCell) throws(PostgresError) -> Self
}

/// One value as the server sent it.
package struct PostgresCell {
  let result: LibpqResult
  let row: Int
  let column: Int

  var type: PostgresType { result.columnType(column) }

  /// Valid while `result` is; nil for NULL.
  var bytes: UnsafeRawBufferPointer? { result.value(row: row, column: column) }

  func present() throws(PostgresError) -> UnsafeRawBufferPointer {
    guard result.isBinary(column) else { throw unreadable("a value in text format") }
    guard let bytes else {
      throw PostgresError(
        .badValue, "column '\(result.columnName(column))' is NULL: decode it as an optional")
    }
    return bytes
  }

  func unreadable(_ wanted: String) -> PostgresError {
    PostgresError(
      .badValue,
      "column '\(result.columnName(column))' of type \(type) cannot be read as \(wanted): "
        + "cast it in the statement or decode another type")
  }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
  package static func decode(_ cell: PostgresCell) throws(PostgresError) -> Wrapped? {
    cell.bytes == nil ? nil : try Wrapped.decode(cell)
  }
}

extension Int64: PostgresDecodable {
  package static func decode(_ cell: PostgresCell) throws(PostgresError) -> Int64 {
    let bytes = try cell.present()
    switch (cell.type, bytes.count) {
    case (.int8, 8): return bytes.bigEndian(at: 0, as: Int64.self)
    case (.int4, 4): return Int64(bytes.bigEndian(at: 0, as: Int32.self))
    case (.int2, 2): return Int64(bytes.bigEndian(at: 0, as: Int16.self))
    default: throw cell.unreadable("an integer")
    }
  }
}

extension Int: PostgresDecodable {
  package static func decode(_ cell: PostgresCell) throws(PostgresError) -> Int {
    Int(try Int64.decode(cell))
  }
}

extension Int32: PostgresDecodable {
  package static func decode(_ cell: PostgresCell) throws(PostgresError) -> Int32 {
    guard let value = Int32(exactly: try Int64.decode(cell)) else {
      throw cell.unreadable("a 32-bit integer")
    }
    return value
  }
}

extension Double: PostgresDecodable {
  package static func decode(_ cell: PostgresCell) throws(PostgresError) -> Double {
    let bytes = try cell.present()
    switch (cell.type, bytes.count) {
    case (.float8, 8): return Double(bitPattern: bytes.bigEndian(at: 0, as: UInt64.self))
    case (.float4, 4): return Double(Float(bitPattern: bytes.bigEndian(at: 0, as: UInt32.self)))
    default: throw cell.unreadable("a floating-point number")
    }
  }
}

extension Bool: PostgresDecodable {
  package static func decode(_ cell: PostgresCell) throws(PostgresError) -> Bool {
    let bytes = try cell.present()
    guard cell.type == .bool, bytes.count == 1 else { throw cell.unreadable("a boolean") }
    return bytes[0] != 0
  }
}

extension String: PostgresDecodable {
  /// Reads text, JSON and enumerations.
  package static func decode(_ cell: PostgresCell) throws(PostgresError) -> String {
    var bytes = try cell.present()
    switch cell.type {
    case .text, .varchar, .bpchar, .name, .char, .unknown, .json, .xml: break
    case .jsonb:
      guard bytes.first == 1 else { throw cell.unreadable("text (unknown version of jsonb)") }
      bytes = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
    default:
      // An enumeration is sent as its label; other types made by users have a binary form.
      guard cell.type.rawValue >= PostgresType.firstOfUsers, !bytes.contains(0) else {
        throw cell.unreadable("text")
      }
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw cell.unreadable("text (it is not UTF-8)")
    }
    return text
  }
}

extension PostgresUUID: PostgresDecodable {
  package static func decode(_ cell: PostgresCell) throws(PostgresError) -> PostgresUUID {
    let bytes = try cell.present()
    guard cell.type == .uuid, bytes.count == 16 else { throw cell.unreadable("a UUID") }
    return PostgresUUID(bytes)
  }
}

extension PostgresTimestamp: PostgresDecodable {
  package static func decode(_ cell: PostgresCell) throws(PostgresError) -> PostgresTimestamp {
    let bytes = try cell.present()
    guard cell.type == .timestamptz, bytes.count == 8, let value = PostgresTimestamp(bytes) else {
      throw cell.unreadable("a timestamp with time zone")
    }
    return value
  }
}

extension Array: PostgresDecodable where Element: PostgresArrayElement {
  /// Reads an array of one dimension without nulls; for `[UInt8]`, bytea.
  package static func decode(_ cell: PostgresCell) throws(PostgresError) -> [Element] {
    try Element.decodeArray(cell)
  }
}

/// A type whose arrays are read.
package protocol PostgresArrayElement {
  static func decodeArray(_ cell: PostgresCell) throws(PostgresError) -> [Self]
}

extension UInt8: PostgresArrayElement {
  package static func decodeArray(_ cell: PostgresCell) throws(PostgresError) -> [UInt8] {
    let bytes = try cell.present()
    guard cell.type == .bytea else { throw cell.unreadable("bytes") }
    return Array(bytes)
  }
}

extension String: PostgresArrayElement {
  package static func decodeArray(_ cell: PostgresCell) throws(PostgresError) -> [String] {
    try cell.array(.textArray, of: .text) { String(validating: $0, as: UTF8.self) }
  }
}

extension Int64: PostgresArrayElement {
  package static func decodeArray(_ cell: PostgresCell) throws(PostgresError) -> [Int64] {
    try cell.array(.int8Array, of: .int8) { $0.count == 8 ? $0.bigEndian(at: 0) : nil }
  }
}

extension PostgresUUID: PostgresArrayElement {
  package static func decodeArray(_ cell: PostgresCell) throws(PostgresError) -> [PostgresUUID] {
    try cell.array(.uuidArray, of: .uuid) { $0.count == 16 ? PostgresUUID($0) : nil }
  }
}

extension PostgresCell {
  fileprivate func array<T>(
    _ arrayType: PostgresType, of elementType: PostgresType,
    _ element: (UnsafeRawBufferPointer) -> T?
  ) throws(PostgresError) -> [T] {
    let bytes = try present()
    guard type == arrayType else { throw unreadable("[\(T.self)]") }
    var reader = ArrayReader(bytes: bytes)
    guard let elements = reader.read(of: elementType, element) else {
      throw unreadable("[\(T.self)] (it has nulls or several dimensions)")
    }
    return elements
  }
}

/// The binary form of an array (array_send).
private struct ArrayReader {
  let bytes: UnsafeRawBufferPointer
  private var position = 0

  init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  mutating func read<T>(
    of elementType: PostgresType, _ element: (UnsafeRawBufferPointer) -> T?
  ) -> [T]? {
    guard let dimensions = next(), next() != nil, let type = next() else { return nil }
    guard UInt32(bitPattern: type) == elementType.rawValue else { return nil }
    if dimensions == 0 { return [] }
    guard dimensions == 1, let count = next(), next() != nil, count >= 0 else { return nil }
    var elements: [T] = []
    elements.reserveCapacity(Int(count))
    for _ in 0..<count {
      guard let length = next(), length >= 0, position + Int(length) <= bytes.count else {
        return nil
      }
      let end = position + Int(length)
      guard let value = element(UnsafeRawBufferPointer(rebasing: bytes[position..<end])) else {
        return nil
      }
      elements.append(value)
      position = end
    }
    return elements
  }

  private mutating func next() -> Int32? {
    guard position + 4 <= bytes.count else { return nil }
    defer { position += 4 }
    return bytes.bigEndian(at: position)
  }
}

extension PostgresUUID {
  fileprivate init(_ bytes: UnsafeRawBufferPointer) {
    self.init(
      high: bytes.bigEndian(at: 0, as: UInt64.self), low: bytes.bigEndian(at: 8, as: UInt64.self))
  }
}

extension PostgresTimestamp {
  /// Nil for the two infinities.
  fileprivate init?(_ bytes: UnsafeRawBufferPointer) {
    let (sum, overflow) = bytes.bigEndian(at: 0, as: Int64.self)
      .addingReportingOverflow(PostgresTimestamp.serverEpochMicroseconds)
    if overflow || sum == .min + PostgresTimestamp.serverEpochMicroseconds { return nil }
    self.init(microseconds: sum)
  }
}

extension UnsafeRawBufferPointer {
  fileprivate func bigEndian<T: FixedWidthInteger>(at offset: Int, as type: T.Type = T.self) -> T {
    T(bigEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
  }
}
