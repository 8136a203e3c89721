import HTTP2
import RPCCore
import Reactor

/// A method as one channel calls it: what all its calls have in common.
final class ClientMethod {
  let descriptor: MethodDescriptor
  let config: ServiceConfig.Method
  let responseBytesMax: Int
  /// For calls that do not say how long they may take.
  private let timeout: Duration

  /// The header fields of every request, which nghttp2 reads when it sends them. The channel keeps its
  /// methods, and a call both until its streams are closed; those that it has left are reset, and what was
  /// not sent of them is not read.
  private let fields: ConstantHeaderFields
  /// What the last request had left, in nanoseconds and as text.
  private var timeLeft: (nanoseconds: Int64, textBytes: Int) = (0, 0)
  private let timeText = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: GRPCTimeout.bytesMax)

  init(_ descriptor: MethodDescriptor, _ configuration: ChannelConfiguration) {
    self.descriptor = descriptor
    config = configuration.service.method(descriptor)
    responseBytesMax = min(configuration.messageBytes, config.responseBytesMax ?? .max)
    timeout = config.timeout ?? configuration.callTimeout
    fields = ConstantHeaderFields([
      (":method", "POST"), (":scheme", configuration.tls == nil ? "http" : "https"),
      (":path", descriptor.path), (":authority", configuration.authority), ("te", "trailers"),
      ("content-type", "application/grpc"),
      ("grpc-accept-encoding", MessageEncoding.accepted.description),
    ])
  }

  deinit {
    fields.deallocate()
    timeText.deallocate()
  }

  /// When a call that is made `now`, and asks for `asked`, must be over.
  func deadline(_ asked: Duration?, now: Instant) -> Instant {
    let timeout = asked.map { min($0, config.timeout ?? $0) } ?? timeout
    return now + timeout
  }

  /// Opens `stream` on `connection`, for an attempt that has `nanoseconds` left.
  ///
  /// HPACK's table is for what one call has as the other has; the first puts the names there.
  func open(
    _ stream: HTTP2Stream, on connection: ClientConnection, nanoseconds: Int64,
    previousAttempts: Int, compresses: Bool, _ metadata: Metadata
  ) throws {
    let isUsual = timeLeft.nanoseconds == nanoseconds
    if !isUsual {
      timeLeft = (nanoseconds, GRPCTimeout.encode(nanoseconds: nanoseconds, into: timeText))
    }
    // Only a further attempt, or metadata of bytes, need a copy.
    var metadata = metadata.written
    if previousAttempts > 0 {
      var text = String(previousAttempts)
      text.withUTF8 { metadata.append(checked: "grpc-previous-rpc-attempts", $0) }
    }
    let isNew = connection.isNew
    // What the fields point to lasts: the metadata are held, and not changed.
    try withExtendedLifetime(metadata) {
      try connection.open(stream, fields, and: 2 + metadata.count) { fields in
        fields.append(
          "grpc-timeout", UnsafeBufferPointer(rebasing: timeText[..<timeLeft.textBytes]),
          isIndexed: isUsual || isNew)
        if compresses { fields.append("grpc-encoding", MessageEncoding.gzipName) }
        // Mostly ids of one call.
        metadata.readAll { name, value in
          fields.append(
            name, value, isIndexed: isNew && !name.equals("authorization"))
        }
      }
    }
  }
}
