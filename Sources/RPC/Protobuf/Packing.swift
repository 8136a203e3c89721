import CProtobufC
import Glibc

/// Puts Swift values where protobuf-c packs them from. Used by generated code.
extension Arena {
  /// The encoding of the message that `fill` writes into a C structure whose members are all zero.
  package static func serialize(
    _ layout: MessageLayout, headroom: Int,
    _ fill: (UnsafeMutableRawPointer, borrowing Arena) -> Void
  ) -> [UInt8] {
    with { arena in
      let structure = arena.structure(layout)
      fill(structure, arena)
      let message = UnsafePointer(structure.assumingMemoryBound(to: ProtobufCMessage.self))
      let size = protobuf_c_message_get_packed_size(message)
      let count = headroom + size
      if count > copiedBytesMax {
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
          if let start = buffer.baseAddress { pack(message, behind: headroom, at: start) }
          initialized = count
        }
      }
      // Less than what it costs to make an array that is not filled from another.
      let memory = arena.allocate(byteCount: count).assumingMemoryBound(to: UInt8.self)
      pack(message, behind: headroom, at: memory)
      var bytes: [UInt8] = []
      bytes.append(contentsOf: UnsafeBufferPointer(start: memory, count: count))
      return bytes
    }
  }

  /// The longest message that is packed in the arena and copied.
  private static var copiedBytesMax: Int { 512 }

  private static func pack(
    _ message: UnsafePointer<ProtobufCMessage>, behind headroom: Int,
    at start: UnsafeMutablePointer<UInt8>
  ) {
    memset(start, 0, headroom)
    protobuf_c_message_pack(message, start + headroom)
  }

  /// Text for a `string` field, never NULL: in a oneof or an array protobuf-c would drop or follow it.
  /// The contracts have no NUL in text; C could not tell where such a text ends, so a NUL becomes
  /// U+FFFD.
  package func string(_ value: String) -> UnsafeMutablePointer<CChar> {
    var value = value
    return value.withUTF8 { text in
      guard let start = text.baseAddress, !text.isEmpty else { return emptyText }
      if memchr(start, 0, text.count) == nil {
        return terminated(start, count: text.count)
      }
      let replaced = text.flatMap { $0 == 0 ? [0xEF, 0xBF, 0xBD] : [$0] }
      return terminated(replaced, count: replaced.count)
    }
  }

  private func terminated(
    _ text: UnsafePointer<UInt8>, count: Int
  ) -> UnsafeMutablePointer<CChar> {
    let memory = allocate(byteCount: count + 1)
    memory.copyMemory(from: text, byteCount: count)
    memory.storeBytes(of: 0, toByteOffset: count, as: UInt8.self)
    return memory.assumingMemoryBound(to: CChar.self)
  }

  /// The content of a `bytes` field; NULL when it is empty.
  package func bytes(_ value: [UInt8]) -> UnsafeMutablePointer<UInt8>? {
    if value.isEmpty { return nil }
    let memory = allocate(byteCount: value.count)
    value.withUnsafeBytes {
      UnsafeMutableRawBufferPointer(start: memory, count: $0.count).copyMemory(from: $0)
    }
    return memory.assumingMemoryBound(to: UInt8.self)
  }

  /// A C message with nothing set: in proto3 all defaults are zeros, and protobuf-c takes NULL for
  /// empty text.
  package func structure(_ layout: MessageLayout) -> UnsafeMutableRawPointer {
    let size = layout.descriptor.pointee.sizeof_message
    let memory = allocate(byteCount: size)
    memset(memory, 0, size)
    memory.assumingMemoryBound(to: ProtobufCMessage.self).pointee.descriptor = layout.descriptor
    return memory
  }
}
