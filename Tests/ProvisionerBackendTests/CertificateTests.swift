import JSON
import Kubernetes
import ProvisionerService
import Reactor
import Testing

@testable import ProvisionerBackend

/// What is said of a store's certificate by an account that may not see everything; the rest is in
/// `LiveCertificateTests`.
@Suite struct CertificateTests {
  private static let ingress = path("networking.k8s.io", "ingresses/store")
  private static let certificate = path("cert-manager.io", "certificates/store-tls")
  private static let requests = path("cert-manager.io", "certificaterequests")

  private static func path(_ group: String, _ rest: String) -> String {
    "GET /apis/\(group)/v1/namespaces/\(site().namespace)/\(rest)"
  }

  private static let asking: JSON = [
    "metadata": ["annotations": ["cert-manager.io/cluster-issuer": "tests"]],
    "spec": ["tls": [["secretName": "store-tls"]]],
  ]

  private static func certificate(ready: String) -> JSON {
    [
      "kind": "Certificate",
      "metadata": ["name": "store-tls", "namespace": .string(site().namespace), "uid": "c-1"],
      "status": [
        "conditions": [["type": "Ready", "status": .string(ready), "reason": "Issuing"]]
      ],
    ]
  }

  private func condition(
    _ answers: [String: JSON], forbidden: Set<String> = []
  ) async throws -> StoreCondition? {
    try await onReactor { reactor in
      let cluster = ScriptedCluster()
      cluster.answers = answers
      cluster.forbidden = forbidden
      let kubernetes = cluster.client(on: reactor)
      defer { kubernetes.close() }
      return try await StoreCertificates(kubernetes).condition(site())
    }
  }

  @Test func whatCannotBeSeenIsUnknown() async throws {
    let hidden = try #require(
      try await condition([Self.ingress: Self.asking], forbidden: [Self.certificate]))
    #expect(!hidden.isKnown && !hidden.isTrue && !hidden.isFalse && hidden.reason == "NotVisible")
    #expect(hidden.message.contains("get certificates.cert-manager.io"))
  }

  @Test func whatAPendingOneWaitsForNeedNotBeSeen() async throws {
    let pending = try #require(
      try await condition(
        [Self.ingress: Self.asking, Self.certificate: Self.certificate(ready: "False")],
        forbidden: [Self.requests]))
    #expect(pending.isFalse && pending.reason == "CertificateIssuing")
    #expect(pending.message.contains("list certificaterequests.cert-manager.io"))
    // Of one that is issued nothing more is asked.
    let issued = try await condition(
      [Self.ingress: Self.asking, Self.certificate: Self.certificate(ready: "True")],
      forbidden: [Self.requests])
    #expect(issued == StoreCondition(.certificateReady, true, "Issued"))
  }

  @Test func oneThatIsNotThereIsMissingOrNotAskedFor() async throws {
    let missing = try await condition([Self.ingress: Self.asking])
    #expect(missing?.reason == "CertificateMissing" && missing?.isFalse == true)
    let none = try await condition([Self.ingress: ["metadata": ["name": "store"]]])
    #expect(none == nil)
  }

  /// Without the rights that stores cannot do without nothing is known of it.
  @Test func aHiddenIngressFailsTheLook() async throws {
    let failure = await failure(ProvisionFailure.self) {
      try await condition([:], forbidden: [Self.ingress])
    }
    #expect(failure?.code == .clusterForbidden)
  }
}
