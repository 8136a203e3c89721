import JSON
import ProvisionerService
import Reactor
import Testing

@testable import Kubernetes
@testable import ProvisionerBackend

@Suite struct ObjectDifferenceTests {
  @Test func namesWhatDiffersAndNoValues() {
    let live: JSON = [
      "metadata": ["resourceVersion": "1", "generation": 1, "labels": ["a": "b"]],
      "spec": ["replicas": 0, "ports": [["port": 80], ["port": 81]], "old": true],
      "status": ["ready": 1],
    ]
    let wanted: JSON = [
      "metadata": ["resourceVersion": "2", "generation": 2, "labels": ["a": "c"]],
      "spec": ["replicas": 1, "ports": [["port": 80], ["port": 82]], "new": [1]],
      "status": ["ready": 2],
    ]
    #expect(
      ObjectDifference.paths(live, wanted) == [
        "metadata.labels.a", "spec.new", "spec.old", "spec.ports[1].port", "spec.replicas",
      ])
    #expect(ObjectDifference.paths(live, live).isEmpty)
    #expect(ObjectDifference.paths(["a": [1]], ["a": [1, 2]]) == ["a"])
  }

  @Test(arguments: [
    ("v1", "Service", "/services"), ("networking.k8s.io/v1", "NetworkPolicy", "/networkpolicies"),
    ("networking.k8s.io/v1", "Ingress", "/ingresses"), ("apps/v1", "StatefulSet", "/statefulsets"),
    ("v1", "ResourceQuota", "/resourcequotas"),
  ]) func findsTheResourceOfAKind(version: String, kind: String, plural: String) throws {
    let found = try #require(
      ResourceKind(of: ["apiVersion": .string(version), "kind": .string(kind)]))
    #expect(found.apiVersion == version && "/" + found.plural == plural)
    #expect(ResourceKind(of: ["apiVersion": .string(version)]) == nil)
  }

  @Test func whatItMeansThatAnObjectCannotBeHeldAgainstTheRelease() {
    func difference(_ code: Int, _ reason: String, _ message: String) -> Drift.Difference? {
      let status: JSON = [
        "kind": "Status", "code": .number(JSONNumber(code)), "reason": .string(reason),
        "message": .string(message), "details": ["causes": [["field": "spec.selector"]]],
      ]
      return Drift.Difference(StatusAnswer.error(status: status))
    }
    #expect(difference(404, "NotFound", #"services "web" not found"#) == .missing)
    #expect(
      difference(404, "NotFound", "the server could not find the requested resource")
        == .refused("the cluster has no such kind any more"))
    #expect(
      difference(422, "Invalid", "spec.selector: Invalid value: secret: field is immutable")
        == .refused("Invalid at spec.selector"))
    #expect(difference(503, "ServiceUnavailable", "later") == nil)
    #expect(difference(429, "TooManyRequests", "later") == nil)
  }

  @Test func aManifestHasAnyNumberOfDocuments() throws {
    let documents = try YAMLDocuments.parse("---\na: 1\n---\n# nothing\n---\nb: ['2']\n", "it")
    #expect(documents == [["a": 1], ["b": ["2"]]])
    #expect(throws: YAMLDocuments.Failure.self) { try YAMLDocuments.parse("a: [", "it") }
  }
}

/// What is found of real stores.
@Suite(.enabled(if: LiveStores.isThere), .serialized) struct LiveDriftTests {
  @Test(arguments: [StoreEngine.woocommerce, .medusa])
  func whatSomebodyChangesIsFoundAndTakenBack(engine: StoreEngine) async throws {
    try await LiveStores.withBackend(engine: engine) { _, parts in
      let (backend, kubernetes) = (parts.backend, parts.kubernetes)
      let namespace = parts.site.namespace
      try await backend.ensureNamespace(parts.site)
      try await backend.applyCredentials(parts.site)
      let installed = try await backend.installRelease(parts.site)
      let site = parts.site.released(helmRevision: installed.revision)
      #expect(try await backend.drift(of: site) == [])

      let deployment = try #require(
        await kubernetes.listAll(
          .deployments, ObjectSelection(namespace: namespace), deadline: .soon
        ).objects.first?.name)
      try await kubernetes.merge(
        .deployments, namespace: namespace, name: deployment, ["spec": ["replicas": 3]],
        deadline: .soon)
      let service = try #require(
        await kubernetes.listAll(
          .services, ObjectSelection(namespace: namespace), deadline: .soon
        ).objects.first?.name)
      try await kubernetes.delete(
        .services, namespace: namespace, name: service, deadline: .soon)
      let drift = try await backend.drift(of: site)
      #expect(drift.count == 2)
      #expect(drift.contains(Drift("Deployment/\(deployment)", .fields(["spec.replicas"]))))
      #expect(drift.contains(Drift("Service/\(service)", .missing)))

      let corrected = try await backend.rollBackRelease(site)
      #expect(corrected.revision == installed.revision + 1)
      let anew = site.released(helmRevision: corrected.revision)
      #expect(try await backend.drift(of: anew) == [])
      // Somebody used Helm by hand.
      #expect(
        try await backend.drift(of: site) == [
          Drift(
            "Release/store",
            .fields(["revision \(corrected.revision) in place of \(installed.revision)"]))
        ])
      // Or removed it.
      try await backend.uninstallRelease(site)
      #expect(
        try await backend.drift(of: site) == [
          Drift("Release/store", .refused("Helm has no record of it"))
        ])
    }
  }
}
