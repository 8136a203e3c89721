/// A file as its descriptor has it, types not yet resolved.
struct ParsedFile {
  var descriptor: FileDescriptor
  var packsByDefault = false
  var messages: [ParsedMessage] = []
  var enums: [ParsedEnum] = []
  var services: [ParsedService] = []
  var extensions: [ParsedField] = []
}

struct ParsedMessage {
  var name = ""
  var fields: [ParsedField] = []
  var messages: [ParsedMessage] = []
  var enums: [ParsedEnum] = []
  var extensions: [ParsedField] = []
  var oneofs: [String] = []
  var isMapEntry = false
}

struct ParsedField {
  var name = ""
  var jsonName = ""
  var extendee = ""
  var number: Int32 = 0
  var isRepeated = false
  var type: Int32 = 0
  var typeName = ""
  var oneof: Int?
  var isOptional = false
  var isPacked: Bool?
  var isRedacted = false
  var behaviors: [FieldBehavior] = []
}

struct ParsedEnum {
  var name = ""
  var values: [EnumDescriptor.Value] = []
}

struct ParsedService {
  var name = ""
  var methods: [ParsedMethod] = []
}

struct ParsedMethod {
  var name = ""
  var request = ""
  var response = ""
  var isClientStreaming = false
  var isServerStreaming = false
  var httpRules: [HTTPRule] = []
}

/// Reads `google/protobuf/descriptor.proto`'s messages; the numbers are those of its fields.
struct DescriptorParser {
  private let limits: DescriptorLimits
  private var symbols = 0

  init(limits: DescriptorLimits) {
    self.limits = limits
  }

  mutating func files(_ serialized: UnsafeRawBufferPointer) throws(DescriptorError) -> [ParsedFile]
  {
    guard serialized.count <= limits.bytesMax else {
      throw DescriptorError(.tooLarge(bytesMax: limits.bytesMax))
    }
    var files: [ParsedFile] = []
    do {
      var reader = WireReader(serialized)
      while let tag = try reader.tag() {
        guard tag.number == 1, tag.wireType == .lengthPrefixed else {
          try reader.skip(tag.wireType)
          continue
        }
        guard files.count < limits.filesMax else {
          throw DescriptorError(.tooManyFiles(filesMax: limits.filesMax))
        }
        files.append(try file(reader.message()))
      }
    } catch let error as WireError {
      throw DescriptorError(.malformed(error), in: files.last?.descriptor.name ?? "")
    } catch let error as DescriptorError {
      throw error
    } catch {
      preconditionFailure("the parser throws no other errors")
    }
    return files
  }

  private mutating func file(_ input: WireReader) throws -> ParsedFile {
    var reader = input
    var (name, package, syntax) = ("", "", "")
    var dependencies: [String] = []
    var messages: [ParsedMessage] = []
    var enums: [ParsedEnum] = []
    var services: [ParsedService] = []
    var extensions: [ParsedField] = []
    while let tag = try reader.tag() {
      switch (tag.number, tag.wireType) {
      case (1, .lengthPrefixed): name = try reader.text()
      case (2, .lengthPrefixed): package = try reader.text()
      case (3, .lengthPrefixed): dependencies.append(try reader.text())
      case (4, .lengthPrefixed): messages.append(try message(reader.message(), depth: 1))
      case (5, .lengthPrefixed): enums.append(try enumeration(reader.message()))
      case (6, .lengthPrefixed): services.append(try service(reader.message()))
      case (7, .lengthPrefixed): extensions.append(try field(reader.message()))
      case (12, .lengthPrefixed): syntax = try reader.text()
      default: try reader.skip(tag.wireType)
      }
    }
    try count(name)
    let descriptor = FileDescriptor(
      name: name, package: package, dependencies: dependencies, bytes: input.content)
    return ParsedFile(
      descriptor: descriptor, packsByDefault: syntax == "proto3", messages: messages,
      enums: enums, services: services, extensions: extensions)
  }

  /// A descriptor of that name was read.
  private mutating func count(_ name: String) throws(DescriptorError) {
    guard !name.isEmpty else { throw DescriptorError(.nameMissing) }
    symbols += 1
    guard symbols <= limits.symbolsMax else {
      throw DescriptorError(.tooManySymbols(symbolsMax: limits.symbolsMax), in: name)
    }
  }

  private mutating func message(_ input: WireReader, depth: Int) throws -> ParsedMessage {
    guard depth <= limits.depthMax else {
      throw DescriptorError(.nestedTooDeeply(depthMax: limits.depthMax))
    }
    var reader = input
    var message = ParsedMessage()
    while let tag = try reader.tag() {
      switch (tag.number, tag.wireType) {
      case (1, .lengthPrefixed): message.name = try reader.text()
      case (2, .lengthPrefixed): message.fields.append(try field(reader.message()))
      case (3, .lengthPrefixed):
        message.messages.append(try self.message(reader.message(), depth: depth + 1))
      case (4, .lengthPrefixed): message.enums.append(try enumeration(reader.message()))
      case (6, .lengthPrefixed): message.extensions.append(try field(reader.message()))
      case (7, .lengthPrefixed): message.isMapEntry = try flag(7, reader.message())
      case (8, .lengthPrefixed): message.oneofs.append(try oneof(reader.message()))
      default: try reader.skip(tag.wireType)
      }
    }
    try count(message.name)
    return message
  }

  private func oneof(_ input: WireReader) throws -> String {
    var reader = input
    var name = ""
    while let tag = try reader.tag() {
      if tag.number == 1, tag.wireType == .lengthPrefixed {
        name = try reader.text()
      } else {
        try reader.skip(tag.wireType)
      }
    }
    return name
  }

  /// Whether the boolean field `number` is set.
  private func flag(_ number: Int32, _ input: WireReader) throws -> Bool {
    var reader = input
    var flag = false
    while let tag = try reader.tag() {
      if tag.number == number, tag.wireType == .varint {
        flag = try reader.varint() != 0
      } else {
        try reader.skip(tag.wireType)
      }
    }
    return flag
  }

  private mutating func field(_ input: WireReader) throws -> ParsedField {
    var reader = input
    var field = ParsedField()
    while let tag = try reader.tag() {
      switch (tag.number, tag.wireType) {
      case (1, .lengthPrefixed): field.name = try reader.text()
      case (2, .lengthPrefixed): field.extendee = withoutDot(try reader.text())
      case (3, .varint): field.number = Int32(truncatingIfNeeded: try reader.varint())
      case (4, .varint): field.isRepeated = try reader.varint() == 3
      case (5, .varint): field.type = Int32(truncatingIfNeeded: try reader.varint())
      case (6, .lengthPrefixed): field.typeName = withoutDot(try reader.text())
      case (8, .lengthPrefixed): try options(of: &field, reader.message())
      case (9, .varint): field.oneof = Int(truncatingIfNeeded: try reader.varint())
      case (10, .lengthPrefixed): field.jsonName = try reader.text()
      case (17, .varint): field.isOptional = try reader.varint() != 0
      default: try reader.skip(tag.wireType)
      }
    }
    try count(field.name)
    if field.jsonName.isEmpty { field.jsonName = field.name }
    return field
  }

  private func options(of field: inout ParsedField, _ input: WireReader) throws {
    let fieldBehaviorNumber: Int32 = 1052
    var reader = input
    while let tag = try reader.tag() {
      switch (tag.number, tag.wireType) {
      case (2, .varint): field.isPacked = try reader.varint() != 0
      case (16, .varint): field.isRedacted = try reader.varint() != 0
      case (fieldBehaviorNumber, .varint):
        field.behaviors += behavior(try reader.varint())
      case (fieldBehaviorNumber, .lengthPrefixed):
        var packed = try reader.message()
        while !packed.isAtEnd { field.behaviors += behavior(try packed.varint()) }
      default: try reader.skip(tag.wireType)
      }
    }
  }

  private func behavior(_ number: UInt64) -> [FieldBehavior] {
    FieldBehavior(rawValue: Int32(truncatingIfNeeded: number)).map { [$0] } ?? []
  }

  private mutating func enumeration(_ input: WireReader) throws -> ParsedEnum {
    var reader = input
    var enumeration = ParsedEnum()
    while let tag = try reader.tag() {
      switch (tag.number, tag.wireType) {
      case (1, .lengthPrefixed): enumeration.name = try reader.text()
      case (2, .lengthPrefixed): enumeration.values.append(try enumValue(reader.message()))
      default: try reader.skip(tag.wireType)
      }
    }
    try count(enumeration.name)
    return enumeration
  }

  private mutating func enumValue(_ input: WireReader) throws -> EnumDescriptor.Value {
    var reader = input
    var (name, number) = ("", Int32(0))
    while let tag = try reader.tag() {
      switch (tag.number, tag.wireType) {
      case (1, .lengthPrefixed): name = try reader.text()
      case (2, .varint): number = Int32(truncatingIfNeeded: try reader.varint())
      default: try reader.skip(tag.wireType)
      }
    }
    try count(name)
    return EnumDescriptor.Value(name: name, number: number)
  }

  private func withoutDot(_ name: String) -> String {
    name.utf8.first == UInt8(ascii: ".") ? String(name.dropFirst()) : name
  }
}

// MARK: Services

extension DescriptorParser {
  private mutating func service(_ input: WireReader) throws -> ParsedService {
    var reader = input
    var service = ParsedService()
    while let tag = try reader.tag() {
      switch (tag.number, tag.wireType) {
      case (1, .lengthPrefixed): service.name = try reader.text()
      case (2, .lengthPrefixed): service.methods.append(try method(reader.message()))
      default: try reader.skip(tag.wireType)
      }
    }
    try count(service.name)
    return service
  }

  private mutating func method(_ input: WireReader) throws -> ParsedMethod {
    var reader = input
    var method = ParsedMethod()
    while let tag = try reader.tag() {
      switch (tag.number, tag.wireType) {
      case (1, .lengthPrefixed): method.name = try reader.text()
      case (2, .lengthPrefixed): method.request = withoutDot(try reader.text())
      case (3, .lengthPrefixed): method.response = withoutDot(try reader.text())
      case (4, .lengthPrefixed): method.httpRules = try httpRules(reader.message())
      case (5, .varint): method.isClientStreaming = try reader.varint() != 0
      case (6, .varint): method.isServerStreaming = try reader.varint() != 0
      default: try reader.skip(tag.wireType)
      }
    }
    try count(method.name)
    guard method.httpRules.count <= limits.bindingsMax else {
      throw DescriptorError(.tooManyBindings(bindingsMax: limits.bindingsMax), in: method.name)
    }
    return method
  }

  /// The rules in `MethodOptions`.
  private func httpRules(_ input: WireReader) throws -> [HTTPRule] {
    let httpNumber: Int32 = 72_295_728
    var reader = input
    var rules: [HTTPRule] = []
    while let tag = try reader.tag() {
      if tag.number == httpNumber, tag.wireType == .lengthPrefixed {
        rules += try httpRule(reader.message(), isAdditional: false)
      } else {
        try reader.skip(tag.wireType)
      }
    }
    return rules
  }

  /// The rule and the bindings added to it, which have none of their own.
  private func httpRule(_ input: WireReader, isAdditional: Bool) throws -> [HTTPRule] {
    var reader = input
    var rule = HTTPRule()
    var additional: [HTTPRule] = []
    while let tag = try reader.tag() {
      switch (tag.number, tag.wireType) {
      case (2, .lengthPrefixed): (rule.method, rule.path) = ("GET", try reader.text())
      case (3, .lengthPrefixed): (rule.method, rule.path) = ("PUT", try reader.text())
      case (4, .lengthPrefixed): (rule.method, rule.path) = ("POST", try reader.text())
      case (5, .lengthPrefixed): (rule.method, rule.path) = ("DELETE", try reader.text())
      case (6, .lengthPrefixed): (rule.method, rule.path) = ("PATCH", try reader.text())
      case (7, .lengthPrefixed): rule.body = try reader.text()
      case (8, .lengthPrefixed): (rule.method, rule.path) = try customPattern(reader.message())
      case (11, .lengthPrefixed) where !isAdditional:
        additional += try httpRule(reader.message(), isAdditional: true)
      case (12, .lengthPrefixed): rule.responseBody = try reader.text()
      default: try reader.skip(tag.wireType)
      }
    }
    return [rule] + additional
  }

  private func customPattern(_ input: WireReader) throws -> (method: String, path: String) {
    var reader = input
    var (method, path) = ("", "")
    while let tag = try reader.tag() {
      switch (tag.number, tag.wireType) {
      case (1, .lengthPrefixed): method = try reader.text()
      case (2, .lengthPrefixed): path = try reader.text()
      default: try reader.skip(tag.wireType)
      }
    }
    return (method, path)
  }
}
