import Contracts
package import Descriptors
import Protobuf
package import RPC
import RPCCore

/// `grpc.reflection.v1.ServerReflection` and its predecessor `v1alpha`: tells tools such as grpcurl
/// what the server offers.
package struct ReflectionService {
  private let index: ReflectionIndex

  /// - Parameter services: the full names of the services to list, as `Server.serviceNames` has
  ///   them; reflection itself is listed as well.
  package init(_ pool: DescriptorPool, services: [String]) {
    let own = [
      GRPCReflectionV1.ServerReflectionMethods.service,
      GRPCReflectionV1Alpha.ServerReflectionMethods.service,
    ]
    index = ReflectionIndex(pool: pool, services: Set(services + own).sorted())
  }

  /// The methods of both services, to be put into a server.
  package var methods: [ServerMethod] {
    ReflectionV1(index: index).methods + ReflectionV1Alpha(index: index).methods
  }
}

private struct ReflectionV1: GRPCReflectionV1.ServerReflectionHandler {
  let index: ReflectionIndex

  func serverReflectionInfo(
    _ requests: RequestReader<GRPCReflectionV1.ServerReflectionRequest>,
    responses: ResponseWriter<GRPCReflectionV1.ServerReflectionResponse>, context: ServerContext
  ) async throws {
    var sent: Set<String> = []
    while let request = try await requests.next() {
      try await responses.write(index.response(to: request, sent: &sent))
    }
  }
}

/// The messages of both versions are the same on the wire.
private struct ReflectionV1Alpha: GRPCReflectionV1Alpha.ServerReflectionHandler {
  let index: ReflectionIndex

  func serverReflectionInfo(
    _ requests: RequestReader<GRPCReflectionV1Alpha.ServerReflectionRequest>,
    responses: ResponseWriter<GRPCReflectionV1Alpha.ServerReflectionResponse>,
    context: ServerContext
  ) async throws {
    var sent: Set<String> = []
    while let request = try await requests.next() {
      let response = index.response(
        to: try GRPCReflectionV1.ServerReflectionRequest(serialized: request.serialized()),
        sent: &sent)
      try await responses.write(
        GRPCReflectionV1Alpha.ServerReflectionResponse(serialized: response.serialized()))
    }
  }
}

/// Answers the questions of reflection from the descriptors.
private struct ReflectionIndex {
  typealias Request = GRPCReflectionV1.ServerReflectionRequest
  typealias Response = GRPCReflectionV1.ServerReflectionResponse

  /// Errors repeat no more of what was asked for.
  private static let shownCharactersMax = 200

  let pool: DescriptorPool
  let services: [String]

  /// - Parameter sent: the files that the stream has carried; they are not sent again.
  func response(to request: Request, sent: inout Set<String>) -> Response {
    Response(
      validHost: request.host, originalRequest: request,
      messageResponse: answer(to: request.messageRequest, sent: &sent))
  }

  private func answer(
    to request: Request.MessageRequest?, sent: inout Set<String>
  ) -> Response.MessageResponse {
    switch request {
    case .fileByFilename(let name):
      return files(pool.file(named: name), asked: "file \(name)", sent: &sent)
    case .fileContainingSymbol(let symbol):
      return files(pool.file(defining: symbol), asked: "symbol \(symbol)", sent: &sent)
    case .fileContainingExtension(let wanted):
      let found = pool.extensions.first {
        $0.extendee == wanted.containingType && $0.number == wanted.extensionNumber
      }
      return files(
        found.flatMap { pool.file(named: $0.file) },
        asked: "extension \(wanted.extensionNumber) of \(wanted.containingType)", sent: &sent)
    case .allExtensionNumbersOfType(let type):
      guard pool.message(named: type) != nil else { return notFound("message \(type)") }
      let numbers = pool.extensions.filter { $0.extendee == type }.map(\.number)
      return .allExtensionNumbersResponse(
        GRPCReflectionV1.ExtensionNumberResponse(baseTypeName: type, extensionNumber: numbers))
    case .listServices:
      return .listServicesResponse(
        GRPCReflectionV1.ListServiceResponse(
          service: services.map { GRPCReflectionV1.ServiceResponse(name: $0) }))
    case nil:
      return error(.invalidArgument, "the request asks for nothing; set message_request")
    }
  }

  /// The file, even when it was sent before, and what it imports and was not.
  private func files(
    _ file: FileDescriptor?, asked: String, sent: inout Set<String>
  ) -> Response.MessageResponse {
    guard let file else { return notFound(asked) }
    let imported = pool.closure(of: file).dropFirst().filter { !sent.contains($0.name) }
    let files = [file] + imported
    sent.formUnion(files.map(\.name))
    return .fileDescriptorResponse(
      GRPCReflectionV1.FileDescriptorResponse(fileDescriptorProto: files.map(\.bytes)))
  }

  private func notFound(_ asked: String) -> Response.MessageResponse {
    error(.notFound, "no \(asked.prefix(Self.shownCharactersMax))")
  }

  private func error(_ code: StatusCode, _ message: String) -> Response.MessageResponse {
    .errorResponse(
      GRPCReflectionV1.ErrorResponse(errorCode: Int32(code.rawValue), errorMessage: message))
  }
}
