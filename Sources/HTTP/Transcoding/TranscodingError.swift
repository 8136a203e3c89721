package import JSON

/// Why a request cannot be turned into a message, or a message into a response. Never has values of
/// the request, which may be secrets; names of fields stand in the path.
package struct TranscodingError: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Location: Equatable, Sendable {
    /// The document in the request's content.
    case body
    case query
    /// A variable in the path.
    case path
    /// A message that came from a service; the fault is not the client's.
    case response
  }

  package internal(set) var location: Location
  package internal(set) var path: JSONPath
  /// What is wrong, and what would do.
  package let reason: String

  init(_ reason: String, in location: Location = .body, at path: JSONPath = JSONPath()) {
    self.location = location
    self.path = path
    self.reason = reason
  }

  /// The field of the request by its JSON name, such as `parameters.values` or `leaves[2].name`;
  /// empty for the request as a whole.
  package var field: String {
    let text = path.description.dropFirst()
    return String(text.utf8.first == UInt8(ascii: ".") ? text.dropFirst() : text)
  }

  package var description: String {
    let place =
      switch location {
      case .body: "the body"
      case .query: "the query"
      case .path: "the path"
      case .response: "the response"
      }
    return field.isEmpty ? "\(place): \(reason)" : "\(field) in \(place): \(reason)"
  }

  /// The same error, seen from the value that holds the one at fault.
  func inside(_ step: JSONPathStep) -> TranscodingError {
    var outer = self
    outer.path.steps.insert(step, at: 0)
    return outer
  }

  static func expected(_ wanted: String, found value: JSON) -> TranscodingError {
    TranscodingError("expected \(wanted), found \(value.kind)")
  }
}

/// What transcoding may cost, and the choices it leaves.
package struct TranscodingOptions: Sendable {
  /// How deep messages may nest below the outermost: what services accept.
  package var depthMax = 100
  /// Of the request's content.
  package var json = JSONLimits()
  /// A message of two bytes can become a document of hundreds.
  package var outputBytesMax = 32 << 20
  /// Whether numbers, strings, enums, lists and maps that are not set are written as 0, "", the
  /// first name, [] and {}. Fields whose absence means something never are.
  package var writesDefaults = true

  package init() {}
}
