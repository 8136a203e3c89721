/// Cuts gRPC's length-prefixed messages out of a body whose chunks know nothing of them.
///
/// A message that lies whole in one chunk is handed over where it lies; only one that is torn between
/// chunks is copied together.
package struct MessageDeframer {
  /// Bytes of the prefix: a flag for compression, and the length, big-endian.
  package static let prefixBytes = 5

  /// The longest message taken. Its length is checked before anything is gathered.
  package let messageBytesMax: Int
  private var gathered: [UInt8] = []

  package init(messageBytesMax: Int) {
    self.messageBytesMax = messageBytesMax
  }

  /// Whether the body ended in the middle of a message.
  package var holdsPartOfAMessage: Bool { !gathered.isEmpty }

  /// Calls `body` for every message that `bytes` completes.
  package mutating func feed(
    _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(RPCError) -> Void
  ) throws(RPCError) {
    var rest = bytes
    while !rest.isEmpty {
      if gathered.isEmpty, let length = try length(of: rest),
        rest.count >= MessageDeframer.prefixBytes + length
      {
        let end = MessageDeframer.prefixBytes + length
        try body(UnsafeRawBufferPointer(rebasing: rest[MessageDeframer.prefixBytes..<end]))
        rest = UnsafeRawBufferPointer(rebasing: rest[end...])
      } else {
        rest = try gather(rest, body)
      }
    }
  }

  /// Adds what the torn message still lacks; returns the bytes after it.
  private mutating func gather(
    _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(RPCError) -> Void
  ) throws(RPCError) -> UnsafeRawBufferPointer {
    var rest = bytes
    take(&rest, upTo: MessageDeframer.prefixBytes)
    let prefix = gathered.withUnsafeBytes { UnsafeRawBufferPointer(rebasing: $0.prefix(5)) }
    var length: Int?
    if gathered.count >= MessageDeframer.prefixBytes { length = try self.length(of: prefix) }
    guard let length else { return rest }
    take(&rest, upTo: MessageDeframer.prefixBytes + length)
    guard gathered.count == MessageDeframer.prefixBytes + length else { return rest }
    let message = gathered
    gathered = []
    try message[MessageDeframer.prefixBytes...].withUnsafeBufferPointer {
      part throws(RPCError) in try body(UnsafeRawBufferPointer(part))
    }
    return rest
  }

  private mutating func take(_ bytes: inout UnsafeRawBufferPointer, upTo size: Int) {
    let count = min(bytes.count, max(0, size - gathered.count))
    gathered.append(contentsOf: bytes[..<count])
    bytes = UnsafeRawBufferPointer(rebasing: bytes[count...])
  }

  /// The length in a prefix, nil while the prefix is incomplete.
  private func length(of bytes: UnsafeRawBufferPointer) throws(RPCError) -> Int? {
    if bytes.count < MessageDeframer.prefixBytes { return nil }
    switch bytes[0] {
    case 0: break
    case 1:
      throw RPCError(.unimplemented, "compressed messages are not supported; send them as they are")
    default: throw RPCError(.internal, "bad message prefix: flag \(bytes[0])")
    }
    let length = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self)))
    if length > messageBytesMax {
      throw RPCError(
        .resourceExhausted, "message of \(length) bytes exceeds the limit of \(messageBytesMax)")
    }
    return length
  }

  /// Writes the prefix into the first five bytes of `message`, which were left free for it.
  package static func writePrefix(into message: inout [UInt8]) {
    let length = UInt32(message.count - prefixBytes)
    message[0] = 0
    message[1] = UInt8(length >> 24)
    message[2] = UInt8(length >> 16 & 255)
    message[3] = UInt8(length >> 8 & 255)
    message[4] = UInt8(length & 255)
  }
}
