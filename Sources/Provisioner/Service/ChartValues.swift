import Contracts
import JSON

// Between google.protobuf.Struct, as the contract has chart values, and JSON.

extension JSONObject {
  /// - Parameter path: where in the request `message` stands.
  init(_ message: GoogleProtobuf.Struct, path: String) throws(InvalidField) {
    self.init()
    for (key, value) in message.fields.sorted(by: { $0.key < $1.key }) {
      self[key] = try JSON(value, path: "\(path).\(key)")
    }
  }
}

extension JSON {
  fileprivate init(_ message: GoogleProtobuf.Value, path: String) throws(InvalidField) {
    switch message.kind {
    case .nullValue: self = .null
    case .boolValue(let value): self = .bool(value)
    case .stringValue(let value):
      // PostgreSQL keeps no NUL.
      if value.utf8.contains(0) { throw InvalidField(path, "has a NUL character") }
      self = .string(value)
    case .numberValue(let value):
      if let whole = Int64(exactly: value) {
        self = .number(JSONNumber(whole))
      } else if let number = JSONNumber(value) {
        self = .number(number)
      } else {
        throw InvalidField(path, "JSON has no infinity and no NaN")
      }
    case .structValue(let value): self = .object(try JSONObject(value, path: path))
    case .listValue(let value):
      var elements: [JSON] = []
      for (index, element) in value.values.enumerated() {
        elements.append(try JSON(element, path: "\(path)[\(index)]"))
      }
      self = .array(elements)
    case nil: throw InvalidField(path, "is a value of no kind; null is one")
    }
  }
}

extension GoogleProtobuf.Struct {
  init(_ object: JSONObject) {
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
