import Foundation
import JSON
import Kubernetes
import ProvisionerService
import PythonPeer
import TestKit

@testable import ProvisionerBackend

/// An admission webhook that every request of its kind for one tenant's stores is asked of.
enum LiveWebhook {
  private static let kind = ResourceKind(
    group: "admissionregistration.k8s.io", plural: "validatingwebhookconfigurations",
    kind: "ValidatingWebhookConfiguration", isNamespaced: false)

  private struct Server {
    let server: PythonServer
    let address: String
    let authority: String
  }

  /// One for all tests.
  private static let server = Result { () throws -> Server in
    let address = try LiveStores.ownAddress()
    let certificates = try TestCertificates()
    let (certificate, key) = try certificates.files(for: "webhook", at: [address])
    let server = try PythonServer(
      "Tests/ProvisionerBackendTests/Peers/webhook_server.py", [address, certificate, key])
    let authority = try Data(contentsOf: URL(fileURLWithPath: certificates.authorityFile))
    return Server(
      server: server, address: "\(address):\(server.port)",
      authority: authority.base64EncodedString())
  }

  /// It goes with the store's namespace.
  ///
  /// - Parameters:
  ///   - words: why it denies; "hang": it never answers.
  ///   - labels: of the objects that it is asked about.
  static func use(
    _ words: String, on resource: ResourceKind, labelled labels: JSON = [:], seconds: Int64 = 1,
    of parts: LiveStores.Parts
  ) async throws {
    let server = try server.get()
    let path = words.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
    let webhook: JSON = [
      "name": "webhook.tests.storeplane.dev",
      "clientConfig": [
        "url": .string("https://\(server.address)/\(path)"),
        "caBundle": .string(server.authority),
      ],
      "namespaceSelector": [
        "matchLabels": [StoreNamespace.tenantLabel: .string(parts.site.tenant)]
      ],
      "objectSelector": ["matchLabels": labels],
      "rules": [
        [
          "operations": ["CREATE"], "apiGroups": [.string(resource.group)],
          "apiVersions": ["*"], "resources": [.string(resource.plural)],
        ]
      ],
      "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
      "timeoutSeconds": .number(JSONNumber(seconds)),
    ]
    try await parts.create(kind, ["webhooks": [webhook]])
  }

  static func remove(of parts: LiveStores.Parts) async throws {
    try await parts.kubernetes.delete(kind, name: parts.testName, deadline: .soon)
  }
}

extension LiveStores.Parts {
  fileprivate var testName: String { "test-\(site.store)" }

  /// Makes an object of the whole cluster that goes with the store's namespace.
  ///
  /// - Parameter name: of its own unless given.
  @discardableResult
  func create(_ kind: ResourceKind, name: String? = nil, _ object: JSON) async throws
    -> KubernetesObject
  {
    let namespace = try await kubernetes.get(
      .namespaces, name: site.namespace, deadline: .soon)
    var object = object.object ?? JSONObject()
    object["metadata"] = [
      "name": .string(name ?? testName),
      "ownerReferences": [
        [
          "apiVersion": "v1", "kind": "Namespace", "name": .string(namespace.name),
          "uid": .string(namespace.uid),
        ]
      ],
    ]
    return try await kubernetes.create(kind, .object(object), deadline: .soon)
  }
}
