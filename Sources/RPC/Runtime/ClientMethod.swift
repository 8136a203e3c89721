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

  /// The header fields of a request, one after the other: the first of them stay.
  private var fields = HeaderFields()
  private let constantFields: Int
  /// What the last request had left, in nanoseconds and as text.
  private var timeLeft: (nanoseconds: Int64, text: String) = (0, "")

  init(_ descriptor: MethodDescriptor, _ configuration: ChannelConfiguration) {
    self.descriptor = descriptor
    config = configuration.service.method(descriptor)
    responseBytesMax = min(configuration.messageBytes, config.responseBytesMax ?? .max)
    timeout = config.timeout ?? configuration.callTimeout
    fields.append(":method", "POST")
    fields.append(":scheme", configuration.tls == nil ? "http" : "https")
    fields.append(":path", descriptor.path)
    fields.append(":authority", configuration.authority)
    fields.append("te", "trailers")
    fields.append("content-type", "application/grpc")
    fields.append("grpc-accept-encoding", MessageEncoding.accepted)
    constantFields = fields.count
  }

  /// When a call that is made `now`, and asks for `asked`, must be over.
  func deadline(_ asked: Duration?, now: Instant) -> Instant {
    let timeout = asked.map { min($0, config.timeout ?? $0) } ?? timeout
    return now + timeout
  }

  /// The header fields of an attempt on `connection` that has `nanoseconds` left.
  ///
  /// HPACK's table is for what one call has as the other has; the first puts the names there.
  func requestFields(
    nanoseconds: Int64, previousAttempts: Int, compresses: Bool, _ metadata: Metadata,
    on connection: ClientConnection
  ) -> HeaderFields {
    fields.removeAll(after: constantFields)
    let isUsual = timeLeft.nanoseconds == nanoseconds
    if !isUsual { timeLeft = (nanoseconds, GRPCTimeout.encode(nanoseconds: nanoseconds)) }
    fields.append("grpc-timeout", timeLeft.text, isIndexed: isUsual || connection.isNew)
    if compresses { fields.append("grpc-encoding", MessageEncoding.gzip.rawValue) }
    if previousAttempts > 0 {
      fields.append("grpc-previous-rpc-attempts", String(previousAttempts))
    }
    // Mostly ids of one call.
    let isNew = connection.isNew
    fields.append(metadata) { isNew && !RequestHead.equal($0, "authorization") }
    return fields
  }
}
