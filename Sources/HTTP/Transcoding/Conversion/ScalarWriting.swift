import Descriptors
import JSON

/// Writes protobuf's numbers as JSON.
enum ScalarWriting {
  /// - Parameters:
  ///   - bits: as the wire has them: a varint, or a fixed value with zeros above.
  ///   - kind: any but a string, bytes or a message.
  static func write(_ bits: UInt64, as kind: FieldDescriptor.Kind, to writer: inout JSONWriter) {
    switch kind {
    case .double: writer.double(Double(bitPattern: bits))
    case .float: write(Float(bitPattern: UInt32(truncatingIfNeeded: bits)), to: &writer)
    case .int32, .sfixed32: writer.integer(Int64(Int32(truncatingIfNeeded: bits)))
    case .uint32, .fixed32: writer.integer(Int64(UInt32(truncatingIfNeeded: bits)))
    case .sint32: writer.integer(Int64(Int32(truncatingIfNeeded: unZigZag(bits & 0xFFFF_FFFF))))
    // JavaScript's numbers lose digits above 53 bits.
    case .int64, .uint64, .sint64, .fixed64, .sfixed64:
      writer.string(keyText(bits, as: kind))
    case .bool: writer.bool(bits != 0)
    case .enumeration(let type):
      let number = Int32(truncatingIfNeeded: bits)
      if type.fullName == "google.protobuf.NullValue" {
        writer.null()
      } else if let name = type.name(of: number) {
        writer.string(name)
      } else {
        writer.integer(Int64(number))
      }
    case .string, .bytes, .message: writer.null()
    }
  }

  /// An integer or a boolean as the key of a map.
  static func keyText(_ bits: UInt64, as kind: FieldDescriptor.Kind) -> String {
    switch kind {
    case .bool: bits != 0 ? "true" : "false"
    case .int32, .sfixed32: "\(Int32(truncatingIfNeeded: bits))"
    case .sint32: "\(Int32(truncatingIfNeeded: unZigZag(bits & 0xFFFF_FFFF)))"
    case .uint32, .fixed32: "\(UInt32(truncatingIfNeeded: bits))"
    case .sint64: "\(unZigZag(bits))"
    case .int64, .sfixed64: "\(Int64(bitPattern: bits))"
    default: "\(bits)"
    }
  }

  private static func unZigZag(_ bits: UInt64) -> Int64 {
    Int64(bitPattern: bits >> 1) ^ -Int64(bitPattern: bits & 1)
  }

  /// The fewest digits that give the same float; as a double it would have many more.
  private static func write(_ value: Float, to writer: inout JSONWriter) {
    let shortest = value.isFinite ? Double(value.description) : nil
    writer.double(shortest ?? Double(value))
  }
}
