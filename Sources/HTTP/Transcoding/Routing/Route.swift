package import Descriptors
package import HTTP

/// One binding of a method to HTTP, checked against the types of the method.
package final class Route: Sendable {
  enum Body: Sendable {
    case none
    case whole
    case field(FieldDescriptor)
  }

  /// A variable of the template and the field that it sets.
  struct Binding: Sendable {
    let fields: [FieldDescriptor]
    let segments: Range<Int>
    /// Whether it ends with "**".
    let takesRest: Bool
    /// Whether its value may have "/" between segments.
    let isCompound: Bool
  }

  package let method: ServiceDescriptor.Method
  package let httpMethod: HTTPMethod
  /// As in the contract: a name for metrics and traces.
  package let template: String
  let path: PathTemplate
  let body: Body
  let bindings: [Binding]
  let pool: DescriptorPool
  let options: TranscodingOptions

  init(
    _ method: ServiceDescriptor.Method, _ rule: HTTPRule, _ pool: DescriptorPool,
    _ options: TranscodingOptions
  ) throws(RouteError) {
    func error(_ reason: String) -> RouteError {
      RouteError(
        method: method.fullName, binding: "\(rule.method) \(rule.path)", reason: reason)
    }
    self.method = method
    httpMethod = HTTPMethod(rule.method)
    template = rule.path
    self.pool = pool
    self.options = options
    guard !rule.method.isEmpty, rule.method != "*" else { throw error("names no HTTP method") }
    guard !method.isClientStreaming else {
      throw error("a method whose requests are streamed has no HTTP form")
    }
    guard rule.responseBody.isEmpty else { throw error("response_body is not supported") }
    do throws(PathTemplate.Fault) {
      path = try PathTemplate(rule.path)
    } catch let fault {
      throw error("the template \(fault.reason)")
    }
    switch rule.body {
    case "": body = .none
    case "*": body = .whole
    default:
      guard let field = method.request.field(named: rule.body), field.name == rule.body else {
        throw error("the request has no field \(rule.body) for the body")
      }
      body = .field(field)
    }
    var bindings: [Binding] = []
    for variable in path.variables {
      guard let fields = Self.fields(variable.fieldPath, of: method.request, pool) else {
        throw error("{\(variable.fieldPath)} is not a singular scalar field of the request")
      }
      if case .field(let field) = body, fields[0] === field {
        throw error("{\(variable.fieldPath)} is part of the body")
      }
      let last = variable.segments.upperBound - 1
      bindings.append(
        Binding(
          fields: fields, segments: variable.segments, takesRest: path.segments[last] == .rest,
          isCompound: variable.segments.count > 1 || path.segments[last] == .rest))
    }
    self.bindings = bindings
  }

  /// Nil where the path leads nowhere, or not to a singular scalar.
  private static func fields(
    _ path: String, of type: MessageDescriptor, _ pool: DescriptorPool
  ) -> [FieldDescriptor]? {
    var fields: [FieldDescriptor] = []
    var scope: MessageDescriptor? = type
    for name in path.split(separator: ".") {
      guard let field = scope?.field(named: String(name)), field.name == name,
        !field.isRepeated
      else { return nil }
      fields.append(field)
      scope = pool.messageType(of: field)
    }
    return scope == nil ? fields : nil
  }

  /// The response as a JSON document.
  ///
  /// - Parameter message: the bytes of the method's response, or of one of a stream of them.
  package func responseJSON(_ message: [UInt8]) throws(TranscodingError) -> [UInt8] {
    try message.span.bytes.withUnsafeBytes { bytes throws(TranscodingError) in
      try WireToJSON.message(bytes, method.response, pool, options)
    }
  }

  /// A field of the request as the client knows it: by JSON names, and relative to the document
  /// where that is only a part of the request. `settings.update_time` becomes `updateTime`. Paths
  /// that lead nowhere are returned as they are from there on.
  ///
  /// - Parameter path: as services report it, such as `parameters.admin_email` or `items[2].name`.
  package func clientField(_ path: String) -> String {
    var steps: [String] = []
    var scope: MessageDescriptor? = method.request
    var isInBody = false
    for (index, step) in path.split(separator: ".").enumerated() {
      let name = step.prefix { $0 != "[" }
      guard let type = scope, let field = type.field(named: String(name)) else {
        scope = nil
        steps.append(String(step))
        continue
      }
      if index == 0, case .field(let bodyField) = body { isInBody = field === bodyField }
      steps.append(field.jsonName + step.dropFirst(name.count))
      scope = field.isMap ? nil : pool.messageType(of: field)
    }
    return steps.dropFirst(isInBody && steps.count > 1 ? 1 : 0).joined(separator: ".")
  }
}
