import HTTP2
import RPCCore

extension HeaderFields {
  mutating func append(
    _ metadata: Metadata, isIndexed: (UnsafeBufferPointer<UInt8>) -> Bool = { _ in true }
  ) {
    metadata.writeAll { append($0, $1, isIndexed: isIndexed($0)) }
  }

  /// Clients refuse header blocks that are larger than they take (8 KiB by grpcio's default), and lose
  /// the status with it: what does not fit is left out, of the message the end, of the details all.
  mutating func append(_ error: RPCError) {
    append("grpc-status", String(error.code.rawValue))
    if !error.message.isEmpty {
      let message = GRPCMessageText.encode(
        error.message, bytesMax: ServerLimits.statusMessageBytesMax)
      append("grpc-message", message)
    }
    if !error.details.isEmpty, error.details.count <= ServerLimits.statusDetailsBytesMax {
      append("grpc-status-details-bin", Base64.encode(error.details))
    }
  }
}
