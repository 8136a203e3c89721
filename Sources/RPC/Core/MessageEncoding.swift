/// How messages are compressed (`grpc-encoding`).
package enum MessageEncoding: String, Sendable {
  case identity
  case gzip

  /// All that is understood, as `grpc-accept-encoding` says it.
  package static let accepted: StaticString = "identity,gzip"

  /// Nil for an encoding that is not understood.
  package init?(name: UnsafeBufferPointer<UInt8>) {
    self.init(rawValue: String(decoding: name, as: UTF8.self))
  }
}
