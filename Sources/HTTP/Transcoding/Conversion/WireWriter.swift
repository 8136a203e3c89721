import Descriptors

/// The value of a field other than a message, as the wire has it.
enum WireScalar {
  case varint(UInt64)
  case fixed32(UInt32)
  case fixed64(UInt64)
  case text(String)
  case bytes([UInt8])

  /// What a field without presence does not write. Minus zero is not zero.
  var isZero: Bool {
    switch self {
    case .varint(let value), .fixed64(let value): value == 0
    case .fixed32(let value): value == 0
    case .text(let text): text.isEmpty
    case .bytes(let bytes): bytes.isEmpty
    }
  }
}

/// Writes a protobuf message field by field into one buffer.
struct WireWriter {
  private(set) var bytes: [UInt8] = []

  mutating func tag(_ number: Int32, _ type: WireType) {
    varint(UInt64(number) << 3 | UInt64(type.rawValue))
  }

  mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  /// Without a tag.
  mutating func scalar(_ scalar: WireScalar) {
    switch scalar {
    case .varint(let value): varint(value)
    case .fixed32(let value):
      withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    case .fixed64(let value):
      withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    case .text(let text):
      varint(UInt64(text.utf8.count))
      bytes.append(contentsOf: text.utf8)
    case .bytes(let content):
      varint(UInt64(content.count))
      bytes.append(contentsOf: content)
    }
  }

  /// Begins a message, or a packed field; returns what `close` wants.
  mutating func open(_ number: Int32) -> Int {
    tag(number, .lengthPrefixed)
    bytes.append(0)
    return bytes.count
  }

  /// Writes the length in front of all since `open`. Most lengths fit into the byte left for them;
  /// for others the content moves.
  mutating func close(_ start: Int) {
    let length = bytes.count - start
    if length < 0x80 {
      bytes[start - 1] = UInt8(length)
      return
    }
    var prefix = WireWriter()
    prefix.varint(UInt64(length))
    bytes.replaceSubrange(start - 1..<start, with: prefix.bytes)
  }
}
