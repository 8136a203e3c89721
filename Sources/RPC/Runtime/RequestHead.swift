import RPCCore

/// The header block of a request as it comes in; one is reused for all requests of a connection.
struct RequestHead {
  private(set) var isPost = false
  private(set) var path: [UInt8] = []
  private(set) var contentTypeIsGRPC = false
  private(set) var timeout: Duration?
  private(set) var hasBadField = false
  private(set) var metadata = Metadata()

  mutating func reset() { self = RequestHead() }

  mutating func add(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    if name.first == UInt8(ascii: ":") {
      addPseudoHeader(name, value)
    } else if RequestHead.equal(name, "content-type") {
      contentTypeIsGRPC = RequestHead.isGRPC(value)
    } else if RequestHead.equal(name, "grpc-timeout") {
      timeout = GRPCTimeout.decode(value)
      if timeout == nil { hasBadField = true }
    } else if !RequestHead.isReserved(name) {
      let text = String(decoding: value, as: UTF8.self)
      if !metadata.appendReceived(name: String(decoding: name, as: UTF8.self), value: text) {
        hasBadField = true
      }
    }
  }

  private mutating func addPseudoHeader(
    _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>
  ) {
    if RequestHead.equal(name, ":path") {
      path = Array(value)
    } else if RequestHead.equal(name, ":method") {
      isPost = RequestHead.equal(value, "POST")
    }
  }

  /// `application/grpc`, or with `+proto`; other encodings of messages are not served.
  private static func isGRPC(_ value: UnsafeBufferPointer<UInt8>) -> Bool {
    equal(value, "application/grpc") || equal(value, "application/grpc+proto")
      || hasPrefix(value, "application/grpc;")
  }

  /// Fields of the protocol itself, which are no metadata.
  private static func isReserved(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
    hasPrefix(name, "grpc-") || equal(name, "te") || equal(name, "content-length")
      || equal(name, "connection")
  }

  private static func equal(_ bytes: UnsafeBufferPointer<UInt8>, _ text: StaticString) -> Bool {
    bytes.count == text.utf8CodeUnitCount && hasPrefix(bytes, text)
  }

  private static func hasPrefix(_ bytes: UnsafeBufferPointer<UInt8>, _ text: StaticString) -> Bool {
    text.withUTF8Buffer { prefix in bytes.count >= prefix.count && bytes.starts(with: prefix) }
  }
}
