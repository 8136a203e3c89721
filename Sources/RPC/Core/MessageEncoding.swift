/// How messages are compressed (`grpc-encoding`).
package enum MessageEncoding: String, Sendable {
  case identity
  case gzip

  /// `gzip` as header fields say it.
  package static var gzipName: UnsafeBufferPointer<UInt8> {
    let name: StaticString = "gzip"
    return UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
  }

  /// All that is understood, as `grpc-accept-encoding` says it.
  package static let accepted: StaticString = "identity,gzip"

  /// Nil for an encoding that is not understood.
  package init?(name: UnsafeBufferPointer<UInt8>) {
    self.init(rawValue: String(decoding: name, as: UTF8.self))
  }
}
