import Glibc
import HTTP2
import RPCCore

/// What a request's header block says; one is reused for all of a connection.
final class RequestHead: HTTP2HeaderSink {
  /// Of a path that names no method, what a client is told again.
  private static let pathCharactersMax = 200

  private let server: Server
  private(set) var isPost = false
  /// Nil where the path names none. Kept from one block to the next: most clients call one again and again.
  private var latestMethod: ServerMethod?
  private var hasMethod = false
  private(set) var unknownPath = ""
  private(set) var contentTypeIsGRPC = false
  /// In nanoseconds.
  private(set) var timeout: Int64?
  private(set) var hasBadField = false
  /// How messages are compressed, nil for an encoding that is not understood.
  private(set) var encoding: MessageEncoding? = .identity
  private(set) var acceptsGzip = false
  private(set) var metadata = Metadata()

  init(_ server: Server) { self.server = server }

  /// What the path names.
  var method: ServerMethod? { hasMethod ? latestMethod : nil }

  override func reset() {
    isPost = false
    hasMethod = false
    if !unknownPath.isEmpty { unknownPath = "" }
    contentTypeIsGRPC = false
    timeout = nil
    hasBadField = false
    encoding = .identity
    acceptsGzip = false
    metadata = Metadata()
  }

  override func add(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    if !addOwn(name, value), !metadata.appendReceived(name: name, value: value) {
      hasBadField = true
    }
  }

  /// Takes a field of the protocol itself; false for metadata. The names are told apart by their
  /// lengths first.
  private func addOwn(
    _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>
  ) -> Bool {
    if name.first == UInt8(ascii: ":") {
      addPseudoHeader(name, value)
      return true
    }
    switch name.count {
    case 2: return name.equals("te")
    case 10: return name.equals("connection")
    case 12:
      if name.equals("content-type") {
        contentTypeIsGRPC = RequestHead.isGRPC(value)
        return true
      }
      if name.equals("grpc-timeout") {
        timeout = GRPCTimeout.decode(value)
        if timeout == nil { hasBadField = true }
        return true
      }
    case 13 where name.equals("grpc-encoding"):
      encoding = MessageEncoding(name: value)
      return true
    case 14: if name.equals("content-length") { return true }
    case 20 where name.equals("grpc-accept-encoding"):
      acceptsGzip = RequestHead.list(value, holds: MessageEncoding.gzip.rawValue)
      return true
    default: break
    }
    // Reserved for what is to come.
    return name.starts(with: "grpc-")
  }

  private func addPseudoHeader(
    _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>
  ) {
    if name.equals(":path") {
      find(value)
    } else if name.equals(":method") {
      isPost = value.equals("POST")
    }
  }

  private func find(_ path: UnsafeBufferPointer<UInt8>) {
    hasMethod = true
    if let latestMethod, latestMethod.isAt(path) { return }
    let text = String(decoding: path, as: UTF8.self)
    if let method = server.method(at: text) {
      latestMethod = method
    } else {
      hasMethod = false
      unknownPath = String(text.prefix(RequestHead.pathCharactersMax))
    }
  }

  /// `application/grpc`, or with `+proto`; other encodings of messages are not served.
  private static func isGRPC(_ value: UnsafeBufferPointer<UInt8>) -> Bool {
    value.equals("application/grpc") || value.equals("application/grpc+proto")
      || value.starts(with: "application/grpc;")
  }

  private static func list(_ value: UnsafeBufferPointer<UInt8>, holds entry: String) -> Bool {
    value.split(separator: UInt8(ascii: ",")).contains { part in
      part.drop { $0 == 0x20 }.prefix { $0 != 0x20 }.elementsEqual(entry.utf8)
    }
  }
}

extension UnsafeBufferPointer<UInt8> {
  package func equals(_ text: StaticString) -> Bool {
    count == text.utf8CodeUnitCount && starts(with: text)
  }

  package func starts(with text: StaticString) -> Bool {
    guard let start = baseAddress, count >= text.utf8CodeUnitCount else { return false }
    return memcmp(start, text.utf8Start, text.utf8CodeUnitCount) == 0
  }
}
