import Protobuf
import RPCCore
import ServiceRuntime

/// A method that the gateway answers itself.
final class LocalMethod<Request: ProtobufMessage, Response: ProtobufMessage>: Backend {
  let needsCaller: Bool
  private let handler: (Request, EdgeExchange) async throws -> Response

  init(
    needsCaller: Bool, _ handler: @escaping (Request, EdgeExchange) async throws -> Response
  ) {
    self.needsCaller = needsCaller
    self.handler = handler
  }

  func unary(_ message: [UInt8], for exchange: EdgeExchange) async throws -> [UInt8] {
    let request: Request
    do throws(ProtobufError) {
      request = try Request(serialized: message)
    } catch {
      throw RPCError.invalidArgument(field: error.path, description: error.reason.description)
    }
    return try await handler(request, exchange).serialized()
  }
}
