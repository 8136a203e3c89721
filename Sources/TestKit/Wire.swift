/// Puts wire bytes together by hand, for messages that no serializer would make.
package enum Wire {
  package static func varint(_ value: UInt64) -> [UInt8] {
    var value = value
    var bytes: [UInt8] = []
    while value >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    return bytes + [UInt8(value)]
  }

  package static func tag(_ number: UInt64, _ wireType: UInt64) -> [UInt8] {
    varint(number << 3 | wireType)
  }

  package static func field(_ number: UInt64, _ content: [UInt8]) -> [UInt8] {
    tag(number, 2) + varint(UInt64(content.count)) + content
  }

  package static func field(_ number: UInt64, varint value: UInt64) -> [UInt8] {
    tag(number, 0) + varint(value)
  }
}
