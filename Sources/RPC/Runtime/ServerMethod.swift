import Glibc
package import Protobuf
package import RPCCore

/// A method with the handler that serves it. Handlers are confined to the server's reactor.
package final class ServerMethod {
  package let descriptor: MethodDescriptor
  let makeCall: (ServerMethod, ServerConnection) -> ServerCall
  let streams: Bool
  private let path: [UInt8]

  private init(
    descriptor: MethodDescriptor, makeCall: @escaping (ServerMethod, ServerConnection) -> ServerCall
  ) {
    self.descriptor = descriptor
    self.makeCall = makeCall
    streams = descriptor.clientStreaming || descriptor.serverStreaming
    path = Array(descriptor.path.utf8)
  }

  func isAt(_ path: UnsafeBufferPointer<UInt8>) -> Bool {
    guard path.count == self.path.count, let start = path.baseAddress else { return false }
    return memcmp(start, self.path, path.count) == 0
  }

  package static func unary<Request: ProtobufMessage, Response: ProtobufMessage>(
    _ descriptor: MethodDescriptor,
    _ handler: @escaping (Request, ServerContext) async throws -> Response
  ) -> ServerMethod {
    unary(descriptor) { message, memoryBytes throws(RPCError) in
      let request = try Request(received: message, memoryBytes: &memoryBytes)
      return { try $0.send(try await handler(request, $0.context)) }
    }
  }

  /// The same where the messages' types are known, as the generated code does it, with one function less
  /// that waits. `decode` gives what answers the request, and sets what that takes in memory.
  package static func unary(
    _ descriptor: MethodDescriptor, decode: @escaping RequestDecoder
  ) -> ServerMethod {
    ServerMethod(descriptor: descriptor) { method, connection in
      UnaryServerCall(method, connection, decode: decode)
    }
  }

  package static func serverStreaming<Request: ProtobufMessage, Response: ProtobufMessage>(
    _ descriptor: MethodDescriptor,
    _ handler: @escaping (Request, ResponseWriter<Response>, ServerContext) async throws -> Void
  ) -> ServerMethod {
    bidirectional(descriptor) {
      (requests: RequestReader<Request>, responses: ResponseWriter<Response>, context) in
      guard let request = try await requests.next() else {
        throw RPCError(.unimplemented, "\(descriptor.path) takes one request message, none came")
      }
      if try await requests.next() != nil {
        throw RPCError(.unimplemented, "\(descriptor.path) takes one request message, more came")
      }
      try await handler(request, responses, context)
    }
  }

  package static func clientStreaming<Request: ProtobufMessage, Response: ProtobufMessage>(
    _ descriptor: MethodDescriptor,
    _ handler: @escaping (RequestReader<Request>, ServerContext) async throws -> Response
  ) -> ServerMethod {
    bidirectional(descriptor) {
      (requests: RequestReader<Request>, responses: ResponseWriter<Response>, context) in
      let response = try await handler(requests, context)
      try await responses.write(response)
    }
  }

  package static func bidirectional<Request: ProtobufMessage, Response: ProtobufMessage>(
    _ descriptor: MethodDescriptor,
    _ handler:
      @escaping (
        RequestReader<Request>, ResponseWriter<Response>, ServerContext
      ) async throws -> Void
  ) -> ServerMethod {
    ServerMethod(descriptor: descriptor) { method, connection in
      StreamingServerCall(method, connection, handler: handler)
    }
  }
}

/// Decodes a request, for what answers it; says how much the request takes in memory.
package typealias RequestDecoder =
  (_ message: UnsafeRawBufferPointer, _ memoryBytes: inout Int) throws(RPCError) ->
  ServerCall.Handler

/// Sends the one response of a call.
package struct ResponseSender {
  let call: ServerCall

  package var context: ServerContext { ServerContext(call: call) }

  package func send<Response: ProtobufMessage>(_ response: Response) throws(RPCError) {
    try call.respond(response.framed(call.responseEncoding))
  }
}
