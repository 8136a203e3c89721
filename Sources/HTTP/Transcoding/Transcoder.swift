package import Descriptors
package import HTTP
package import JSON

/// Translates between REST with JSON and the protobuf messages of gRPC, as the contracts'
/// `google.api.http` rules say. Immutable; made once at the start.
///
///     switch try transcoder.match(.get, path: "/v1/stores/shoes") {
///     case .route(let request):
///       let message = try request.message(query: query, body: body)
///       // call request.route.method.path with it, then
///       let document = try request.route.responseJSON(response)
package final class Transcoder: Sendable {
  package let pool: DescriptorPool
  package let options: TranscodingOptions
  /// In the order of the contracts.
  package let routes: [Route]
  private let router: Router

  /// - Parameter services: the full names of those to route to; all when nil.
  package init(
    _ pool: DescriptorPool, services: Set<String>? = nil,
    options: TranscodingOptions = TranscodingOptions()
  ) throws(RouteError) {
    var router = Router()
    var routes: [Route] = []
    for service in pool.services where services?.contains(service.fullName) ?? true {
      for method in service.methods {
        for rule in method.httpRules {
          let route = try Route(method, rule, pool, options)
          try router.add(route)
          routes.append(route)
        }
      }
    }
    self.pool = pool
    self.options = options
    self.routes = routes
    self.router = router
  }

  /// - Parameter path: of the request's target, as received, without the query.
  /// - Throws: why the path is malformed.
  package func match(
    _ method: HTTPMethod, path: String
  ) throws(HTTPTargetError) -> RouteMatch {
    try router.match(method, path)
  }

  /// The bytes of a message of that type.
  package func message(
    _ value: JSON, _ type: MessageDescriptor
  ) throws(TranscodingError) -> [UInt8] {
    try JSONToWire.message(value, type, pool, options)
  }

  /// The bytes of a message of that type as a JSON document.
  package func json(
    _ message: [UInt8], _ type: MessageDescriptor
  ) throws(TranscodingError) -> [UInt8] {
    try message.span.bytes.withUnsafeBytes { bytes throws(TranscodingError) in
      try WireToJSON.message(bytes, type, pool, options)
    }
  }
}
