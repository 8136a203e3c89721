/// Cuts gRPC's length-prefixed messages out of a body whose chunks know nothing of them.
///
/// A message that lies whole in one chunk is handed over where it lies; only one that is torn between
/// chunks is copied together, and one that is compressed is handed over inflated.
package struct MessageDeframer {
  /// Takes a message; the flag says whether it came compressed.
  package typealias Taking = (UnsafeRawBufferPointer, Bool) throws(RPCError) -> Void

  /// Bytes of the prefix: a flag for compression, and the length, big-endian.
  package static let prefixBytes = 5

  /// The longest message taken, as it is without compression. Its length is checked before anything
  /// is gathered.
  package let messageBytesMax: Int
  /// What the header block says of the messages whose flag is set.
  package var encoding = MessageEncoding.identity
  private var gathered: [UInt8] = []
  private var inflatedBytes = 0

  package init(messageBytesMax: Int) {
    self.messageBytesMax = messageBytesMax
  }

  /// Whether the body ended in the middle of a message.
  package var holdsPartOfAMessage: Bool { !gathered.isEmpty }
  /// How much of a torn message has come.
  package var gatheredBytes: Int { gathered.count }

  /// What compressed messages have come to since this was asked last, those included that `feed` has
  /// thrown for.
  package mutating func takeInflatedBytes() -> Int {
    defer { inflatedBytes = 0 }
    return inflatedBytes
  }

  /// Calls `body` for every message that `bytes` completes.
  package mutating func feed(
    _ bytes: UnsafeRawBufferPointer, _ body: Taking
  ) throws(RPCError) {
    var rest = bytes
    while !rest.isEmpty {
      if gathered.isEmpty, let length = try length(of: rest),
        rest.count >= MessageDeframer.prefixBytes + length
      {
        let end = MessageDeframer.prefixBytes + length
        try deliver(UnsafeRawBufferPointer(rebasing: rest[..<end]), body)
        rest = UnsafeRawBufferPointer(rebasing: rest[end...])
      } else {
        rest = try gather(rest, body)
      }
    }
  }

  /// Adds what the torn message still lacks; returns the bytes after it.
  private mutating func gather(
    _ bytes: UnsafeRawBufferPointer, _ body: Taking
  ) throws(RPCError) -> UnsafeRawBufferPointer {
    var rest = bytes
    take(&rest, upTo: MessageDeframer.prefixBytes)
    let prefixed = try gathered.withUnsafeBufferPointer { buffer throws(RPCError) in
      try length(of: UnsafeRawBufferPointer(buffer))
    }
    guard let length = prefixed else { return rest }
    take(&rest, upTo: MessageDeframer.prefixBytes + length)
    guard gathered.count == MessageDeframer.prefixBytes + length else { return rest }
    let message = gathered
    gathered = []
    try message.withUnsafeBufferPointer { buffer throws(RPCError) in
      try deliver(UnsafeRawBufferPointer(buffer), body)
    }
    return rest
  }

  /// Hands over the message in `framed`, prefix included.
  private mutating func deliver(
    _ framed: UnsafeRawBufferPointer, _ body: Taking
  ) throws(RPCError) {
    let message = UnsafeRawBufferPointer(rebasing: framed[MessageDeframer.prefixBytes...])
    if framed[0] == 0 { return try body(message, false) }
    let inflated = try Gzip.decompress(
      message, bytesMax: messageBytesMax, inflatedBytes: &inflatedBytes)
    try inflated.withUnsafeBufferPointer { buffer throws(RPCError) in
      try body(UnsafeRawBufferPointer(buffer), true)
    }
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
    case 1 where encoding == .gzip: break
    case 1:
      throw RPCError(.internal, "a compressed message in a call without grpc-encoding")
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
  package static func writePrefix(into message: inout [UInt8], isCompressed: Bool = false) {
    let length = UInt32(message.count - prefixBytes)
    message[0] = isCompressed ? 1 : 0
    message[1] = UInt8(length >> 24)
    message[2] = UInt8(length >> 16 & 255)
    message[3] = UInt8(length >> 8 & 255)
    message[4] = UInt8(length & 255)
  }
}
