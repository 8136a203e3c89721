import RPCCore

/// The header block of a request as it comes in; one is reused for all requests of a connection.
struct RequestHead {
  private(set) var isPost = false
  private(set) var path: [UInt8] = []
  private(set) var contentTypeIsGRPC = false
  private(set) var timeout: Duration?
  private(set) var hasBadField = false
  /// How messages are compressed, nil for an encoding that is not understood.
  private(set) var encoding: MessageEncoding? = .identity
  private(set) var acceptsGzip = false
  private(set) var metadata = Metadata()

  /// Keeps the room for the path.
  mutating func reset() {
    var path = path
    self = RequestHead()
    path.removeAll(keepingCapacity: true)
    self.path = path
  }

  mutating func add(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    if name.first == UInt8(ascii: ":") {
      addPseudoHeader(name, value)
    } else if RequestHead.equal(name, "content-type") {
      contentTypeIsGRPC = RequestHead.isGRPC(value)
    } else if RequestHead.equal(name, "grpc-timeout") {
      timeout = GRPCTimeout.decode(value)
      if timeout == nil { hasBadField = true }
    } else if RequestHead.equal(name, "grpc-encoding") {
      encoding = MessageEncoding(name: value)
    } else if RequestHead.equal(name, "grpc-accept-encoding") {
      acceptsGzip = RequestHead.list(value, holds: MessageEncoding.gzip.rawValue)
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
      path.append(contentsOf: value)
    } else if RequestHead.equal(name, ":method") {
      isPost = RequestHead.equal(value, "POST")
    }
  }

  /// `application/grpc`, or with `+proto`; other encodings of messages are not served.
  private static func isGRPC(_ value: UnsafeBufferPointer<UInt8>) -> Bool {
    equal(value, "application/grpc") || equal(value, "application/grpc+proto")
      || hasPrefix(value, "application/grpc;")
  }

  private static func list(_ value: UnsafeBufferPointer<UInt8>, holds entry: String) -> Bool {
    value.split(separator: UInt8(ascii: ",")).contains { part in
      part.drop { $0 == 0x20 }.prefix { $0 != 0x20 }.elementsEqual(entry.utf8)
    }
  }

  /// Fields of the protocol itself, which are no metadata.
  private static func isReserved(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
    hasPrefix(name, "grpc-") || equal(name, "te") || equal(name, "content-length")
      || equal(name, "connection")
  }

  static func equal(_ bytes: UnsafeBufferPointer<UInt8>, _ text: StaticString) -> Bool {
    bytes.count == text.utf8CodeUnitCount && hasPrefix(bytes, text)
  }

  static func hasPrefix(_ bytes: UnsafeBufferPointer<UInt8>, _ text: StaticString) -> Bool {
    text.withUTF8Buffer { prefix in bytes.count >= prefix.count && bytes.starts(with: prefix) }
  }
}
