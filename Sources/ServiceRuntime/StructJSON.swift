package import Contracts
package import JSON

// Between google.protobuf.Struct, as contracts have JSON, and JSON itself as databases keep it.

extension JSONObject {
  /// The members of `message` in the order of their keys, so that equal messages give equal texts.
  ///
  /// - Parameter path: where in the request `message` stands.
  /// - Throws: the first value that cannot be kept, and where it stands.
  package init(_ message: GoogleProtobuf.Struct, path: String) throws(FieldViolation) {
    self.init()
    for (key, value) in message.fields.sorted(by: { $0.key < $1.key }) {
      let place = "\(path).\(key)"
      try JSON.checkText(key, place)
      self[key] = try JSON(value, path: place)
    }
  }
}

extension JSON {
  /// Whole numbers up to here are exact as doubles.
  private static let exactMax = 9_007_199_254_740_992.0

  fileprivate init(_ message: GoogleProtobuf.Value, path: String) throws(FieldViolation) {
    switch message.kind {
    case .nullValue: self = .null
    case .boolValue(let value): self = .bool(value)
    case .stringValue(let value):
      try JSON.checkText(value, path)
      self = .string(value)
    case .numberValue(let value):
      if value.magnitude <= Self.exactMax, let whole = Int64(exactly: value) {
        self = .number(JSONNumber(whole))
      } else if let number = JSONNumber(value) {
        self = .number(number)
      } else {
        throw FieldViolation(path, "JSON has no infinity and no NaN")
      }
    case .structValue(let value): self = .object(try JSONObject(value, path: path))
    case .listValue(let value):
      var elements: [JSON] = []
      for (index, element) in value.values.enumerated() {
        elements.append(try JSON(element, path: "\(path)[\(index)]"))
      }
      self = .array(elements)
    case nil: throw FieldViolation(path, "a value of no kind; null is one")
    }
  }

  /// PostgreSQL's jsonb has no NUL, not even an escaped one.
  fileprivate static func checkText(_ text: String, _ path: String) throws(FieldViolation) {
    if text.utf8.contains(0) { throw FieldViolation(path, "a NUL character, which is not kept") }
  }
}

extension GoogleProtobuf.Struct {
  package init(_ object: JSONObject) {
    self.init()
    for member in object.members { fields[member.key] = GoogleProtobuf.Value(member.value) }
  }
}

extension GoogleProtobuf.Value {
  fileprivate init(_ json: JSON) {
    switch json {
    case .null: self.init(kind: .nullValue(.nullValue))
    case .bool(let value): self.init(kind: .boolValue(value))
    case .number(let value): self.init(kind: .numberValue(value.double ?? 0))
    case .string(let value): self.init(kind: .stringValue(value))
    case .array(let elements):
      self.init(kind: .listValue(.init(values: elements.map { GoogleProtobuf.Value($0) })))
    case .object(let object): self.init(kind: .structValue(GoogleProtobuf.Struct(object)))
    }
  }
}
