/// The encodings that a protobuf field's value can have; groups are not among them.
package enum WireType: UInt8, Sendable {
  case varint = 0
  case fixed64 = 1
  case lengthPrefixed = 2
  case fixed32 = 5
}

/// Why bytes are not a protobuf message.
package enum WireError: Error, Equatable, Sendable, CustomStringConvertible {
  case truncated
  case malformedTag
  case malformedVarint
  case unsupportedWireType(UInt8)

  package var description: String {
    switch self {
    case .truncated: "ends in the middle of a field"
    case .malformedTag: "has a malformed tag"
    case .malformedVarint: "has a number of more than ten bytes"
    case .unsupportedWireType(let type): "has the wire type \(type), which is not supported"
    }
  }
}

/// Reads the fields of one message, or the elements of one packed field, from a range of bytes.
/// Positions count from the start of `bytes`, so those of nested messages compare. The memory must
/// outlive the reader; no read leaves the range.
package struct WireReader {
  package struct Tag {
    package let number: Int32
    package let wireType: WireType
  }

  private static let varintBytesMax = 10
  private static let fieldNumberMax: UInt64 = (1 << 29) - 1

  private let bytes: UnsafeRawBufferPointer
  package private(set) var position: Int
  private let end: Int

  package init(_ bytes: UnsafeRawBufferPointer) {
    self.init(bytes, 0..<bytes.count)
  }

  /// - Parameter range: a part of `bytes`, or the program stops.
  package init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count)
    self.bytes = bytes
    position = range.lowerBound
    end = range.upperBound
  }

  package var isAtEnd: Bool { position == end }

  /// The next field's tag; nil at the end.
  package mutating func tag() throws(WireError) -> Tag? {
    if position == end { return nil }
    let value = try varint()
    let number = value >> 3
    guard 1...Self.fieldNumberMax ~= number else { throw .malformedTag }
    guard let wireType = WireType(rawValue: UInt8(value & 7)) else {
      throw .unsupportedWireType(UInt8(value & 7))
    }
    return Tag(number: Int32(number), wireType: wireType)
  }

  package mutating func varint() throws(WireError) -> UInt64 {
    var value: UInt64 = 0
    let available = min(end - position, Self.varintBytesMax)
    for index in 0..<available {
      let byte = bytes[position + index]
      value |= UInt64(byte & 0x7F) << UInt64(7 * index)
      if byte < 0x80 {
        position += index + 1
        return value
      }
    }
    throw available < Self.varintBytesMax ? .truncated : .malformedVarint
  }

  package mutating func fixed32() throws(WireError) -> UInt32 {
    let start = try advance(by: 4)
    return UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self))
  }

  package mutating func fixed64() throws(WireError) -> UInt64 {
    let start = try advance(by: 8)
    return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self))
  }

  /// Where the content behind the length is.
  package mutating func lengthPrefixed() throws(WireError) -> Range<Int> {
    let length = try varint()
    guard length <= UInt64(end - position) else { throw .truncated }
    let start = try advance(by: Int(length))
    return start..<position
  }

  package mutating func skip(_ wireType: WireType) throws(WireError) {
    switch wireType {
    case .varint: _ = try varint()
    case .fixed64: _ = try advance(by: 8)
    case .fixed32: _ = try advance(by: 4)
    case .lengthPrefixed: _ = try lengthPrefixed()
    }
  }

  private mutating func advance(by count: Int) throws(WireError) -> Int {
    guard end - position >= count else { throw .truncated }
    defer { position += count }
    return position
  }
}

extension WireReader {
  /// A reader of the message behind the length.
  package mutating func message() throws(WireError) -> WireReader {
    WireReader(bytes, try lengthPrefixed())
  }

  /// The text behind the length; bytes that are not UTF-8 are replaced.
  package mutating func text() throws(WireError) -> String {
    let range = try lengthPrefixed()
    return String(decoding: bytes[range], as: UTF8.self)
  }

  /// All bytes of the range.
  package var content: [UInt8] { Array(bytes[position..<end]) }
}
