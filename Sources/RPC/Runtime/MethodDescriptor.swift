/// One RPC of a contract, as the generated code declares it.
package final class MethodDescriptor: Sendable {
  /// Full name, such as `storeplane.config.v1.SecretService`.
  package let service: String
  package let name: String
  package let clientStreaming: Bool
  package let serverStreaming: Bool
  /// `/service/name`, the `:path` of a call.
  package let path: String

  package init(service: String, name: String, clientStreaming: Bool, serverStreaming: Bool) {
    self.service = service
    self.name = name
    self.clientStreaming = clientStreaming
    self.serverStreaming = serverStreaming
    path = "/\(service)/\(name)"
  }
}

extension MethodDescriptor: Hashable {
  package static func == (left: MethodDescriptor, right: MethodDescriptor) -> Bool {
    left === right || left.path == right.path
  }

  package func hash(into hasher: inout Hasher) { hasher.combine(path) }
}
