import Descriptors
import HTTP
import Transcoding

/// What is served, and by what.
final class RouteTable {
  private let transcoder: Transcoder
  /// By the path of the method, as gRPC calls it.
  private let backends: [String: any Backend]
  private let documents: [String: PublicDocument]

  /// - Throws: `StartError` for a method that nothing answers.
  init(
    _ transcoder: Transcoder, _ backends: [String: any Backend], _ documents: [PublicDocument]
  ) throws {
    for route in transcoder.routes where backends[route.method.path] == nil {
      throw UnservedMethod(method: route.method.fullName)
    }
    self.transcoder = transcoder
    self.backends = backends
    self.documents = Dictionary(documents.map { ($0.path, $0) }) { first, _ in first }
  }

  func destination(of exchange: EdgeExchange) throws -> Destination {
    let head = exchange.request.head
    if let document = documents[head.path] {
      guard head.method == .get || head.method == .head else {
        throw notAllowed([.get, .head], exchange)
      }
      return .document(document)
    }
    let match: RouteMatch
    do throws(HTTPTargetError) {
      match = try transcoder.match(head.method, path: head.path)
    } catch {
      throw Refusal(.badRequest, code: 3, "the path: \(error)", exchange)
    }
    switch match {
    case .route(let routed):
      guard let backend = backends[routed.route.method.path] else {
        throw UnservedMethod(method: routed.route.method.fullName)
      }
      return .method(routed, backend)
    case .methodNotAllowed(let methods): throw notAllowed(methods, exchange)
    case .notFound:
      throw Refusal(.notFound, code: 5, "there is nothing at this path", exchange)
    }
  }

  private func notAllowed(_ methods: [HTTPMethod], _ exchange: EdgeExchange) -> Refusal {
    let allowed = methods.map(\.name).joined(separator: ", ")
    var refusal = Refusal(
      .methodNotAllowed, code: 12, "this path takes \(allowed)", exchange)
    refusal.fields["allow"] = allowed
    return refusal
  }
}

/// A contract has a method that this gateway has no backend for.
struct UnservedMethod: Error, CustomStringConvertible {
  let method: String
  var description: String { "nothing answers \(method), which the contracts show to clients" }
}
