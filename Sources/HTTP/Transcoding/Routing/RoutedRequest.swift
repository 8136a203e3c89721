import Descriptors
import HTTP
import JSON

/// A route and what the path gives to it.
package struct RoutedRequest: Sendable {
  package struct Variable: Equatable, Sendable {
    /// The field, as in the contract: `store` or `store.name`.
    package let field: String
    /// Decoded; where it is several segments, a slash within one is left as %2F.
    package let value: String
  }

  package let route: Route
  package let variables: [Variable]

  init(_ route: Route, _ segments: [String]) {
    self.route = route
    variables = route.bindings.map { binding in
      let bound =
        segments[
          binding.segments
            .lowerBound..<(binding.takesRest
            ? segments.count : binding.segments.upperBound)]
      let value =
        binding.isCompound
        ? bound.map { $0.split(separator: "/", omittingEmptySubsequences: false) }
          .map { $0.joined(separator: "%2F") }.joined(separator: "/")
        : bound.joined()
      return Variable(
        field: binding.fields.map(\.name).joined(separator: "."), value: value)
    }
  }

  /// The bytes of the method's request.
  ///
  /// - Parameters:
  ///   - query: what follows "?" in the target, as received.
  ///   - body: the request's content, a JSON document; may be empty.
  package func message(query: String?, body: [UInt8]) throws(TranscodingError) -> [UInt8] {
    var assembly = RequestAssembly(route)
    try assembly.read(body: body)
    try assembly.read(query: query)
    for (binding, variable) in zip(route.bindings, variables) {
      try assembly.bind(binding.fields, variable.value)
    }
    return try assembly.message()
  }
}

/// Puts body, query and path together to one JSON object, remembering where each field came from.
private struct RequestAssembly {
  private struct Origin {
    let path: [JSONPathStep]
    let location: TranscodingError.Location
  }

  private let route: Route
  private var request = JSON.object(JSONObject())
  private var origins: [Origin] = []

  init(_ route: Route) {
    self.route = route
  }

  // MARK: Body

  mutating func read(body: [UInt8]) throws(TranscodingError) {
    if body.isEmpty { return }
    if case .none = route.body {
      throw TranscodingError("must be empty; send the fields in the query")
    }
    let document: JSON
    do throws(JSONParseError) {
      document = try JSON(parsing: body, limits: route.options.json)
    } catch {
      // The path stands in the error already.
      let reason = error.description.dropFirst(error.path.description.count + 2)
      throw TranscodingError(String(reason), at: error.path)
    }
    guard case .field(let field) = route.body else {
      request = document
      return
    }
    var object = JSONObject()
    object[field.jsonName] = document
    request = .object(object)
  }

  // MARK: Query

  mutating func read(query: String?) throws(TranscodingError) {
    let parameters: [HTTPQuery.Parameter]
    do throws(HTTPTargetError) {
      parameters = try HTTPQuery(query).parameters
    } catch {
      throw TranscodingError(error.description, in: .query)
    }
    if parameters.isEmpty { return }
    var names: [String] = []
    var values: [String: [String]] = [:]
    for parameter in parameters {
      if values[parameter.name] == nil { names.append(parameter.name) }
      values[parameter.name, default: []].append(parameter.value)
    }
    for name in names {
      let path = name.split(separator: ".", omittingEmptySubsequences: false)
        .map { JSONPathStep.key(String($0)) }
      do throws(TranscodingError) {
        try setQuery(name, values[name] ?? [], path)
      } catch {
        throw TranscodingError(error.reason, in: .query, at: JSONPath(path))
      }
      origins.append(Origin(path: path, location: .query))
    }
  }

  private mutating func setQuery(
    _ name: String, _ values: [String], _ path: [JSONPathStep]
  ) throws(TranscodingError) {
    let field = try queryField(name)
    let type = route.pool.messageType(of: field)
    switch type?.wellKnownType {
    case .timestamp, .duration, .fieldMask, .wrapper: break
    case nil where type == nil: break
    default:
      throw TranscodingError("is no single value and cannot be given in the query")
    }
    let kind = type?.wellKnownType == .wrapper ? type?.fields[0].kind : nil
    let converted = try values.map { value throws(TranscodingError) in
      try Self.json(value, as: kind ?? field.kind)
    }
    guard field.isRepeated || values.count == 1 else {
      throw TranscodingError("is given \(values.count) times but takes one value")
    }
    let value = field.isRepeated ? JSON.array(converted) : converted[0]
    try set(value, at: path[...], in: &request)
  }

  /// The field that a parameter names, where the query may set it.
  private func queryField(_ name: String) throws(TranscodingError) -> FieldDescriptor {
    var type = route.method.request
    var fields: [FieldDescriptor] = []
    let steps = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    for (index, step) in steps.enumerated() {
      let fieldIndex = try JSONToWire.fieldIndex(step, in: type)
      let field = type.fields[fieldIndex]
      fields.append(field)
      if index == 0 { try checkNotTaken(field) }
      if index == steps.count - 1 {
        if route.bindings.contains(where: { $0.fields.elementsEqual(fields, by: ===) }) {
          throw TranscodingError("is set by the path; leave it out of the query")
        }
        return field
      }
      guard !field.isRepeated, let next = route.pool.messageType(of: field),
        next.wellKnownType == nil
      else { throw TranscodingError("\(step) has no fields that the query could set") }
      type = next
    }
    throw TranscodingError("is not a field of \(type.fullName)")
  }

  private func checkNotTaken(_ field: FieldDescriptor) throws(TranscodingError) {
    switch route.body {
    case .none: return
    case .whole: throw TranscodingError("is not allowed in the query; send it in the body")
    case .field(let bodyField):
      if field === bodyField { throw TranscodingError("is the body; leave it out of the query") }
    }
  }

  /// A value of the query or the path as JSON would have it. Most kinds have a form as a string.
  private static func json(
    _ text: String, as kind: FieldDescriptor.Kind
  ) throws(TranscodingError) -> JSON {
    switch kind {
    case .bool:
      guard text == "true" || text == "false" else {
        throw TranscodingError("expected true or false")
      }
      return .bool(text == "true")
    case .enumeration:
      return Int64(text).map { .number(JSONNumber($0)) } ?? .string(text)
    default: return .string(text)
    }
  }

  private func set(
    _ value: JSON, at path: ArraySlice<JSONPathStep>, in target: inout JSON
  ) throws(TranscodingError) {
    guard case .key(let key) = path.first else {
      target = value
      return
    }
    guard case .object(var object) = target else { throw .expected("an object", found: target) }
    var member = object[key] ?? .object(JSONObject())
    try set(value, at: path.dropFirst(), in: &member)
    object[key] = member
    target = .object(object)
  }

  // MARK: Path

  mutating func bind(_ fields: [FieldDescriptor], _ text: String) throws(TranscodingError) {
    let path = fields.map { JSONPathStep.key($0.jsonName) }
    let value: JSON
    do throws(TranscodingError) {
      value = try Self.json(text, as: fields[fields.count - 1].kind)
    } catch {
      throw TranscodingError(error.reason, in: .path, at: JSONPath(path))
    }
    var keys: [JSONPathStep] = []
    try bind(fields[...], value, in: &request, &keys)
    origins.append(Origin(path: keys, location: .path))
  }

  /// - Parameter keys: gathers the keys as they are in the request, which may have either name.
  private func bind(
    _ fields: ArraySlice<FieldDescriptor>, _ value: JSON, in target: inout JSON,
    _ keys: inout [JSONPathStep]
  ) throws(TranscodingError) {
    guard let field = fields.first else {
      target = value
      return
    }
    guard case .object(var object) = target else { throw .expected("an object", found: target) }
    let key = object[field.name] == nil ? field.jsonName : field.name
    keys.append(.key(key))
    if fields.count == 1, let given = object[key], !given.isNull, given != value {
      throw TranscodingError(
        "differs from the path, which sets it; leave it out of the body", at: JSONPath(keys))
    }
    var member = object[key] ?? .object(JSONObject())
    try bind(fields.dropFirst(), value, in: &member, &keys)
    object[key] = member
    target = .object(object)
  }

  // MARK: Message

  func message() throws(TranscodingError) -> [UInt8] {
    do throws(TranscodingError) {
      return try JSONToWire.message(
        request, route.method.request, route.pool, route.options)
    } catch {
      throw located(error)
    }
  }

  /// Errors are found in the whole request; the client knows its parts.
  private func located(_ error: TranscodingError) -> TranscodingError {
    var located = error
    if let origin = origins.first(where: { error.path.steps.starts(with: $0.path) }) {
      located.location = origin.location
    } else if case .field(let field) = route.body, error.path.steps.first == .key(field.jsonName) {
      located.path.steps.removeFirst()
    }
    return located
  }
}
