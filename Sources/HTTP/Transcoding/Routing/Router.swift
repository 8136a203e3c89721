import Descriptors
package import HTTP

/// What a method and a path lead to.
package enum RouteMatch: Sendable {
  case route(RoutedRequest)
  /// The path exists, for these methods (sorted; for the Allow field of a 405).
  case methodNotAllowed([HTTPMethod])
  case notFound
}

/// The routes by the segments of their templates. A literal is preferred to a variable, and a
/// template with the path's verb to one without.
struct Router: Sendable {
  /// One position in a path. Each is visited at most once in a search, which bounds the search.
  private struct Node: Sendable {
    var literals: [String: Int] = [:]
    var one: Int?
    var rest: Int?
    /// By verb, then by method.
    var routes: [String: [HTTPMethod: Route]] = [:]
  }

  private var nodes = [Node()]
  private var verbs: Set<String> = []

  mutating func add(_ route: Route) throws(RouteError) {
    var node = 0
    for segment in route.path.segments { node = child(of: node, for: segment) }
    let other = nodes[node].routes[route.path.verb, default: [:]].updateValue(
      route, forKey: route.httpMethod)
    if let other {
      throw RouteError(
        method: route.method.fullName, binding: "\(route.httpMethod) \(route.template)",
        reason: "matches the same paths as \(other.method.fullName), \(other.template)")
    }
    verbs.insert(route.path.verb)
  }

  private mutating func child(of node: Int, for segment: PathTemplate.Segment) -> Int {
    let existing =
      switch segment {
      case .literal(let text): nodes[node].literals[text]
      case .one: nodes[node].one
      case .rest: nodes[node].rest
      }
    if let existing { return existing }
    let made = nodes.count
    nodes.append(Node())
    switch segment {
    case .literal(let text): nodes[node].literals[text] = made
    case .one: nodes[node].one = made
    case .rest: nodes[node].rest = made
    }
    return made
  }

  /// - Parameter path: as received, without the query.
  func match(_ method: HTTPMethod, _ path: String) throws(HTTPTargetError) -> RouteMatch {
    // An escaped colon belongs to the segment; a plain one may begin a verb.
    let lastSlash = path.utf8.lastIndex(of: UInt8(ascii: "/")) ?? path.startIndex
    if let colon = path.utf8[lastSlash...].lastIndex(of: UInt8(ascii: ":")) {
      let verb = String(path[path.utf8.index(after: colon)...])
      if verbs.contains(verb), !verb.isEmpty {
        let match = match(method, try HTTPPath(String(path[..<colon])).segments, verb)
        if case .notFound = match {} else { return match }
      }
    }
    return match(method, try HTTPPath(path).segments, "")
  }

  private func match(_ method: HTTPMethod, _ segments: [String], _ verb: String) -> RouteMatch {
    var allowed: Set<HTTPMethod> = []
    guard let route = search(method, segments, verb, from: 0, at: 0, &allowed) else {
      return allowed.isEmpty
        ? .notFound : .methodNotAllowed(allowed.sorted { $0.name < $1.name })
    }
    return .route(RoutedRequest(route, segments))
  }

  /// - Parameter allowed: gathers the methods of routes that match but for theirs.
  private func search(
    _ method: HTTPMethod, _ segments: [String], _ verb: String, from index: Int, at node: Int,
    _ allowed: inout Set<HTTPMethod>
  ) -> Route? {
    let node = nodes[node]
    if index == segments.count, let routes = node.routes[verb] {
      if let route = routes[method] { return route }
      allowed.formUnion(routes.keys)
    }
    if index < segments.count {
      for next in [node.literals[segments[index]], segments[index].isEmpty ? nil : node.one] {
        guard let next else { continue }
        let found = search(method, segments, verb, from: index + 1, at: next, &allowed)
        if let found { return found }
      }
    }
    guard let rest = node.rest else { return nil }
    return search(method, segments, verb, from: segments.count, at: rest, &allowed)
  }
}
