/// A service and its methods.
package final class ServiceDescriptor: Sendable {
  package struct Method: Sendable {
    package let name: String
    /// `package.Service.Method`.
    package let fullName: String
    /// `/package.Service/Method`, as in the `:path` of a call.
    package let path: String
    package let request: MessageDescriptor
    package let response: MessageDescriptor
    package let isClientStreaming: Bool
    package let isServerStreaming: Bool
    /// `google.api.http`, the rule itself first and then its additional bindings.
    package let httpRules: [HTTPRule]
  }

  package let fullName: String
  package let methods: [Method]

  init(fullName: String, methods: [Method]) {
    self.fullName = fullName
    self.methods = methods
  }
}

/// One binding of a method to HTTP (`google.api.HttpRule`), as the contract has it.
package struct HTTPRule: Equatable, Sendable {
  /// In upper case: `GET`.
  package var method: String
  /// A template: `/v1/stores/{store}:retry`.
  package var path: String
  /// "" for none, "*" for the whole request, or the name of a field of the request.
  package var body: String
  /// "" for the whole response, or the name of a field of it.
  package var responseBody: String

  package init(
    method: String = "", path: String = "", body: String = "", responseBody: String = ""
  ) {
    self.method = method
    self.path = path
    self.body = body
    self.responseBody = responseBody
  }
}

/// One `.proto` file.
package final class FileDescriptor: Sendable {
  /// As imported: `google/api/http.proto`.
  package let name: String
  package let package: String
  /// The files that it imports, by name.
  package let dependencies: [String]
  /// The serialized `FileDescriptorProto`.
  package let bytes: [UInt8]

  init(name: String, package: String, dependencies: [String], bytes: [UInt8]) {
    self.name = name
    self.package = package
    self.dependencies = dependencies
    self.bytes = bytes
  }
}

/// A field that a file adds to a message defined elsewhere, such as `google.api.http`.
package struct ExtensionDescriptor: Equatable, Sendable {
  package let fullName: String
  /// The message that it extends.
  package let extendee: String
  package let number: Int32
  /// The file that defines it, by name.
  package let file: String
}
