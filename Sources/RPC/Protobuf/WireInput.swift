/// A field's wire type: three bits, of which some have no meaning here.
package struct WireType: RawRepresentable, Equatable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  package static let varint = WireType(rawValue: 0)
  package static let fixed64 = WireType(rawValue: 1)
  package static let lengthPrefixed = WireType(rawValue: 2)
  package static let fixed32 = WireType(rawValue: 5)

  var isSupported: Bool {
    self == .varint || self == .fixed64 || self == .lengthPrefixed || self == .fixed32
  }
}

/// Bytes of the wire format that are read from their beginning. The memory must outlive it.
package struct WireInput {
  package struct Tag {
    package let number: UInt32
    package let wireType: WireType
  }

  /// The most bytes that a tag or a length may take.
  static let lengthBytesMax = 5
  private static let varintBytesMax = 10
  private static let fieldNumberMax: UInt64 = (1 << 29) - 1

  private(set) var cursor: UnsafePointer<UInt8>
  private let end: UnsafePointer<UInt8>

  package init(_ bytes: UnsafeRawBufferPointer) {
    // The memory of an empty buffer need not exist; any address will do, since nothing is read.
    let start = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 8).unsafelyUnwrapped
    cursor = start.assumingMemoryBound(to: UInt8.self)
    end = cursor + bytes.count
  }

  private init(start: UnsafePointer<UInt8>, end: UnsafePointer<UInt8>) {
    cursor = start
    self.end = end
  }

  package var isAtEnd: Bool { cursor == end }

  /// How many bytes are left.
  var count: Int { end - cursor }

  package mutating func readTag() throws(ProtobufError) -> Tag {
    let value = try readVarint(bytesMax: Self.lengthBytesMax, otherwise: .malformedTag)
    let number = value >> 3
    guard number >= 1, number <= Self.fieldNumberMax else { throw ProtobufError(.malformedTag) }
    return Tag(number: UInt32(number), wireType: WireType(rawValue: UInt8(value & 7)))
  }

  mutating func readLengthPrefixed() throws(ProtobufError) -> WireInput {
    let length = try readVarint(bytesMax: Self.lengthBytesMax, otherwise: .malformedVarint)
    guard length <= UInt64(count) else { throw ProtobufError(.truncated) }
    let start = cursor
    cursor += Int(length)
    return WireInput(start: start, end: cursor)
  }

  /// Passes over a field's value and returns how many bytes it took, the length not counted.
  package mutating func skip(_ wireType: WireType) throws(ProtobufError) -> Int {
    switch wireType {
    case .varint:
      let start = cursor
      _ = try readVarint()
      return cursor - start
    case .fixed64: return try skip(bytes: 8)
    case .fixed32: return try skip(bytes: 4)
    case .lengthPrefixed: return try readLengthPrefixed().count
    default: throw ProtobufError(.unsupportedWireType(wireType.rawValue))
    }
  }

  package mutating func readVarint() throws(ProtobufError) -> UInt64 {
    try readVarint(bytesMax: Self.varintBytesMax, otherwise: .malformedVarint)
  }

  private mutating func skip(bytes size: Int) throws(ProtobufError) -> Int {
    guard count >= size else { throw ProtobufError(.truncated) }
    cursor += size
    return size
  }

  private mutating func readVarint(
    bytesMax: Int, otherwise reason: ProtobufError.Reason
  ) throws(ProtobufError) -> UInt64 {
    guard cursor < end else { throw ProtobufError(.truncated) }
    if cursor[0] < 0x80 {
      defer { cursor += 1 }
      return UInt64(cursor[0])
    }
    var value: UInt64 = 0
    let available = min(count, bytesMax)
    for index in 0..<available {
      let byte = cursor[index]
      value |= UInt64(byte & 0x7F) << UInt64(7 * index)
      if byte < 0x80 {
        cursor += index + 1
        return value
      }
    }
    throw ProtobufError(available < bytesMax ? .truncated : reason)
  }
}
