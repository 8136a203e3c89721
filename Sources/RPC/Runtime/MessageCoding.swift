package import Protobuf
package import RPCCore

/// How the bytes of a message become what the caller is given, and how much memory that takes.
typealias MessageDecoding<Message> =
  (_ bytes: UnsafeRawBufferPointer, _ memoryBytes: inout Int) throws(RPCError) -> Message

/// Takes the bytes of the one message of a response.
package typealias TakingResponse = (UnsafeRawBufferPointer) throws(RPCError) -> Void

extension ProtobufMessage {
  /// `memoryBytes` is set to what the message takes in memory, which is never less than on the wire.
  package init(received bytes: UnsafeRawBufferPointer, memoryBytes: inout Int) throws(RPCError) {
    do throws(ProtobufError) {
      try self.init(serialized: bytes, memoryBytes: &memoryBytes)
    } catch {
      throw RPCError(.internal, "cannot decode the message: \(error)")
    }
  }

  package init(received bytes: UnsafeRawBufferPointer) throws(RPCError) {
    var memoryBytes = 0
    try self.init(received: bytes, memoryBytes: &memoryBytes)
  }

  /// The message behind its gRPC prefix.
  package func framed(_ encoding: MessageEncoding = .identity) -> [UInt8] {
    if case .gzip = encoding { return serialized().gzipped() }
    var bytes = serialized(headroom: MessageDeframer.prefixBytes)
    MessageDeframer.writePrefix(into: &bytes)
    return bytes
  }
}

extension [UInt8] {
  /// A serialized message, compressed, behind its gRPC prefix.
  func gzipped() -> [UInt8] {
    var bytes = withUnsafeBytes { Gzip.compress($0, headroom: MessageDeframer.prefixBytes) }
    MessageDeframer.writePrefix(into: &bytes, isCompressed: true)
    return bytes
  }
}
