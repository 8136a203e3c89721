/// Why the HTTP rules of the contracts make no routes. A fault of the contracts: found at the start.
package struct RouteError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The method's full name.
  package let method: String
  /// "GET /v1/stores/{store}".
  package let binding: String
  package let reason: String

  package var description: String { "\(method), \(binding): \(reason)" }
}
