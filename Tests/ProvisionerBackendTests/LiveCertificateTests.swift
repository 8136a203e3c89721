import JSON
import Kubernetes
import ProvisionerService
import PythonPeer
import Reactor
import ServiceRuntime
import TestKit
import Testing

@testable import ProvisionerBackend

/// The certificate of a store's address, by objects as cert-manager makes them. No pods are needed.
///
/// They are served by an extension of the real API server: the one of `scripts/cluster`, compiled by a
/// later Go than its own, ends with the first custom resource that it is given.
@Suite(.enabled(if: LiveStores.isThere), .serialized) struct LiveCertificateTests {
  private static let values: JSON = [
    "ingress": [
      "annotations": ["cert-manager.io/cluster-issuer": "tests"], "tls": ["enabled": true],
    ]
  ]

  @Test func saysWhereItIsStuckUntilItIsThere() async throws {
    try await LiveStores.withBackend(values: try #require(Self.values.object)) { _, parts in
      let (backend, site) = (parts.backend, parts.site)
      try await backend.ensureNamespace(site)
      try await backend.applyCredentials(site)
      #expect(try await backend.certificate(of: site) == nil)
      try await backend.installRelease(site)
      // There is no cert-manager, or it has not come to it.
      #expect(try await backend.certificate(of: site)?.reason == "CertificateMissing")

      let manager = try CertManager(parts)
      try await manager.register(with: parts)
      try manager.put(
        "Certificate", "store-tls", owner: nil,
        Self.ready("False", "DoesNotExist", "Issuing certificate as Secret does not exist"))
      var condition = try await parts.certificate { $0?.reason != "CertificateMissing" }
      #expect(condition?.reason == "CertificateDoesNotExist" && condition?.isTrue == false)
      try manager.put(
        "CertificateRequest", "store-tls-1", owner: "store-tls",
        Self.ready("False", "Pending", "Waiting on certificate issuance from order"))
      try manager.put("Order", "store-tls-1-1", owner: "store-tls-1", ["state": "pending"])
      condition = try await parts.certificate { $0?.reason == "OrderPending" }
      #expect(condition?.reason == "OrderPending")
      // Of another order.
      try manager.put("Challenge", "other", owner: "store-tls", ["state": "valid"])
      try manager.put(
        "Challenge", "store-tls-1-1-1", owner: "store-tls-1-1",
        ["state": "pending", "reason": "wrong status code '404', expected '200'"])
      condition = try await backend.certificate(of: site)
      #expect(condition?.reason == "ChallengePending")
      for words in ["Secret does not exist", "Order store-tls-1-1 is pending", "for shop", "'404'"]
      {
        #expect(condition?.message.contains(words) == true, "\(condition as Any)")
      }
      try manager.put("Certificate", "store-tls", owner: nil, Self.ready("True", "Ready", ""))
      condition = try await backend.certificate(of: site)
      try await manager.deregister(from: parts)
      #expect(condition == StoreCondition(.certificateReady, true, "Issued"))
    }
  }

  private static func ready(_ status: String, _ reason: String, _ message: String) -> JSON {
    [
      "conditions": [
        [
          "type": "Ready", "status": .string(status), "reason": .string(reason),
          "message": .string(message),
        ]
      ]
    ]
  }
}

/// In cert-manager's place: what it would have made, at the API server.
private struct CertManager {
  private static let groups = ["cert-manager.io", "acme.cert-manager.io"]
  private static let services = ResourceKind(
    group: "apiregistration.k8s.io", plural: "apiservices", kind: "APIService", isNamespaced: false)

  private let address: String
  private let server: PythonServer
  private let namespace: String

  init(_ parts: LiveStores.Parts) throws {
    address = try LiveStores.ownAddress()
    namespace = parts.site.namespace
    let certificates = try TestCertificates()
    let (certificate, key) = try certificates.files(for: "extension", at: [address])
    server = try PythonServer(
      "Tests/ProvisionerBackendTests/Peers/extension_server.py", [address, certificate, key])
    // Their files go with them; by now they have been read.
    withExtendedLifetime(certificates) {}
  }

  func register(with parts: LiveStores.Parts) async throws {
    try await parts.kubernetes.create(
      .services, namespace: namespace,
      [
        "metadata": ["name": "cert-manager"],
        "spec": ["type": "ExternalName", "externalName": .string(address)],
      ], deadline: .soon)
    for group in Self.groups {
      try await parts.create(
        Self.services, name: "v1.\(group)",
        [
          "spec": [
            "group": .string(group), "version": "v1", "groupPriorityMinimum": 10,
            "versionPriority": 10, "insecureSkipTLSVerify": true,
            "service": [
              "name": "cert-manager", "namespace": .string(namespace),
              "port": .number(JSONNumber(Int64(server.port))),
            ],
          ]
        ])
    }
  }

  func deregister(from parts: LiveStores.Parts) async throws {
    for group in Self.groups {
      try await parts.kubernetes.delete(Self.services, name: "v1.\(group)", deadline: .soon)
    }
  }

  /// An object's uid is its name.
  func put(_ kind: String, _ name: String, owner: String?, _ status: JSON) throws {
    let group = Self.groups[["Order", "Challenge"].contains(kind) ? 1 : 0]
    var metadata = JSONObject()
    metadata["name"] = .string(name)
    metadata["namespace"] = .string(namespace)
    metadata["uid"] = .string(name)
    if let owner { metadata["ownerReferences"] = [["uid": .string(owner)]] }
    let object: JSON = [
      "apiVersion": .string("\(group)/v1"), "kind": .string(kind), "metadata": .object(metadata),
      "spec": kind == "Challenge" ? ["dnsName": "shop"] : [:], "status": status,
    ]
    let path = "/apis/\(group)/v1/namespaces/\(namespace)/\(kind.lowercased())s/\(name)"
    _ = try server.ask("put \(path) \(object.serializedText())")
  }
}

extension LiveStores.Parts {
  /// The store's certificate once it is as `isWanted` says: the API server hears of an extension after
  /// a while, and says until then that it cannot reach it.
  fileprivate func certificate(
    where isWanted: (StoreCondition?) -> Bool
  ) async throws -> StoreCondition? {
    let deadline = Instant.soon
    let pause = WakeUp(on: kubernetes.reactor)
    while Instant.now() < deadline {
      if let found = try? await backend.certificate(of: site), isWanted(found) { return found }
      await pause.wait(atMost: .milliseconds(200))
    }
    return try await backend.certificate(of: site)
  }
}
