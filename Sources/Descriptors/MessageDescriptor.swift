/// A message type: its fields, and how to find one.
package final class MessageDescriptor: Sendable {
  /// Without a leading dot: `storeplane.testing.v1.AllKinds`.
  package let fullName: String
  /// In the order of the contract.
  package let fields: [FieldDescriptor]
  /// The oneofs that the contract names; those that `optional` fields imply are not among them.
  package let oneofs: [String]
  package let isMapEntry: Bool
  /// Set for a type that has a JSON form of its own.
  package let wellKnownType: WellKnownType?

  private let indexesByName: [String: Int]
  /// Field numbers are small in practice: a table is faster than hashing.
  private let indexesByNumber: [Int16]
  private let indexesByLargeNumber: [Int32: Int]
  private static let tableNumberMax = 255

  init(fullName: String, fields: [FieldDescriptor], oneofs: [String], isMapEntry: Bool) {
    self.fullName = fullName
    self.fields = fields
    self.oneofs = oneofs
    self.isMapEntry = isMapEntry
    wellKnownType = WellKnownType(fullName: fullName)
    var names: [String: Int] = [:]
    var large: [Int32: Int] = [:]
    var table = [Int16](repeating: -1, count: Self.tableNumberMax + 1)
    for (index, field) in fields.enumerated() {
      if field.number <= Self.tableNumberMax, let short = Int16(exactly: index) {
        table[Int(field.number)] = short
      } else {
        large[field.number] = index
      }
      names[field.name] = index
    }
    // A field's own name wins over another's JSON name.
    for (index, field) in fields.enumerated() where names[field.jsonName] == nil {
      names[field.jsonName] = index
    }
    let used = (table.lastIndex { $0 >= 0 } ?? -1) + 1
    indexesByNumber = Array(table[..<used])
    indexesByLargeNumber = large
    indexesByName = names
  }

  /// The index in `fields` by JSON name or by the name in the contract.
  package func fieldIndex(named name: String) -> Int? { indexesByName[name] }

  /// The field by JSON name or by the name in the contract.
  package func field(named name: String) -> FieldDescriptor? {
    fieldIndex(named: name).map { fields[$0] }
  }

  /// The index in `fields`.
  package func fieldIndex(number: Int32) -> Int? {
    if number >= 0, Int(number) < indexesByNumber.count {
      let index = indexesByNumber[Int(number)]
      return index < 0 ? nil : Int(index)
    }
    return indexesByLargeNumber.isEmpty ? nil : indexesByLargeNumber[number]
  }
}

/// One field of a message.
package final class FieldDescriptor: Sendable {
  /// Of a value, or of each element of a repeated field.
  package enum Kind: Sendable {
    case double, float
    case int32, int64, uint32, uint64, sint32, sint64
    case fixed32, fixed64, sfixed32, sfixed64
    case bool, string, bytes
    case enumeration(EnumDescriptor)
    /// An index in the pool's `messages`, since messages may contain each other.
    case message(Int)
  }

  /// As in the contract: `page_size`.
  package let name: String
  /// As in JSON: `pageSize`.
  package let jsonName: String
  package let fullName: String
  package let number: Int32
  package let kind: Kind
  package let isRepeated: Bool
  /// A repeated field of map entries.
  package let isMap: Bool
  /// Whether the elements of a repeated field are written as one value.
  package let isPacked: Bool
  /// Whether absent and zero differ: messages, members of oneofs, `optional` fields.
  package let hasPresence: Bool
  /// An index in the message's `oneofs`.
  package let oneof: Int?
  /// Whether the value is a secret (`debug_redact`).
  package let isRedacted: Bool
  /// `google.api.field_behavior`.
  package let behaviors: [FieldBehavior]

  init(
    name: String, jsonName: String, fullName: String, number: Int32, kind: Kind,
    isRepeated: Bool, isMap: Bool, isPacked: Bool, hasPresence: Bool, oneof: Int?,
    isRedacted: Bool, behaviors: [FieldBehavior]
  ) {
    self.name = name
    self.jsonName = jsonName
    self.fullName = fullName
    self.number = number
    self.kind = kind
    self.isRepeated = isRepeated
    self.isMap = isMap
    self.isPacked = isPacked
    self.hasPresence = hasPresence
    self.oneof = oneof
    self.isRedacted = isRedacted
    self.behaviors = behaviors
  }
}

extension FieldDescriptor.Kind {
  /// How one value is written.
  package var wireType: WireType {
    switch self {
    case .double, .fixed64, .sfixed64: .fixed64
    case .float, .fixed32, .sfixed32: .fixed32
    case .string, .bytes, .message: .lengthPrefixed
    default: .varint
    }
  }
}

/// `google.api.FieldBehavior`.
package enum FieldBehavior: Int32, Sendable {
  case optional = 1
  case required = 2
  case outputOnly = 3
  case inputOnly = 4
  case immutable = 5
  case unorderedList = 6
  case nonEmptyDefault = 7
  case identifier = 8
}

/// A message type that proto3's JSON mapping gives a form of its own.
package enum WellKnownType: Sendable {
  case timestamp, duration, fieldMask, structure, value, listValue, any, wrapper

  init?(fullName: String) {
    switch fullName {
    case "google.protobuf.Timestamp": self = .timestamp
    case "google.protobuf.Duration": self = .duration
    case "google.protobuf.FieldMask": self = .fieldMask
    case "google.protobuf.Struct": self = .structure
    case "google.protobuf.Value": self = .value
    case "google.protobuf.ListValue": self = .listValue
    case "google.protobuf.Any": self = .any
    case "google.protobuf.DoubleValue", "google.protobuf.FloatValue",
      "google.protobuf.Int64Value", "google.protobuf.UInt64Value",
      "google.protobuf.Int32Value", "google.protobuf.UInt32Value",
      "google.protobuf.BoolValue", "google.protobuf.StringValue",
      "google.protobuf.BytesValue":
      self = .wrapper
    default: return nil
    }
  }
}

/// An enum type.
package final class EnumDescriptor: Sendable {
  package struct Value: Equatable, Sendable {
    package let name: String
    package let number: Int32
  }

  package let fullName: String
  package let values: [Value]
  private let numbers: [String: Int32]
  private let names: [Int32: String]

  init(fullName: String, values: [Value]) {
    self.fullName = fullName
    self.values = values
    numbers = Dictionary(values.map { ($0.name, $0.number) }, uniquingKeysWith: { one, _ in one })
    names = Dictionary(values.map { ($0.number, $0.name) }, uniquingKeysWith: { one, _ in one })
  }

  package func number(named name: String) -> Int32? { numbers[name] }

  /// The first of the names, where a number has several.
  package func name(of number: Int32) -> String? { names[number] }
}
