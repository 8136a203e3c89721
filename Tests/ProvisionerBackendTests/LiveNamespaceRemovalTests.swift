import Foundation
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

  /// They are no part of it, and the data is in them.
  @Test func itsVolumesAreWaitedForOrNamed() async throws {
    try await LiveStores.withBackend { _, parts in
      let (held, kept) = ("held-\(parts.site.store)", "kept-\(parts.site.store)")
      try await parts.backend.ensureNamespace(parts.site)
      try await parts.makeVolume(held, policy: "Delete")
      try await parts.makeVolume(kept, policy: "Retain")
      try await parts.backend.deleteNamespace(parts.site)
      var told: [BackendProgress] = []
      while told.last?.isDone != true {
        told.append(try await parts.backend.removalStatus(of: parts.site, after: told.last))
        guard told.last?.detail.contains(held) == true else { continue }
        try? await parts.kubernetes.delete(.persistentVolumes, name: held, deadline: .soon)
      }
      try await parts.kubernetes.delete(.persistentVolumes, name: kept, deadline: .soon)
      #expect(told.contains { $0.detail.hasPrefix("waits for the removal of volume \(held)") })
      let last = try #require(told.dropLast().last).detail
      #expect(last.contains("Retain: volume \(kept)") && !last.contains(held), "\(told)")
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

  /// As a claim in the store's namespace leaves it, and nobody removes it.
  func makeVolume(_ name: String, policy: String) async throws {
    var annotations = JSONObject()
    annotations["pv.kubernetes.io/provisioned-by"] = "tests.storeplane.dev/nobody"
    let claim: JSON = [
      "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": .string(site.namespace),
      "name": "data", "uid": .string(UUID().uuidString.lowercased()),
    ]
    try await kubernetes.create(
      .persistentVolumes,
      [
        "metadata": ["name": .string(name), "annotations": .object(annotations)],
        "spec": [
          "capacity": ["storage": "1Mi"], "accessModes": ["ReadWriteOnce"],
          "persistentVolumeReclaimPolicy": .string(policy), "claimRef": claim,
          "storageClassName": "tests-nobody", "hostPath": ["path": "/nonexistent/tests"],
        ],
      ], deadline: .soon)
  }

  func letGo(in namespace: String) async throws {
    try await kubernetes.merge(
      .configMaps, namespace: namespace, name: "held", ["metadata": ["finalizers": nil]],
      deadline: .soon)
  }
}
