/// Gives the parsed descriptors their full names and resolves the types they refer to.
struct DescriptorLinker {
  private(set) var files: [FileDescriptor] = []
  private(set) var messages: [MessageDescriptor] = []
  private(set) var enums: [EnumDescriptor] = []
  private(set) var services: [ServiceDescriptor] = []
  private(set) var extensions: [ExtensionDescriptor] = []
  private(set) var filesBySymbol: [String: FileDescriptor] = [:]

  private var parsedMessages: [NamedMessage] = []
  private var messageIndexes: [String: Int] = [:]
  private var enumsByName: [String: EnumDescriptor] = [:]

  private struct NamedMessage {
    let fullName: String
    let message: ParsedMessage
    let packsByDefault: Bool
  }

  mutating func link(_ files: [ParsedFile]) throws(DescriptorError) {
    var names: Set<String> = []
    for file in files {
      let descriptor = file.descriptor
      for dependency in descriptor.dependencies where !names.contains(dependency) {
        throw DescriptorError(.dependencyMissing(dependency), in: descriptor.name)
      }
      guard names.insert(descriptor.name).inserted else {
        throw DescriptorError(.duplicateSymbol, in: descriptor.name)
      }
      try name(file)
    }
    self.files = files.map(\.descriptor)
    for named in parsedMessages { messages.append(try resolve(named)) }
    for file in files {
      for service in file.services {
        services.append(try resolve(service, in: file.descriptor.package))
      }
    }
  }

  // MARK: Names

  private mutating func name(_ file: ParsedFile) throws(DescriptorError) {
    let package = file.descriptor.package
    for message in file.messages { try name(message, in: package, of: file) }
    for enumeration in file.enums { try name(enumeration, in: package, of: file) }
    for field in file.extensions { try name(extending: field, in: package, of: file) }
    for service in file.services {
      let fullName = qualified(service.name, in: package)
      try define(fullName, in: file)
      for method in service.methods { try define(qualified(method.name, in: fullName), in: file) }
    }
  }

  private mutating func name(
    _ message: ParsedMessage, in scope: String, of file: ParsedFile
  ) throws(DescriptorError) {
    let fullName = qualified(message.name, in: scope)
    try define(fullName, in: file)
    messageIndexes[fullName] = parsedMessages.count
    parsedMessages.append(
      NamedMessage(
        fullName: fullName, message: message, packsByDefault: file.packsByDefault))
    for field in message.fields { try define(qualified(field.name, in: fullName), in: file) }
    for oneof in message.oneofs { try define(qualified(oneof, in: fullName), in: file) }
    for nested in message.messages { try name(nested, in: fullName, of: file) }
    for enumeration in message.enums { try name(enumeration, in: fullName, of: file) }
    for field in message.extensions { try name(extending: field, in: fullName, of: file) }
  }

  /// The values of an enum belong to the scope that the enum is in.
  private mutating func name(
    _ enumeration: ParsedEnum, in scope: String, of file: ParsedFile
  ) throws(DescriptorError) {
    let fullName = qualified(enumeration.name, in: scope)
    try define(fullName, in: file)
    for value in enumeration.values { try define(qualified(value.name, in: scope), in: file) }
    let descriptor = EnumDescriptor(fullName: fullName, values: enumeration.values)
    enums.append(descriptor)
    enumsByName[fullName] = descriptor
  }

  private mutating func name(
    extending field: ParsedField, in scope: String, of file: ParsedFile
  ) throws(DescriptorError) {
    let fullName = qualified(field.name, in: scope)
    try define(fullName, in: file)
    extensions.append(
      ExtensionDescriptor(
        fullName: fullName, extendee: field.extendee, number: field.number,
        file: file.descriptor.name))
  }

  private mutating func define(
    _ symbol: String, in file: ParsedFile
  ) throws(DescriptorError) {
    guard filesBySymbol.updateValue(file.descriptor, forKey: symbol) == nil else {
      throw DescriptorError(.duplicateSymbol, in: symbol)
    }
  }

  private func qualified(_ name: String, in scope: String) -> String {
    scope.isEmpty ? name : "\(scope).\(name)"
  }

  // MARK: Types

  private func resolve(_ named: NamedMessage) throws(DescriptorError) -> MessageDescriptor {
    let message = named.message
    // `optional` fields have oneofs of their own, which come after all others.
    let implied = Set(message.fields.filter(\.isOptional).compactMap(\.oneof))
    let oneofs = message.oneofs.indices.filter { !implied.contains($0) }
    guard oneofs == Array(0..<oneofs.count) else {
      throw DescriptorError(.oneofMissing(oneofs.count), in: named.fullName)
    }
    var fields: [FieldDescriptor] = []
    for field in message.fields { fields.append(try resolve(field, of: named)) }
    if message.isMapEntry { try checkMapEntry(fields, named.fullName) }
    return MessageDescriptor(
      fullName: named.fullName, fields: fields, oneofs: oneofs.map { message.oneofs[$0] },
      isMapEntry: message.isMapEntry)
  }

  private func resolve(
    _ field: ParsedField, of named: NamedMessage
  ) throws(DescriptorError) -> FieldDescriptor {
    let fullName = qualified(field.name, in: named.fullName)
    guard field.number >= 1, field.number < 1 << 29 else {
      throw DescriptorError(.malformed(.malformedTag), in: fullName)
    }
    let kind = try kind(of: field, fullName)
    var (isMap, isMessage) = (false, false)
    if case .message(let index) = kind {
      isMessage = true
      isMap = field.isRepeated && parsedMessages[index].message.isMapEntry
    }
    if let oneof = field.oneof, !named.message.oneofs.indices.contains(oneof) {
      throw DescriptorError(.oneofMissing(oneof), in: fullName)
    }
    let hasPresence =
      !field.isRepeated && (isMessage || field.oneof != nil || !named.packsByDefault)
    return FieldDescriptor(
      name: field.name, jsonName: field.jsonName, fullName: fullName, number: field.number,
      kind: kind, isRepeated: field.isRepeated, isMap: isMap,
      isPacked: field.isRepeated && kind.wireType != .lengthPrefixed
        && (field.isPacked ?? named.packsByDefault),
      hasPresence: hasPresence, oneof: field.isOptional ? nil : field.oneof,
      isRedacted: field.isRedacted, behaviors: field.behaviors)
  }

  private func kind(
    of field: ParsedField, _ fullName: String
  ) throws(DescriptorError) -> FieldDescriptor.Kind {
    switch field.type {
    case 1: return .double
    case 2: return .float
    case 3: return .int64
    case 4: return .uint64
    case 5: return .int32
    case 6: return .fixed64
    case 7: return .fixed32
    case 8: return .bool
    case 9: return .string
    case 11:
      guard let index = messageIndexes[field.typeName] else {
        throw DescriptorError(.typeMissing(field.typeName), in: fullName)
      }
      return .message(index)
    case 12: return .bytes
    case 13: return .uint32
    case 14:
      guard let enumeration = enumsByName[field.typeName] else {
        throw DescriptorError(.typeMissing(field.typeName), in: fullName)
      }
      return .enumeration(enumeration)
    case 15: return .sfixed32
    case 16: return .sfixed64
    case 17: return .sint32
    case 18: return .sint64
    default: throw DescriptorError(.unsupportedType(field.type), in: fullName)
    }
  }

  private func checkMapEntry(
    _ fields: [FieldDescriptor], _ fullName: String
  ) throws(DescriptorError) {
    guard fields.count == 2, fields[0].number == 1, fields[1].number == 2,
      !fields[0].isRepeated, !fields[1].isRepeated
    else { throw DescriptorError(.mapEntryInvalid, in: fullName) }
    switch fields[0].kind {
    case .double, .float, .bytes, .enumeration, .message:
      throw DescriptorError(.mapEntryInvalid, in: fullName)
    default: break
    }
  }

  private func resolve(
    _ service: ParsedService, in package: String
  ) throws(DescriptorError) -> ServiceDescriptor {
    let fullName = qualified(service.name, in: package)
    var methods: [ServiceDescriptor.Method] = []
    for method in service.methods {
      let methodName = "\(fullName).\(method.name)"
      methods.append(
        ServiceDescriptor.Method(
          name: method.name, fullName: methodName, path: "/\(fullName)/\(method.name)",
          request: try message(method.request, for: methodName),
          response: try message(method.response, for: methodName),
          isClientStreaming: method.isClientStreaming,
          isServerStreaming: method.isServerStreaming, httpRules: method.httpRules))
    }
    return ServiceDescriptor(fullName: fullName, methods: methods)
  }

  private func message(
    _ name: String, for method: String
  ) throws(DescriptorError) -> MessageDescriptor {
    guard let index = messageIndexes[name] else {
      throw DescriptorError(.typeMissing(name), in: method)
    }
    return messages[index]
  }
}
