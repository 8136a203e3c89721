import HTTP2
import Protobuf
import RPCCore

/// A call of one request and one response.
final class UnaryServerCall<Request: ProtobufMessage, Response: ProtobufMessage>: ServerCall {
  private let handler: (Request, ServerContext) async throws -> Response
  private var request: Request?
  private var wasCompressed = false
  private var messageBytes = 0

  override var waitingBytes: Int { messageBytes }

  init(
    _ method: ServerMethod, _ connection: ServerConnection,
    handler: @escaping (Request, ServerContext) async throws -> Response
  ) {
    self.handler = handler
    super.init(method, connection)
  }

  override func received(_ bytes: UnsafeRawBufferPointer) {
    super.received(bytes)
    stream?.consume(bytes.count)
  }

  override var requestWasCompressed: Bool { wasCompressed }

  override func received(
    message: UnsafeRawBufferPointer, wasCompressed: Bool
  ) throws(RPCError) {
    if request != nil {
      throw RPCError(
        .unimplemented, "\(method.descriptor.path) takes one request message, more came")
    }
    request = try Request(received: message)
    self.wasCompressed = wasCompressed
    messageBytes = message.count
  }

  override func receivedEndOfRequest() throws(RPCError) {
    if isFinished { return }
    if request == nil {
      throw RPCError(
        .unimplemented, "\(method.descriptor.path) takes one request message, none came")
    }
    run()
  }

  override func invoke() async throws {
    guard let request = request.take() else { return }
    let response = try await handler(request, ServerContext(call: self))
    if isFinished { return }
    let message = response.framed(responseEncoding)
    messageBytes = message.count
    try holdBytes()
    sendHeaders()
    stream?.send(message)
  }
}

extension ProtobufMessage {
  init(received bytes: UnsafeRawBufferPointer) throws(RPCError) {
    do throws(ProtobufError) {
      try self.init(serialized: bytes)
    } catch {
      throw RPCError(.internal, "cannot decode the message: \(error)")
    }
  }

  /// The message behind its gRPC prefix.
  func framed(_ encoding: MessageEncoding = .identity) -> [UInt8] {
    if encoding == .gzip { return serialized().gzipped() }
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
