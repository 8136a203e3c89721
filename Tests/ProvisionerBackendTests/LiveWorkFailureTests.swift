import JSON
import Kubernetes
import ProvisionerService
import Reactor
import Resilience
import ServiceRuntime
import Synchronization
import Testing

@testable import ProvisionerBackend

/// What the engine makes of a real API server that does not do as it should. No pods are needed.
@Suite(.enabled(if: LiveStores.isThere), .serialized) struct LiveWorkFailureTests {
  /// Of the Secret with a store's credentials.
  private static let labels: JSON = [
    StoreNamespace.ownerLabel.key: .string(StoreNamespace.ownerLabel.value)
  ]
  private static let stepTimeout = Duration.seconds(4)

  /// Runs `body` with an engine that has no work yet; what is left of its stores goes afterwards.
  private func withCrew(
    _ body: @Sendable (isolated Reactor, LiveStores.Parts, Crew) async throws -> Void
  ) async throws {
    try await LiveStores.withBackend { reactor, parts in
      try await parts.backend.ensureNamespace(parts.site)
      let crew = try await Crew(parts, tenants: [parts.site.tenant], on: reactor)
      var thrown: (any Error)?
      do { try await body(reactor, parts, crew) } catch { thrown = error }
      await crew.stop()
      let selector = "\(StoreNamespace.tenantLabel)=\(parts.site.tenant)"
      let left = try await parts.kubernetes.listAll(
        .namespaces, ObjectSelection(labelSelector: selector), deadline: .soon)
      for namespace in left.objects {
        try? await parts.kubernetes.delete(.namespaces, name: namespace.name, deadline: .soon)
      }
      if let thrown { throw thrown }
    }
  }

  @Test func aStepThatHangs() async throws {
    try await withCrew { _, parts, crew in
      try await LiveWebhook.use(
        "hang", on: .secrets, labelled: Self.labels, seconds: 30, of: parts)
      await crew.work { $0.stepTimeout = Self.stepTimeout }
      let failure = try await crew.failure(of: try await crew.create(0), insteadOf: .ready)
      #expect(failure?.code == "STEP_TIMED_OUT")
      #expect(failure?.message.contains("'credentials' has 4 s") == true)
    }
  }

  @Test func workThatTakesTooLongAsAWhole() async throws {
    try await withCrew { _, parts, crew in
      try await LiveWebhook.use(
        "hang", on: .secrets, labelled: Self.labels, seconds: 30, of: parts)
      await crew.work {
        $0.stepTimeout = Self.stepTimeout
        $0.operationTimeout = Self.stepTimeout
        $0.retry = RetryPolicy(maximumAttempts: 10)
      }
      let failure = try await crew.failure(of: try await crew.create(0), insteadOf: .ready)
      #expect(failure?.code == "OPERATION_TIMED_OUT")
      // What it was waiting for.
      #expect(failure?.message.contains("'credentials' has 4 s") == true)
    }
  }

  @Test func aNamespaceThatDoesNotGoInTime() async throws {
    try await withCrew { _, parts, crew in
      try await LiveWebhook.use("not today", on: .secrets, labelled: Self.labels, of: parts)
      await crew.work()
      let store = try await crew.create(0)
      let made = try await crew.failure(of: store, insteadOf: .ready)
      #expect(made?.code == "ADMISSION_DENIED")
      let namespace = "store-\(store)"
      try await parts.hold(in: namespace)
      try await crew.deleteAll()
      try await crew.waitForStep(of: store, saying: LiveStores.Parts.finalizer)
      await crew.work { $0.stepTimeout = .seconds(2) }
      let failure = try await crew.failure(of: store, insteadOf: .deleted)
      try await parts.letGo(in: namespace)
      #expect(failure?.code == "REMOVAL_TIMED_OUT")
      for words in ["'gone' has 2 s", "configmaps", LiveStores.Parts.finalizer] {
        #expect(failure?.message.contains(words) == true, "\(failure as Any)")
      }
      await crew.work()
      try await crew.deleteAll()
      #expect(try await crew.failure(of: store, insteadOf: .deleted) == nil)
    }
  }

  /// A whole priority level of the API server is taken up by requests that last.
  @Test func anAPIServerThatIsTooBusy() async throws {
    try await LiveStores.withBackend { reactor, parts in
      try await parts.backend.ensureNamespace(parts.site)
      let busy = try await parts.throttledClient(on: reactor)
      let (settings, peer) = try LiveStores.settings(
        helm: HelmWorkerSettings(program: Checkout.worker, library: Checkout.helmLibrary ?? ""))
      let backend = try KubernetesStoreBackend(
        settings, kubernetes: busy, config: parts.config.secrets, reactor: reactor,
        blocking: BlockingPool(), logger: quiet)
      try await LiveWebhook.use(
        "hang", on: .configMaps, labelled: LiveStores.Parts.load, seconds: 30, of: parts)
      let load = try await parts.occupy(busy, on: reactor)
      let refusal = await failure(ProvisionFailure.self) {
        try await backend.ensureNamespace(parts.site)
      }
      #expect(refusal?.code == .clusterThrottled && refusal?.verdict == .inconclusive)
      #expect(refusal?.retryAfter.map { $0 >= .seconds(1) } == true, "\(refusal as Any)")
      let crew = try await Crew(
        parts, backend: backend, tenants: [parts.site.tenant], on: reactor)
      // One failure of the cluster would do.
      await crew.work { $0.breaker = .init(failureThreshold: 1) }
      let store = try await crew.create(0)
      var thrown: (any Error)?
      do {
        try await crew.waitForStep(of: store, saying: "CLUSTER_THROTTLED")
        #expect(crew.breakers?.phase(.kubernetes, in: "default") == .closed)
      } catch {
        thrown = error
      }
      for request in load { request.cancel() }
      for request in load { await request.value }
      // It goes on by itself.
      if thrown == nil {
        do {
          try await crew.waitForStep(of: store, saying: "namespace succeeded")
        } catch {
          thrown = error
        }
        #expect(crew.breakers?.phase(.kubernetes, in: "default") == .closed)
      }
      await crew.stop()
      try? await parts.kubernetes.delete(.namespaces, name: "store-\(store)", deadline: .soon)
      await backend.close()
      busy.close()
      withExtendedLifetime(peer) {}
      if let thrown { throw thrown }
    }
  }
}

extension LiveStores.Parts {
  static let load: JSON = ["tests.storeplane.dev/load": "true"]

  /// A client of an account that may do all, at a priority level of its own that refuses what is more
  /// than a few requests at once.
  fileprivate func throttledClient(on reactor: Reactor) async throws -> KubernetesClient {
    let client = try await stranger(on: reactor)
    let account: JSON = ["name": "stranger", "namespace": .string(site.namespace)]
    var subject = account.object ?? JSONObject()
    subject["kind"] = "ServiceAccount"
    try await create(
      ResourceKind(
        group: "rbac.authorization.k8s.io", plural: "clusterrolebindings",
        kind: "ClusterRoleBinding", isNamespaced: false),
      [
        "subjects": [.object(subject)],
        "roleRef": [
          "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin",
        ],
      ])
    func kind(_ name: String, _ plural: String) -> ResourceKind {
      ResourceKind(
        group: "flowcontrol.apiserver.k8s.io", version: "v1beta1", plural: plural, kind: name,
        isNamespaced: false)
    }
    let level = try await create(
      kind("PriorityLevelConfiguration", "prioritylevelconfigurations"),
      [
        "spec": [
          "type": "Limited",
          "limited": ["assuredConcurrencyShares": 1, "limitResponse": ["type": "Reject"]],
        ]
      ])
    let everything: JSON = [
      "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"],
      "clusterScope": true,
    ]
    try await create(
      kind("FlowSchema", "flowschemas"),
      [
        "spec": [
          "matchingPrecedence": 100, "priorityLevelConfiguration": ["name": .string(level.name)],
          "rules": [
            [
              "subjects": [["kind": "ServiceAccount", "serviceAccount": account]],
              "resourceRules": [everything],
            ]
          ],
        ]
      ])
    return client
  }

  /// Makes requests that last until one more is refused.
  fileprivate func occupy(
    _ client: KubernetesClient, on reactor: isolated Reactor
  ) async throws -> [Task<Void, Never>] {
    let refused = Found()
    let pause = WakeUp(on: reactor)
    var requests: [Task<Void, Never>] = []
    while refused.failure.withLock({ $0 }) == nil {
      try #require(requests.count < 100, "nothing is refused")
      let name = "load-\(requests.count)"
      requests.append(
        reactor.loop.spawn(on: reactor) {
          let error = await failure(KubernetesError.self) {
            try await client.create(
              .configMaps, namespace: self.site.namespace,
              ["metadata": ["name": .string(name), "labels": Self.load]], deadline: .soon)
          }
          if let error, error.kind == .throttled {
            refused.failure.withLock { $0 = ProvisionFailure(error) }
          }
        })
      // The API server hears of the level after a while.
      await pause.wait(atMost: .milliseconds(100))
    }
    return requests
  }
}
