import Foundation
import JSON
import Kubernetes
import ProvisionerService
import Reactor
import Resilience
import Testing

@testable import ProvisionerBackend

/// Changes of real stores that go wrong, and the way back.
@Suite(.enabled(if: LiveStores.isThere), .serialized) struct LiveChangeTests {
  private func rollOut(_ parts: LiveStores.Parts, _ site: StoreSite) async throws {
    var last: BackendProgress?
    repeat {
      last = try await parts.backend.rolloutStatus(of: site, after: last)
    } while last?.isDone == false
  }

  /// The pods of the database are of a StatefulSet, whose controller waits for a broken one for ever;
  /// those of WordPress are of a Deployment, which has the old ones replaced before the new ones are
  /// ready where it must.
  @Test func whatNeverBecameReadyDoesNotHoldUpTheWayBack() async throws {
    try await LiveStores.withBackend { _, parts in
      let backend = parts.backend
      try await backend.ensureNamespace(parts.site)
      try await backend.applyCredentials(parts.site)
      let good = try await backend.installRelease(parts.site)
      try await rollOut(parts, parts.site)
      let missing: JSON = ["image": ["tag": "0.0-missing", "pullPolicy": "Never"]]
      let broken = parts.site.released(values: ["mariadb": missing, "wordpress": missing])
      let bad = try await backend.installRelease(broken)
      #expect(bad.revision == good.revision + 1)
      let failure = await failure(ProvisionFailure.self) { try await rollOut(parts, broken) }
      #expect(failure?.code == .imagePullFailed && failure?.detail.contains("0.0-missing") == true)
      let back = parts.site.released(helmRevision: good.revision)
      let restored = try await backend.rollBackRelease(back)
      #expect(restored.revision == bad.revision + 1 && restored.chart == good.chart)
      try await rollOut(parts, back)
      try await backend.check(back)
    }
  }

  /// What an upgrade had made before it was cut off goes with it.
  @Test func theWayBackFromAnUpgradeThatWasCutOffLeavesNothing() async throws {
    try await LiveStores.withBackend(
      values: try #require((["wpCron": ["enabled": false]] as JSON).object)
    ) { _, parts in
      let backend = parts.backend
      try await backend.ensureNamespace(parts.site)
      try await backend.applyCredentials(parts.site)
      let good = try await backend.installRelease(parts.site)
      let more = parts.site.released(values: ["wpCron": ["enabled": true]])
      let cut = try await backend.installRelease(more)
      #expect(try await hasScheduledWork(parts))
      // As the record of a worker that was killed on the way.
      try await parts.kubernetes.merge(
        .secrets, namespace: parts.site.namespace,
        name: "sh.helm.release.v1.store.v\(cut.revision)",
        ["metadata": ["labels": ["status": "pending-upgrade"]]], deadline: .soon)
      try await backend.rollBackRelease(parts.site.released(helmRevision: good.revision))
      #expect(try await !hasScheduledWork(parts))
    }
  }

  /// Helm itself takes a rollback that failed for what there is, and leaves what the upgrade had made.
  @Test func aRollbackThatFailedIsMadeAgainFromTheStart() async throws {
    try await LiveStores.withBackend(
      values: try #require((["wpCron": ["enabled": false]] as JSON).object)
    ) { reactor, parts in
      let backend = parts.backend
      try await backend.ensureNamespace(parts.site)
      try await backend.applyCredentials(parts.site)
      let good = try await backend.installRelease(parts.site)
      let more = parts.site.released(values: ["wpCron": ["enabled": true]])
      let upgraded = try await backend.installRelease(more)
      let back = parts.site.released(helmRevision: good.revision)
      // Something of the release has gone, and cannot be made.
      try await parts.kubernetes.delete(
        .configMaps, namespace: parts.site.namespace, name: "store-setup", DeleteOptions(),
        deadline: .soon)
      try await forbidConfigMaps(parts, on: reactor)
      let failure = await failure(ProvisionFailure.self) { try await backend.rollBackRelease(back) }
      #expect(failure?.code == .quotaExceeded)
      #expect(try await hasScheduledWork(parts))
      try await parts.kubernetes.delete(
        .resourceQuotas, namespace: parts.site.namespace, name: Self.quota, DeleteOptions(),
        deadline: .soon)
      let restored = try await backend.rollBackRelease(back)
      #expect(restored.revision > upgraded.revision)
      #expect(try await !hasScheduledWork(parts))
      // Nor does an upgrade leave what only a rollback that was cut off had made.
      try await parts.kubernetes.create(
        .configMaps, namespace: parts.site.namespace, Self.leftover, deadline: .soon)
      try await backend.installRelease(parts.site.released())
      let left = try await parts.kubernetes.listAll(
        .configMaps, ObjectSelection(namespace: parts.site.namespace), deadline: .soon
      ).objects.map(\.name)
      #expect(left.contains("store-setup") && !left.contains("leftover"))
    }
  }

  private static let quota = "no-config-maps"
  private static let leftover: JSON = [
    "apiVersion": "v1", "kind": "ConfigMap",
    "metadata": [
      "name": "leftover",
      "labels": [
        "app.kubernetes.io/part-of": "ecommerce-store", "app.kubernetes.io/managed-by": "Helm",
        "app.kubernetes.io/instance": "store",
      ],
    ],
  ]

  private func forbidConfigMaps(_ parts: LiveStores.Parts, on reactor: Reactor) async throws {
    let namespace = parts.site.namespace
    _ = try await parts.kubernetes.create(
      .resourceQuotas, namespace: namespace,
      [
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": ["name": .string(Self.quota)],
        "spec": ["hard": ["count/configmaps": "0"]],
      ], deadline: .soon)
    // It counts from when its controller has seen it.
    let limit = Instant.soon
    while try await parts.kubernetes.get(
      .resourceQuotas, namespace: namespace, name: Self.quota, deadline: limit
    ).json["status", "used"] == nil { await pause(.milliseconds(200), on: reactor) }
  }

  private func hasScheduledWork(_ parts: LiveStores.Parts) async throws -> Bool {
    try await parts.kubernetes.listAll(
      .configMaps, ObjectSelection(namespace: parts.site.namespace), deadline: .soon
    ).objects.contains { $0.name == "wp-cron" }
  }

  /// The database serves on meanwhile, and is there after the way back too.
  @Test func aFieldOfAStatefulSetThatCannotBeChanged() async throws {
    try await LiveStores.withBackend { reactor, parts in
      try await parts.rollOut()
      try await parts.sql("CREATE TABLE orders (name text)")
      let chart = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
      defer { try? FileManager.default.removeItem(at: chart) }
      try #require(
        shell(
          "cp -R \(Checkout.chart) \(chart.path) && sed -i 's/^  serviceName: mariadb$/&\\n"
            + "  podManagementPolicy: Parallel/' "
            + "\(chart.path)/templates/woocommerce/mariadb-statefulset.yaml") == 0)
      var given = try LiveStores.settings(
        helm: HelmWorkerSettings(program: Checkout.worker, library: Checkout.helmLibrary ?? ""))
      given.value.chart = chart.path
      let later = try KubernetesStoreBackend(
        given.value, kubernetes: parts.kubernetes, config: parts.config.secrets, reactor: reactor,
        blocking: BlockingPool(), logger: quiet)
      #expect(try await policy(parts) == "OrderedReady")
      let pod = try await databasePod(parts)
      let upgraded = try await later.installRelease(parts.site.released())
      await later.close()
      try await rollOut(parts, parts.site.released())
      #expect(try await policy(parts) == "Parallel")
      #expect(try await databasePod(parts) == pod)
      let back = try await parts.backend.rollBackRelease(
        parts.site.released(helmRevision: upgraded.revision - 2))
      try await rollOut(parts, parts.site.released())
      #expect(try await policy(parts) == "OrderedReady" && back.revision > upgraded.revision)
      #expect(try await databasePod(parts) == pod)
      try await beginToOrphan(parts, on: reactor)
      try await parts.backend.installRelease(parts.site.released())
      #expect(try await policy(parts) == "OrderedReady")
      #expect(try await databasePod(parts) == pod)
      #expect(try await parts.sql("SELECT COUNT(*) FROM orders") == "0\n")
      withExtendedLifetime(given.peer) {}
    }
  }

  /// Leaves the StatefulSet as an attempt that was cut off does: it goes some seconds later. Who takes it
  /// for what there is has none then.
  private func beginToOrphan(_ parts: LiveStores.Parts, on reactor: Reactor) async throws {
    let (kubernetes, namespace) = (parts.kubernetes, parts.site.namespace)
    let hold = LiveStores.Parts.finalizer
    func finalizers(_ value: JSON) async throws {
      try await kubernetes.merge(
        .statefulSets, namespace: namespace, name: "mariadb",
        ["metadata": ["finalizers": value]], deadline: .soon)
    }
    try await finalizers([.string(hold)])
    try await kubernetes.delete(
      .statefulSets, namespace: namespace, name: "mariadb", DeleteOptions(propagation: .orphan),
      deadline: .soon)
    reactor.loop.spawn(on: reactor) {
      repeat {
        await pause(.seconds(3), on: reactor)
        let found = try? await kubernetes.get(
          .statefulSets, namespace: namespace, name: "mariadb", deadline: .soon)
        // Its pods are let go.
        if found?.finalizers == [hold] { break }
      } while true
      try? await finalizers(nil)
    }
  }

  private func policy(_ parts: LiveStores.Parts) async throws -> String? {
    try await parts.kubernetes.get(
      .statefulSets, namespace: parts.site.namespace, name: "mariadb", deadline: .soon
    )["spec", "podManagementPolicy"]?.string
  }

  /// Its uid.
  private func databasePod(_ parts: LiveStores.Parts) async throws -> String {
    try await parts.kubernetes.get(
      .pods, namespace: parts.site.namespace, name: "mariadb-0", deadline: .soon
    ).uid
  }

  @Test func anotherChartIsNotAppliedToSuspendAStore() async throws {
    try await LiveStores.withBackend { _, parts in
      try await parts.backend.ensureNamespace(parts.site)
      try await parts.backend.applyCredentials(parts.site)
      let installed = try await parts.backend.installRelease(parts.site)
      let outdated = parts.site.released(isSuspended: true, chart: "ecommerce-store-0.0.1")
      let failure = await failure(ProvisionFailure.self) {
        try await parts.backend.installRelease(outdated)
      }
      #expect(failure?.code == .chartOutdated)
      let present = parts.site.released(isSuspended: true, chart: installed.chart)
      #expect(try await parts.backend.installRelease(present).revision == installed.revision + 1)
    }
  }
}

extension StoreSite {
  /// The store as it is asked for now.
  func released(
    values: JSON = [:], isSuspended: Bool = false, helmRevision: Int? = nil, chart: String? = nil
  ) -> StoreSite {
    var parameters = parameters
    parameters.values = values.object ?? JSONObject()
    return StoreSite(
      store: store, tenant: tenant, name: name, engine: engine, cluster: cluster,
      namespace: namespace, host: host, parameters: parameters, isSuspended: isSuspended,
      helmRevision: helmRevision, chart: chart, fence: fence,
      releasedAt: SystemTimeSource().wallNow.seconds)
  }
}
