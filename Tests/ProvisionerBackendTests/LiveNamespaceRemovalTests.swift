import JSON
import Kubernetes
import ProvisionerService
import Reactor
import Testing

@testable import ProvisionerBackend

/// Namespaces that do not go.
@Suite(.enabled(if: LiveStores.isThere), .serialized) struct LiveNamespaceRemovalTests {
  @Test func isHeldByAFinalizer() async throws {
    try await LiveStores.withBackend { _, parts in
      try await parts.backend.ensureNamespace(parts.site)
      try await parts.hold(in: parts.site.namespace)
      let failure = try await stuck(parts)
      try await parts.letGo(in: parts.site.namespace)
      #expect(failure?.code == .namespaceStuck)
      for words in ["configmaps", LiveStores.Parts.finalizer] {
        #expect(failure?.detail.contains(words) == true, "\(failure as Any)")
      }
      try await removed(parts)
    }
  }

  /// Somebody's extension of the API that does not answer: nobody can say what is of it in there.
  @Test func isHeldByAnAPIThatDoesNotAnswer() async throws {
    try await LiveStores.withBackend { _, parts in
      try await parts.backend.ensureNamespace(parts.site)
      let kind = ResourceKind(
        group: "apiregistration.k8s.io", plural: "apiservices", kind: "APIService",
        isNamespaced: false)
      let group = "t\(parts.site.store).tests.storeplane.dev"
      try await parts.create(
        kind, name: "v1.\(group)",
        [
          "spec": [
            "group": .string(group), "version": "v1", "groupPriorityMinimum": 10,
            "versionPriority": 10, "insecureSkipTLSVerify": true,
            "service": ["name": "nowhere", "namespace": .string(parts.site.namespace)],
          ]
        ])
      let failure = try await stuck(parts)
      try await parts.kubernetes.delete(kind, name: "v1.\(group)", deadline: .soon)
      #expect(failure?.code == .namespaceStuck)
      #expect(failure?.detail.contains("\(group)/v1") == true, "\(failure as Any)")
      try await removed(parts)
    }
  }

  /// Asks for the removal and waits until it is given up.
  private func stuck(_ parts: LiveStores.Parts) async throws -> ProvisionFailure? {
    try await parts.backend.deleteNamespace(parts.site)
    let impatient = StoreNamespace(parts.kubernetes, removalPatienceSeconds: 2)
    return await failure(ProvisionFailure.self) {
      try await parts.follow { previous in
        try await impatient.removal(of: parts.site, after: previous)
      }
    }
  }

  private func removed(_ parts: LiveStores.Parts) async throws {
    try await parts.follow { try await parts.backend.removalStatus(of: parts.site, after: $0) }
  }
}

extension LiveStores.Parts {
  static let finalizer = "tests.storeplane.dev/hold"

  /// Makes something that holds a namespace.
  func hold(in namespace: String) async throws {
    try await kubernetes.create(
      .configMaps, namespace: namespace,
      ["metadata": ["name": "held", "finalizers": [.string(Self.finalizer)]]], deadline: .soon)
  }

  func letGo(in namespace: String) async throws {
    try await kubernetes.merge(
      .configMaps, namespace: namespace, name: "held", ["metadata": ["finalizers": nil]],
      deadline: .soon)
  }
}
