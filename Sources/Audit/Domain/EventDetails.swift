import Contracts
import JSON

/// An event's details between the message's form and the JSON that is kept.
enum EventDetails {
  /// Why details cannot be kept, and where in them it is.
  struct Problem: Error, Equatable {
    let path: String
    let description: String
  }

  /// Members in the order of their keys, so that equal details give equal texts.
  static func json(_ details: GoogleProtobuf.Struct) throws(Problem) -> String {
    var writer = JSONWriter()
    try write(details, "", &writer)
    guard writer.bytes.count <= AuditLimits.detailsBytesMax else {
      throw Problem(
        path: "",
        description:
          "\(writer.bytes.count) bytes as JSON; at most \(AuditLimits.detailsBytesMax) are kept")
    }
    return writer.text
  }

  private static func write(
    _ structure: GoogleProtobuf.Struct, _ path: String, _ writer: inout JSONWriter
  ) throws(Problem) {
    writer.openObject()
    for (key, value) in structure.fields.sorted(by: { $0.key < $1.key }) {
      writer.key(key)
      try write(value, "\(path).\(key)", &writer)
    }
    writer.closeObject()
  }

  private static func write(
    _ value: GoogleProtobuf.Value, _ path: String, _ writer: inout JSONWriter
  ) throws(Problem) {
    switch value.kind {
    case .nullValue: writer.null()
    case .boolValue(let value): writer.bool(value)
    case .stringValue(let value): writer.string(value)
    case .numberValue(let value):
      guard value.isFinite else { throw Problem(path: path, description: "it is no finite number") }
      writer.double(value)
    case .structValue(let value): try write(value, path, &writer)
    case .listValue(let list):
      writer.openArray()
      for (index, value) in list.values.enumerated() {
        try write(value, "\(path)[\(index)]", &writer)
      }
      writer.closeArray()
    case nil: throw Problem(path: path, description: "it has no value; null is one")
    }
  }

  /// What was kept; nil where it is no object.
  static func structure(_ json: JSON) -> GoogleProtobuf.Struct? {
    guard let object = json.object else { return nil }
    var fields: [String: GoogleProtobuf.Value] = [:]
    for member in object.members { fields[member.key] = value(member.value) }
    return GoogleProtobuf.Struct(fields: fields)
  }

  private static func value(_ json: JSON) -> GoogleProtobuf.Value {
    switch json {
    case .null: nil
    case .bool(let value): GoogleProtobuf.Value(kind: .boolValue(value))
    case .number(let value): GoogleProtobuf.Value(kind: .numberValue(value.double ?? 0))
    case .string(let value): GoogleProtobuf.Value(value)
    case .array(let values):
      GoogleProtobuf.Value(
        kind: .listValue(GoogleProtobuf.ListValue(values: values.map { value($0) })))
    case .object: GoogleProtobuf.Value(kind: .structValue(structure(json) ?? [:]))
    }
  }
}
