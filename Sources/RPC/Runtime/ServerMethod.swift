import Glibc
package import Protobuf
import RPCCore

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
    let decode: UnaryServerCall.Decoder = { message, memoryBytes throws(RPCError) in
      let request = try Request(received: message, memoryBytes: &memoryBytes)
      return { call in
        let response = try await handler(request, ServerContext(call: call))
        try call.respond(response.framed(call.responseEncoding))
      }
    }
    return ServerMethod(descriptor: descriptor) { method, connection in
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
