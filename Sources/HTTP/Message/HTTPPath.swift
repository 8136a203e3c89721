/// A path split at "/" and then decoded, so an escaped slash never makes a segment.
package struct HTTPPath: Equatable, Sendable {
  /// Far above any route; bounds the work of matching.
  package static let segmentsMax = 64

  /// Decoded text between the slashes: "/v1/stores/a%2Fb" gives v1, stores, a/b; "/" gives none;
  /// a trailing slash gives an empty last segment.
  package let segments: [String]

  package init(_ path: String) throws(HTTPTargetError) {
    guard path.utf8.first == UInt8(ascii: "/") else { throw .notAbsolute }
    var segments: [String] = []
    var rest = path.utf8.dropFirst()
    while !rest.isEmpty || !segments.isEmpty {
      guard segments.count < Self.segmentsMax else {
        throw .tooManySegments(limit: Self.segmentsMax)
      }
      let end = rest.firstIndex(of: UInt8(ascii: "/"))
      let segment = try PercentEncoding.decode(rest[..<(end ?? rest.endIndex)])
      guard segment != ".", segment != ".." else { throw .dotSegment }
      segments.append(segment)
      guard let end else { break }
      rest = rest[rest.index(after: end)...]
    }
    self.segments = segments
  }
}

/// The parameters of a query in order, decoded as `application/x-www-form-urlencoded`.
package struct HTTPQuery: Equatable, Sendable {
  package struct Parameter: Equatable, Sendable {
    package let name: String
    /// Empty for a name without "=".
    package let value: String

    package init(name: String, value: String) {
      self.name = name
      self.value = value
    }
  }

  /// Far above any message's number of fields; bounds allocation by a hostile target.
  package static let parametersMax = 256

  package let parameters: [Parameter]

  /// - Parameter query: what follows "?"; nil and "" have no parameters.
  package init(_ query: String?) throws(HTTPTargetError) {
    var parameters: [Parameter] = []
    for pair in (query ?? "").utf8.split(separator: UInt8(ascii: "&")) {
      guard parameters.count < Self.parametersMax else {
        throw .tooManyParameters(limit: Self.parametersMax)
      }
      let equals = pair.firstIndex(of: UInt8(ascii: "="))
      let value = equals.map { pair[pair.index(after: $0)...] }
      parameters.append(
        Parameter(
          name: try PercentEncoding.decode(pair[..<(equals ?? pair.endIndex)], plusIsSpace: true),
          value: try PercentEncoding.decode(value ?? pair[pair.endIndex...], plusIsSpace: true)))
    }
    self.parameters = parameters
  }

  package func values(of name: String) -> [String] {
    parameters.filter { $0.name == name }.map(\.value)
  }
}
