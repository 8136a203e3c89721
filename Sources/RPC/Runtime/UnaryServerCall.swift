import HTTP2
import Protobuf
import RPCCore

/// A call of one request and one response.
final class UnaryServerCall<Request: ProtobufMessage, Response: ProtobufMessage>: ServerCall {
  private let handler: (Request, ServerContext) async throws -> Response
  private var request: Request?

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

  override func received(message: UnsafeRawBufferPointer) throws(RPCError) {
    if request != nil {
      throw RPCError(
        .unimplemented, "\(method.descriptor.path) takes one request message, more came")
    }
    request = try Request(received: message)
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
    sendHeaders()
    stream?.send(response.framed())
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
  func framed() -> [UInt8] {
    var bytes = serialized(headroom: MessageDeframer.prefixBytes)
    MessageDeframer.writePrefix(into: &bytes)
    return bytes
  }
}
