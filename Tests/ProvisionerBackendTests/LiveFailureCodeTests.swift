import Foundation
import HTTP
import JSON
import Kubernetes
import ProvisionerService
import PythonPeer
import Reactor
import Synchronization
import TestKit
import Testing

@testable import ProvisionerBackend

/// Each kind of failure as a real cluster produces it.
@Suite(.enabled(if: LiveStores.isThere), .serialized) struct LiveFailureCodeTests {
  /// A part of a store that does not come up, and what is said of it.
  struct BrokenPods: Sendable, CustomTestStringConvertible {
    let code: FailureCode
    /// Of the chart.
    let values: JSON
    /// What the failure names.
    let words: String
    var testDescription: String { code.rawValue }
  }

  private static func sidecar(
    _ command: String, image: String = "localhost/storeplane/wordpress:6.1", _ more: JSON = [:]
  ) -> JSON {
    var container = more.object ?? JSONObject()
    container["name"] = "broken"
    container["image"] = .string(image)
    container["imagePullPolicy"] = "Never"
    container["command"] = ["sh", "-c", .string(command)]
    return ["wordpress": ["sidecars": [.object(container)]]]
  }

  private static let brokenPods: [BrokenPods] = [
    .init(
      code: .imagePullFailed,
      values: ["mariadb": ["image": ["tag": "0.0-missing", "pullPolicy": "Never"]]],
      words: "0.0-missing"),
    .init(
      code: .imageNameInvalid, values: sidecar("true", image: "storeplane/WordPress:6"),
      words: "storeplane/WordPress"),
    .init(
      code: .quotaExceeded, values: ["resourceQuota": ["hard": ["pods": "1"]]],
      words: "exceeded quota"),
    .init(
      code: .crashLoop, values: sidecar("echo the sidecar has no configuration >&2; exit 3"),
      words: "the sidecar has no configuration"),
    .init(
      code: .outOfMemory,
      values: sidecar(
        "exec php -d memory_limit=-1 -r '$a = str_repeat(chr(1), 200 << 20);'",
        ["resources": ["limits": ["memory": "32Mi"], "requests": ["memory": "32Mi"]]]),
      words: "broken"),
    .init(
      code: .containerConfigInvalid,
      values: [
        "mariadb": [
          "extraEnv": [
            [
              "name": "TOKEN",
              "valueFrom": ["secretKeyRef": ["name": "not-there", "key": "token"]],
            ]
          ]
        ]
      ], words: "not-there"),
    .init(
      code: .volumePending,
      values: ["mariadb": ["persistence": ["storageClass": "no-such-class"]]],
      words: "no-such-class"),
    .init(
      code: .unschedulable, values: ["mariadb": ["nodeSelector": ["disk": "none-such"]]],
      words: "node"),
    .init(
      code: .rolloutTimedOut,
      values: [
        "wordpress": [
          "progressDeadlineSeconds": 30,
          "probes": ["readiness": ["exec": ["command": ["false"]]]],
        ]
      ], words: "wordpress"),
  ]

  /// What may pass is waited out for seconds, not minutes. What passes in every rollout, a pod without a
  /// node and a claim without a volume, is not, where something else is to be seen.
  private static func patience(for code: FailureCode) -> RolloutPatience {
    var patience = RolloutPatience()
    patience.restartsMax = 1
    patience.containerConfigurationSeconds = 3
    patience.imagePullSeconds = 3
    if code == .unschedulable { patience.unschedulableSeconds = 3 }
    if code == .volumePending { patience.claimPendingSeconds = 60 }
    return patience
  }

  @Test(arguments: brokenPods) func podsThatDoNotComeUp(broken: BrokenPods) async throws {
    try await LiveStores.withBackend(
      values: try #require(broken.values.object), patience: Self.patience(for: broken.code)
    ) { _, parts in
      let (backend, site) = (parts.backend, parts.site)
      try await backend.ensureNamespace(site)
      try await backend.applyCredentials(site)
      try await backend.installRelease(site)
      let failure = await failure(ProvisionFailure.self) {
        var last: BackendProgress?
        repeat {
          last = try await backend.rolloutStatus(of: site, after: last)
        } while last?.isDone == false
      }
      #expect(failure?.code == broken.code, "\(failure?.detail ?? "it came up")")
      #expect(failure?.detail.contains(broken.words) == true, "\(failure?.detail ?? "")")
    }
  }

  // MARK: Helm

  @Test func whatKubernetesDoesNotLetAnUpgradeChange() async throws {
    try await installing { parts in
      try await parts.backend.installRelease(parts.site)
      let larger: JSON = ["mariadb": ["persistence": ["size": "2Gi"]]]
      return parts.site.released(values: larger)
    } fails: {
      .fieldImmutable
    }
  }

  @Test func aReleaseThatIsTooLarge() async throws {
    try await installing { parts in
      var generator = SystemRandomNumberGenerator()
      // Twice in the record, as a value and in a ConfigMap, and not to be compressed.
      let noise = (0..<110_000).map { _ in
        String(UInt64.random(in: 0 ... .max, using: &generator), radix: 36)
      }
      return parts.site.released(
        values: ["wordpress": ["configExtra": .string("// " + noise.joined().prefix(900_000))]])
    } fails: {
      .releaseTooLarge
    }
  }

  @Test func aReleaseThatHelmHasForgotten() async throws {
    try await LiveStores.withBackend { _, parts in
      try await parts.backend.ensureNamespace(parts.site)
      try await parts.backend.applyCredentials(parts.site)
      try await parts.backend.installRelease(parts.site)
      let failure = await failure(ProvisionFailure.self) {
        try await parts.backend.rollBackRelease(parts.site.released(helmRevision: 99))
      }
      #expect(failure?.code == .releaseGone)
    }
  }

  /// Makes a store up to its credentials, and fails to install what `change` gives.
  private func installing(
    _ change: @Sendable (LiveStores.Parts) async throws -> StoreSite,
    fails code: () -> FailureCode,
    then afterwards: @Sendable (LiveStores.Parts) async throws -> Void = { _ in }
  ) async throws {
    let code = code()
    try await LiveStores.withBackend { _, parts in
      try await parts.backend.ensureNamespace(parts.site)
      try await parts.backend.applyCredentials(parts.site)
      let site = try await change(parts)
      let failure = await failure(ProvisionFailure.self) {
        try await parts.backend.installRelease(site)
      }
      #expect(failure?.code == code, "\(failure?.detail ?? "it was installed")")
      try await afterwards(parts)
    }
  }

  // MARK: Admission

  @Test(arguments: [
    ("no shops on Sundays", FailureCode.admissionDenied),
    ("host \"a.localhost\" and path \"/\" is already defined in ingress b/c", .hostConflict),
    ("hang", .admissionTimedOut),
  ]) func anAdmissionWebhookThatDoesNotLetItPass(words: String, code: FailureCode) async throws {
    try await installing { parts in
      // Asked about the last thing that is made: all else is there already.
      try await LiveWebhook.use(words, on: .ingresses, of: parts)
      return parts.site
    } fails: {
      code
    } then: { parts in
      // The name is taken by what failed. The API server hears of the change after a while.
      try await LiveWebhook.remove(of: parts)
      var last: ProvisionFailure?
      let deadline = Instant.soon
      repeat {
        last = await failure(ProvisionFailure.self) {
          try await parts.backend.installRelease(parts.site)
        }
      } while last?.code == code && Instant.now() < deadline
      #expect(last == nil)
    }
  }

  // MARK: In the pod

  @Test func aDatabaseOfSomebodyElses() async throws {
    try await LiveStores.withBackend { _, parts in
      try await parts.rollOut()
      try await parts.sql("CREATE TABLE wp_orders (x int); INSERT INTO wp_orders VALUES (1)")
      let failure = await failure(ProvisionFailure.self) {
        try await parts.backend.setUp(parts.site)
      }
      #expect(failure?.code == .setupFailed)
      #expect(failure?.detail.contains("rows in table wp_orders") == true, "\(failure as Any)")
    }
  }

  @Test func aShopThatIsNotSetUp() async throws {
    try await LiveStores.withBackend { _, parts in
      try await parts.rollOut()
      let failure = await failure(ProvisionFailure.self) {
        try await parts.backend.verify(parts.site)
      }
      #expect(failure?.code == .verificationFailed, "\(failure as Any)")
    }
  }

  // MARK: The API server

  @Test func anAccountThatMayDoNothing() async throws {
    try await LiveStores.withBackend { reactor, parts in
      try await parts.backend.ensureNamespace(parts.site)
      let stranger = try await parts.stranger(on: reactor)
      defer { stranger.close() }
      let failure = await failure(ProvisionFailure.self) {
        try await StoreNamespace(stranger).ensure(parts.site)
      }
      #expect(failure?.code == .clusterForbidden && failure?.verdict == .answered)
      #expect(failure?.detail.contains("namespaces") == true)
    }
  }
}

extension LiveStores.Parts {
  /// A client of an account of its own, without any permission.
  func stranger(on reactor: Reactor) async throws -> KubernetesClient {
    try await kubernetes.create(
      .serviceAccounts, namespace: site.namespace, ["metadata": ["name": "stranger"]],
      deadline: .soon)
    let request: JSON = [
      "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": [:],
    ]
    let answer = try await kubernetes.raw(
      .post, path: "/api/v1/namespaces/\(site.namespace)/serviceaccounts/stranger/token",
      body: request.serialized(), deadline: .soon)
    let token = try JSON(parsing: answer).string("status", "token")
    var configuration = kubernetes.configuration
    configuration.credential = .token(BearerToken(token))
    return KubernetesClient(
      reactor: reactor, configuration: configuration, blocking: BlockingPool())
  }
}
