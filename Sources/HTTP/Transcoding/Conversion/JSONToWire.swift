import Descriptors
import JSON

/// Turns JSON values into a message's bytes, after proto3's JSON mapping but strictly: what the
/// contract does not have is an error.
struct JSONToWire {
  private let pool: DescriptorPool
  private let depthMax: Int
  private var output = WireWriter()

  private init(_ pool: DescriptorPool, _ options: TranscodingOptions) {
    self.pool = pool
    depthMax = options.depthMax
  }

  static func message(
    _ value: JSON, _ type: MessageDescriptor, _ pool: DescriptorPool,
    _ options: TranscodingOptions
  ) throws(TranscodingError) -> [UInt8] {
    var conversion = JSONToWire(pool, options)
    try conversion.message(value, type, depth: 0)
    return conversion.output.bytes
  }

  // MARK: Messages

  private mutating func message(
    _ value: JSON, _ type: MessageDescriptor, depth: Int
  ) throws(TranscodingError) {
    guard depth <= depthMax else {
      throw TranscodingError("nested more than \(depthMax) messages deep")
    }
    switch type.wellKnownType {
    case nil: try fields(of: value, type, depth: depth)
    case .structure: try structure(value, depth: depth)
    case .value: try self.value(value, depth: depth)
    case .listValue: try list(value, depth: depth)
    case .any: try any(value, depth: depth)
    case .wrapper: try singular(value, type.fields[0])
    case .timestamp: try time(value, TimestampText.read, "2026-01-31T12:00:00Z")
    case .duration: try time(value, DurationText.read, "1.5s")
    case .fieldMask: try fieldMask(value)
    }
  }

  private mutating func nested(
    _ value: JSON, _ type: MessageDescriptor, number: Int32, depth: Int
  ) throws(TranscodingError) {
    let start = output.open(number)
    try message(value, type, depth: depth + 1)
    output.close(start)
  }

  private mutating func fields(
    of value: JSON, _ type: MessageDescriptor, depth: Int, isInAny: Bool = false
  ) throws(TranscodingError) {
    guard case .object(let object) = value else { throw .expected("an object", found: value) }
    var fields = IndexSet()
    var oneofs = IndexSet()
    for member in object.members where !(isInAny && member.key == "@type") {
      do throws(TranscodingError) {
        let index = try Self.fieldIndex(member.key, in: type)
        let field = type.fields[index]
        guard fields.insert(index) else {
          throw TranscodingError("is there twice, as \(field.jsonName) and as \(field.name)")
        }
        if member.value.isNull, !acceptsNull(field) { continue }
        if let oneof = field.oneof, !oneofs.insert(oneof) {
          throw Self.oneofConflict(field, type, object)
        }
        try self.field(member.value, field, depth: depth)
      } catch {
        throw error.inside(.key(member.key))
      }
    }
  }

  /// The index in the message's fields of the one that a key names.
  static func fieldIndex(
    _ key: String, in type: MessageDescriptor
  ) throws(TranscodingError) -> Int {
    if let index = type.fieldIndex(named: key) { return index }
    let names = type.fields.map(\.jsonName)
    throw TranscodingError(
      "is not a field of \(type.fullName)" + Suggestion.text(for: key, among: names))
  }

  private static func oneofConflict(
    _ field: FieldDescriptor, _ type: MessageDescriptor, _ object: JSONObject
  ) -> TranscodingError {
    let other = object.members.first {
      let candidate = type.field(named: $0.key)
      return candidate?.oneof == field.oneof && candidate !== field && !$0.value.isNull
    }
    return TranscodingError(
      "cannot be set together with \(other?.key ?? "another field") of the same choice; "
        + "set one of them")
  }

  /// Elsewhere null means that the field is not set.
  private func acceptsNull(_ field: FieldDescriptor) -> Bool {
    !field.isRepeated && pool.messageType(of: field)?.wellKnownType == .value
  }

  // MARK: Fields

  private mutating func field(
    _ value: JSON, _ field: FieldDescriptor, depth: Int
  ) throws(TranscodingError) {
    if field.isMap, let entry = pool.messageType(of: field) {
      try map(value, field, entry, depth: depth)
    } else if field.isRepeated {
      try repeated(value, field, depth: depth)
    } else if let type = pool.messageType(of: field) {
      try nested(value, type, number: field.number, depth: depth)
    } else {
      try singular(value, field)
    }
  }

  private mutating func singular(
    _ value: JSON, _ field: FieldDescriptor
  ) throws(TranscodingError) {
    let scalar = try ScalarReading.scalar(value, as: field.kind)
    if scalar.isZero, !field.hasPresence { return }
    output.tag(field.number, field.kind.wireType)
    output.scalar(scalar)
  }

  private mutating func repeated(
    _ value: JSON, _ field: FieldDescriptor, depth: Int
  ) throws(TranscodingError) {
    guard case .array(let elements) = value else { throw .expected("an array", found: value) }
    if elements.isEmpty { return }
    let type = pool.messageType(of: field)
    let packed = field.isPacked ? output.open(field.number) : nil
    for (index, element) in elements.enumerated() {
      do throws(TranscodingError) {
        if let type {
          try checkNotNull(element, type)
          try nested(element, type, number: field.number, depth: depth)
        } else {
          let scalar = try ScalarReading.scalar(element, as: field.kind)
          if packed == nil { output.tag(field.number, field.kind.wireType) }
          output.scalar(scalar)
        }
      } catch {
        throw error.inside(.index(index))
      }
    }
    if let packed { output.close(packed) }
  }

  private mutating func map(
    _ value: JSON, _ field: FieldDescriptor, _ entry: MessageDescriptor, depth: Int
  ) throws(TranscodingError) {
    guard case .object(let object) = value else { throw .expected("an object", found: value) }
    let (keyField, valueField) = (entry.fields[0], entry.fields[1])
    let type = pool.messageType(of: valueField)
    for member in object.members {
      do throws(TranscodingError) {
        let start = output.open(field.number)
        output.tag(1, keyField.kind.wireType)
        output.scalar(try ScalarReading.mapKey(member.key, as: keyField.kind))
        if let type {
          try checkNotNull(member.value, type)
          try nested(member.value, type, number: 2, depth: depth + 1)
        } else {
          output.tag(2, valueField.kind.wireType)
          output.scalar(try ScalarReading.scalar(member.value, as: valueField.kind))
        }
        output.close(start)
      } catch {
        throw error.inside(.key(member.key))
      }
    }
  }

  private func checkNotNull(
    _ element: JSON, _ type: MessageDescriptor
  ) throws(TranscodingError) {
    guard element.isNull, type.wellKnownType != .value else { return }
    throw TranscodingError("null is not allowed in a list or a map; leave it out")
  }
}

// MARK: Well-known types. The numbers are those of their fields.

extension JSONToWire {
  private mutating func time(
    _ value: JSON, _ read: (String) -> SecondsAndNanos?, _ example: String
  ) throws(TranscodingError) {
    let wanted = "text such as \"\(example)\""
    guard case .string(let text) = value else { throw .expected(wanted, found: value) }
    guard let time = read(text) else {
      throw TranscodingError("expected \(wanted), found other text or a time out of range")
    }
    if time.seconds != 0 {
      output.tag(1, .varint)
      output.varint(UInt64(bitPattern: time.seconds))
    }
    if time.nanos != 0 {
      output.tag(2, .varint)
      output.varint(UInt64(bitPattern: Int64(time.nanos)))
    }
  }

  private mutating func fieldMask(_ value: JSON) throws(TranscodingError) {
    guard case .string(let text) = value else {
      throw .expected("the names of fields, joined by commas, in a string", found: value)
    }
    guard let paths = FieldMaskText.read(text) else {
      throw TranscodingError(
        "expected at most \(FieldMaskText.pathsMax) names of fields, such as \"title,owner.name\"")
    }
    for path in paths {
      output.tag(1, .lengthPrefixed)
      output.scalar(.text(path))
    }
  }

  private mutating func structure(_ value: JSON, depth: Int) throws(TranscodingError) {
    guard case .object(let object) = value else { throw .expected("an object", found: value) }
    for member in object.members {
      do throws(TranscodingError) {
        let key = try ScalarReading.string(.string(member.key))
        let entry = output.open(1)
        output.tag(1, .lengthPrefixed)
        output.scalar(.text(key))
        // The entry is a message, and so is the value in it.
        try nestedValue(member.value, number: 2, depth: depth + 1)
        output.close(entry)
      } catch {
        throw error.inside(.key(member.key))
      }
    }
  }

  private mutating func list(_ value: JSON, depth: Int) throws(TranscodingError) {
    guard case .array(let elements) = value else { throw .expected("an array", found: value) }
    for (index, element) in elements.enumerated() {
      do throws(TranscodingError) {
        try nestedValue(element, number: 1, depth: depth)
      } catch {
        throw error.inside(.index(index))
      }
    }
  }

  private mutating func nestedValue(
    _ element: JSON, number: Int32, depth: Int
  ) throws(TranscodingError) {
    let start = output.open(number)
    try value(element, depth: depth + 1)
    output.close(start)
  }

  /// `google.protobuf.Value`: any JSON.
  private mutating func value(_ value: JSON, depth: Int) throws(TranscodingError) {
    guard depth <= depthMax else {
      throw TranscodingError("nested more than \(depthMax) messages deep")
    }
    switch value {
    case .null:
      output.tag(1, .varint)
      output.varint(0)
    case .number:
      output.tag(2, .fixed64)
      output.scalar(try ScalarReading.scalar(value, as: .double))
    case .string:
      output.tag(3, .lengthPrefixed)
      output.scalar(.text(try ScalarReading.string(value)))
    case .bool(let bool):
      output.tag(4, .varint)
      output.varint(bool ? 1 : 0)
    case .object:
      let start = output.open(5)
      try structure(value, depth: depth + 1)
      output.close(start)
    case .array:
      let start = output.open(6)
      try list(value, depth: depth + 1)
      output.close(start)
    }
  }

  private mutating func any(_ value: JSON, depth: Int) throws(TranscodingError) {
    guard case .object(let object) = value else { throw .expected("an object", found: value) }
    if object.isEmpty { return }
    guard let url = object["@type"]?.string else {
      throw TranscodingError(
        "is missing or no string; expected such as \"type.googleapis.com/package.Message\""
      ).inside(.key("@type"))
    }
    guard let type = AnyType.message(url, in: pool) else {
      throw TranscodingError("names no type that is known here").inside(.key("@type"))
    }
    output.tag(1, .lengthPrefixed)
    output.scalar(.text(url))
    let start = output.open(2)
    if type.wellKnownType == nil {
      try fields(of: value, type, depth: depth + 1, isInAny: true)
    } else {
      try specialForm(object, type, depth: depth + 1)
    }
    output.close(start)
  }

  /// A type that is no object in JSON stands under "value".
  private mutating func specialForm(
    _ object: JSONObject, _ type: MessageDescriptor, depth: Int
  ) throws(TranscodingError) {
    for key in object.keys where key != "@type" && key != "value" {
      throw TranscodingError("is not allowed beside @type and value").inside(.key(key))
    }
    guard let content = object["value"] else {
      throw TranscodingError("is missing").inside(.key("value"))
    }
    do throws(TranscodingError) {
      try message(content, type, depth: depth)
    } catch {
      throw error.inside(.key("value"))
    }
  }
}

/// The type that an Any holds.
enum AnyType {
  /// Nil where the URL has no "/", or a name that is not known.
  static func message(_ url: String, in pool: DescriptorPool) -> MessageDescriptor? {
    guard let slash = url.utf8.lastIndex(of: UInt8(ascii: "/")), slash > url.startIndex else {
      return nil
    }
    return pool.message(named: String(url[url.utf8.index(after: slash)...]))
  }
}

/// Small indexes seen so far.
private struct IndexSet {
  private var low: UInt64 = 0
  private var rest: Set<Int> = []

  /// False where the index is there already.
  mutating func insert(_ index: Int) -> Bool {
    guard index < 64 else { return rest.insert(index).inserted }
    let bit: UInt64 = 1 << UInt64(index)
    defer { low |= bit }
    return low & bit == 0
  }
}
