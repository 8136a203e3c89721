import Descriptors
import HTTP
import RPC
import RPCCore
import Transcoding

/// What a request leads to.
enum Destination {
  /// A method of the contracts.
  case method(RoutedRequest, any Backend)
  /// Something that is there as it is.
  case document(PublicDocument)
}

/// A document that everyone may read.
struct PublicDocument {
  let path: String
  let contentType: String
  /// Seconds that caches may keep it.
  let maxAge: Int
  let body: [UInt8]
}

/// What answers a method of the contracts. Messages are serialized: the edge looks into none.
protocol Backend: AnyObject {
  /// Whether it is called for somebody, or for anybody.
  var needsCaller: Bool { get }

  /// - Throws: an `RPCError` with what the client is told.
  func unary(_ message: [UInt8], for exchange: EdgeExchange) async throws -> [UInt8]

  func stream(_ message: [UInt8], for exchange: EdgeExchange) async throws -> MessageStream
}

extension Backend {
  var needsCaller: Bool { true }

  func stream(
    _ message: [UInt8], for exchange: EdgeExchange
  ) async throws -> MessageStream {
    throw RPCError(.unimplemented, "the method has no stream")
  }
}

extension MethodDescriptor {
  convenience init(_ method: ServiceDescriptor.Method) {
    self.init(
      service: String(method.fullName.dropLast(method.name.count + 1)), name: method.name,
      clientStreaming: method.isClientStreaming, serverStreaming: method.isServerStreaming)
  }
}
