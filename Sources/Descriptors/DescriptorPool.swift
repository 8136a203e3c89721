/// The files, types and services of a `google.protobuf.FileDescriptorSet`, resolved and ready to be
/// looked up. Names have no leading dot.
package final class DescriptorPool: Sendable {
  /// In the order of the set: each after those it imports.
  package let files: [FileDescriptor]
  package let messages: [MessageDescriptor]
  package let enums: [EnumDescriptor]
  package let services: [ServiceDescriptor]
  package let extensions: [ExtensionDescriptor]

  private let filesByName: [String: FileDescriptor]
  private let filesBySymbol: [String: FileDescriptor]
  private let messagesByName: [String: MessageDescriptor]
  private let enumsByName: [String: EnumDescriptor]
  private let servicesByName: [String: ServiceDescriptor]

  /// - Parameter serialized: a `FileDescriptorSet`; only read here.
  package convenience init(
    serialized: UnsafeRawBufferPointer, limits: DescriptorLimits = DescriptorLimits()
  ) throws(DescriptorError) {
    self.init(try Self.linked(serialized, limits))
  }

  /// - Parameter serialized: a `FileDescriptorSet`.
  package convenience init(
    serialized: [UInt8], limits: DescriptorLimits = DescriptorLimits()
  ) throws(DescriptorError) {
    let linked = try serialized.span.bytes.withUnsafeBytes { bytes throws(DescriptorError) in
      try Self.linked(bytes, limits)
    }
    self.init(linked)
  }

  private static func linked(
    _ serialized: UnsafeRawBufferPointer, _ limits: DescriptorLimits
  ) throws(DescriptorError) -> DescriptorLinker {
    var parser = DescriptorParser(limits: limits)
    var linker = DescriptorLinker()
    try linker.link(try parser.files(serialized))
    return linker
  }

  private init(_ linker: DescriptorLinker) {
    files = linker.files
    messages = linker.messages
    enums = linker.enums
    services = linker.services
    extensions = linker.extensions
    filesBySymbol = linker.filesBySymbol
    // The linker has refused duplicates.
    filesByName = Dictionary(uniqueKeysWithValues: files.map { ($0.name, $0) })
    messagesByName = Dictionary(uniqueKeysWithValues: messages.map { ($0.fullName, $0) })
    enumsByName = Dictionary(uniqueKeysWithValues: enums.map { ($0.fullName, $0) })
    servicesByName = Dictionary(uniqueKeysWithValues: services.map { ($0.fullName, $0) })
  }

  package func file(named name: String) -> FileDescriptor? { filesByName[name] }

  /// The file that defines a message, field, oneof, enum, enum value, service, method or extension.
  package func file(defining symbol: String) -> FileDescriptor? { filesBySymbol[symbol] }

  package func message(named name: String) -> MessageDescriptor? { messagesByName[name] }
  package func enumeration(named name: String) -> EnumDescriptor? { enumsByName[name] }
  package func service(named name: String) -> ServiceDescriptor? { servicesByName[name] }

  /// The type of a message field; nil for a field of another kind.
  package func messageType(of field: FieldDescriptor) -> MessageDescriptor? {
    if case .message(let index) = field.kind { messages[index] } else { nil }
  }

  /// The file and all that it imports, directly or not, each once, itself first.
  package func closure(of file: FileDescriptor) -> [FileDescriptor] {
    var found = [file]
    var names: Set<String> = [file.name]
    var next = 0
    while next < found.count {
      for name in found[next].dependencies where names.insert(name).inserted {
        if let file = filesByName[name] { found.append(file) }
      }
      next += 1
    }
    return found
  }
}
