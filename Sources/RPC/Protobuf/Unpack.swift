import CProtobufC

/// Makes Swift values of what protobuf-c unpacked. Used by generated code.
package enum Unpack {
  /// Checks a serialized message, has protobuf-c unpack it and gives `body` the C structure, which is
  /// gone afterwards. Returns about how many bytes the Swift value made of it takes.
  package static func unpack(
    _ bytes: UnsafeRawBufferPointer, as layout: MessageLayout, limits: DecodingLimits,
    _ body: (UnsafeRawPointer) -> Void
  ) throws(ProtobufError) -> Int {
    let scan = try WireScanner(bytes, as: layout, limits: limits)
    let isUnpacked = Arena.with(capacity: scan.memoryBytes) { arena in
      arena.withAllocator { allocator in
        let message = protobuf_c_message_unpack(
          layout.descriptor, allocator, bytes.count,
          bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
        guard let message else { return false }
        body(message)
        return true
      }
    }
    if !isUnpacked { throw ProtobufError(.notUnpacked) }
    return scan.valueBytes
  }

  package static func string(_ value: UnsafePointer<CChar>?) -> String {
    guard let value, value.pointee != 0 else { return "" }
    return String(cString: value)
  }

  package static func bytes(_ start: UnsafePointer<UInt8>?, count: Int) -> [UInt8] {
    Array(UnsafeBufferPointer(start: start, count: start == nil ? 0 : count))
  }
}
