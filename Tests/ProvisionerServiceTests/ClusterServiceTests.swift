import Contracts
import ProvisionerTestKit
import RPC
import RPCCore
import Reactor
import ServiceRuntime
import TestKit
import Testing

@testable import ProvisionerService

/// The register as a service.
@Suite(.timeLimit(.minutes(2))) struct ClusterServiceTests {
  private static let failed = ClusterFinding(
    .permissions, .failed, "rights are missing: secrets: create", remedy: "grant them")

  @Test func aClusterIsRegisteredUsedAndRemoved() async throws {
    try await withService { peers, desk, database in
      let clusters = try peers.clusters()
      let admin = try peers.administrator()
      let made = try await clusters.registerCluster(
        .init(
          name: "eu", kubeconfig: "https://eu.example.com", labels: ["region": "eu"],
          storesMax: 5, domainSuffix: "eu.example.com", ingressAddress: "192.0.2.1:80"),
        options: admin)
      #expect(made.ready && made.schedule == .open && made.server == "https://eu.example.com")
      #expect(made.findings.map(\.check) == ["version", "identity"] && made.checkTime != nil)
      #expect(made.storesMax == 5 && made.labels == ["region": "eu"])
      #expect(peers.register.kept.count == 1)
      let listed = try await clusters.listClusters(.init(), options: admin)
      #expect(listed.clusters.map(\.name) == ["default", "eu"])
      _ = try await peers.stores().createStore(
        .init(
          name: "demo", engine: .woocommerce, cluster: "eu", clusterLabels: ["region": "eu"]),
        options: peers.user())
      let store = try await peers.stores().getStore(.init(store: "demo"), options: peers.user())
      #expect(store.cluster == "eu" && store.host == "demo.eu.example.com")
      let stores = try await clusters.listClusterStores(.init(cluster: "eu"), options: admin)
      #expect(stores.stores.map(\.name) == ["demo"] && stores.stores[0].tenant == Desk.tenant)
      #expect(try await clusters.getCluster(.init(cluster: "eu"), options: admin).stores == 1)
      let busy = await rpcError {
        try await clusters.unregisterCluster(.init(cluster: "eu"), options: admin)
      }
      #expect(busy?.errorInfo?.reason == "CLUSTER_HAS_STORES")
      #expect(busy?.message.contains("1 store is on the cluster 'eu'") == true)
      #expect(busy?.message.contains("--abandon-stores") == true)
      try await desk.delete("demo")
      let engine = try await Engine.start(database, FakeCluster())
      try await desk.wait(for: desk.delete("demo").id)
      await engine.stop()
      _ = try await clusters.unregisterCluster(.init(cluster: "eu"), options: admin)
      #expect(peers.register.kept.isEmpty)
      // The administrator's tenant has the trail, and no kubeconfig is in it.
      let events = try await desk.events(of: "").filter { $0.action.hasPrefix("cluster.") }
      #expect(events.map(\.action).sorted() == ["cluster.register", "cluster.unregister"])
      #expect(events.allSatisfy { $0.tenant == Desk.tenant })
    }
  }

  @Test func onlyAdministratorsSeeToClusters() async throws {
    try await withService { peers, _, _ in
      let clusters = try peers.clusters()
      let member = try peers.user()
      let calls: [() async throws -> Void] = [
        { _ = try await clusters.listClusters(.init(), options: member) },
        { _ = try await clusters.getCluster(.init(cluster: "default"), options: member) },
        { _ = try await clusters.checkCluster(.init(cluster: "default"), options: member) },
        { _ = try await clusters.listClusterStores(.init(cluster: "default"), options: member) },
        {
          _ = try await clusters.updateCluster(
            .init(cluster: "default", schedule: .cordoned), options: member)
        },
        {
          _ = try await clusters.registerCluster(
            .init(name: "eu", kubeconfig: "https://eu"), options: member)
        },
        { _ = try await clusters.unregisterCluster(.init(cluster: "eu"), options: member) },
        { _ = try await clusters.abandonCluster(.init(cluster: "default"), options: member) },
      ]
      for call in calls {
        let error = await rpcError { try await call() }
        #expect(error?.errorInfo?.reason == "ADMINISTRATORS_ONLY")
      }
    }
  }

  @Test func failedChecksRefuseUnlessForced() async throws {
    try await withService { peers, _, _ in
      let clusters = try peers.clusters()
      let admin = try peers.administrator()
      peers.register.findings = [ClusterFinding(.version, .passed, "v1"), Self.failed]
      var request = ProvisionerV1.RegisterClusterRequest(
        name: "eu", kubeconfig: "https://eu.example.com")
      let refused = await rpcError { try await clusters.registerCluster(request, options: admin) }
      #expect(refused?.errorInfo?.reason == "CLUSTER_CHECKS_FAILED")
      #expect(refused?.errorInfo?.metadata["checks"] == "permissions")
      request.name = "default"
      let taken = await rpcError { try await clusters.registerCluster(request, options: admin) }
      #expect(taken?.code == .alreadyExists)
      request.name = "eu"
      #expect(refused?.message.contains("secrets: create (grant them)") == true)
      #expect(peers.register.kept.isEmpty)
      request.validateOnly = true
      let checked = try await clusters.registerCluster(request, options: admin)
      #expect(!checked.ready && checked.findings.map(\.outcome) == [.passed, .passed, .failed])
      request.validateOnly = false
      request.force = true
      let forced = try await clusters.registerCluster(request, options: admin)
      #expect(forced.ready && forced.findings.count == 3)
      // Checked again, it is out of use until it is mended.
      let again = try await clusters.checkCluster(.init(cluster: "eu"), options: admin)
      #expect(!again.ready)
      peers.register.trouble = "no chart"
      let stuck = await rpcError {
        try await clusters.checkCluster(.init(cluster: "eu"), options: admin)
      }
      #expect(stuck?.errorInfo?.reason == "CLUSTER_NOT_CHECKED")
      peers.register.trouble = nil
      peers.register.findings = [ClusterFinding(.version, .passed, "v1")]
      #expect(try await clusters.checkCluster(.init(cluster: "eu"), options: admin).ready)
    }
  }

  @Test func aKubeconfigIsReplacedWhole() async throws {
    try await withService { peers, desk, _ in
      let clusters = try peers.clusters()
      let admin = try peers.administrator()
      _ = try await clusters.registerCluster(
        .init(name: "eu", kubeconfig: "https://one"), options: admin)
      let before = try await desk.clusters.find("eu", deadline: .soon)
      let after = try await clusters.updateCluster(
        .init(cluster: "eu", kubeconfig: "https://two"), options: admin)
      #expect(after.server == "https://two")
      let record = try await desk.clusters.find("eu", deadline: .soon)
      #expect(record.access.secret != before.access.secret)
      #expect(peers.register.kept == [record.access.secret ?? "": "https://two"])
      let own = await rpcError {
        try await clusters.updateCluster(
          .init(cluster: "default", kubeconfig: "https://two"), options: admin)
      }
      #expect(own?.errorInfo?.reason == "CLUSTER_IS_OWN")
      // What was kept for it is forgotten again.
      #expect(peers.register.kept.count == 1)
    }
  }

  /// Whose deletions would all succeed, since nothing is found there.
  @Test func aKubeconfigOfAnotherClusterIsRefusedEvenByForce() async throws {
    try await withService { peers, desk, _ in
      let clusters = try peers.clusters()
      let admin = try peers.administrator()
      let made = try await clusters.registerCluster(
        .init(name: "eu", kubeconfig: "https://one"), options: admin)
      #expect(made.kubernetesUid == "cluster")
      peers.register.uids["https://two"] = "another"
      var request = ProvisionerV1.UpdateClusterRequest(
        cluster: "eu", kubeconfig: "https://two", force: true)
      let refused = await rpcError { try await clusters.updateCluster(request, options: admin) }
      #expect(refused?.errorInfo?.reason == "CLUSTER_IS_ANOTHER")
      #expect(refused?.errorInfo?.metadata["kubernetes_uid"] == "another")
      #expect(Array(peers.register.kept.values) == ["https://one"])
      // The kubeconfig that is there may come to lead elsewhere too.
      peers.register.uids["https://one"] = "another"
      let checked = try await clusters.checkCluster(.init(cluster: "eu"), options: admin)
      #expect(!checked.ready && checked.kubernetesUid == "cluster")
      #expect(checked.findings.filter { $0.outcome == .failed }.map(\.check) == ["identity"])
      // One who says which it is now has it so.
      request.kubernetesUid = "a b"
      #expect(
        await invalidField { try await clusters.updateCluster(request, options: admin) }
          == "kubernetes_uid")
      request.kubernetesUid = "another"
      let taken = try await clusters.updateCluster(request, options: admin)
      #expect(taken.kubernetesUid == "another" && taken.server == "https://two")
      let event = try #require(
        try await desk.events(of: "").first { $0.action == "cluster.update" })
      #expect(event.details?["kubernetes_uid"]?.string == "another")
    }
  }

  @Test func theOwnClusterIsKnownFromItsFirstCheckOn() async throws {
    try await withService { peers, desk, _ in
      let clusters = try peers.clusters()
      let admin = try peers.administrator()
      func own() async throws -> ProvisionerV1.Cluster {
        try await clusters.getCluster(.init(cluster: "default"), options: admin)
      }
      #expect(try await own().kubernetesUid.isEmpty)
      let checked = try await clusters.checkCluster(.init(cluster: "default"), options: admin)
      #expect(checked.ready && checked.kubernetesUid == "cluster")
      #expect(
        try await desk.clusters.find("default", deadline: .soon).access.uid == "cluster")
      peers.register.uids[""] = "another"
      #expect(
        try await !clusters.checkCluster(.init(cluster: "default"), options: admin).ready)
      _ = try await clusters.updateCluster(
        .init(cluster: "default", kubernetesUid: "another"), options: admin)
      #expect(try await clusters.checkCluster(.init(cluster: "default"), options: admin).ready)
    }
  }

  @Test func withoutTheConfigServiceNothingIsRegistered() async throws {
    try await withService { peers, _, _ in
      let clusters = try peers.clusters()
      let admin = try peers.administrator()
      peers.register.failure = RPCError(.unavailable, "nobody listens")
      let error = await rpcError {
        try await clusters.registerCluster(
          .init(name: "eu", kubeconfig: "https://eu"), options: admin)
      }
      #expect(error?.code == .unavailable && error?.errorInfo?.reason == "CONFIG_UNAVAILABLE")
      let absent = await rpcError {
        try await clusters.getCluster(.init(cluster: "eu"), options: admin)
      }
      #expect(absent?.code == .notFound)
    }
  }

  @Test func fieldsAreNamed() async throws {
    try await withService { peers, _, _ in
      let clusters = try peers.clusters()
      let admin = try peers.administrator()
      func register(_ change: (inout ProvisionerV1.RegisterClusterRequest) -> Void) async -> String?
      {
        var request = ProvisionerV1.RegisterClusterRequest(
          name: "eu", kubeconfig: "https://eu.example.com")
        change(&request)
        let made = request
        return await invalidField { try await clusters.registerCluster(made, options: admin) }
      }
      #expect(await register { $0.name = "EU" } == "name")
      #expect(await register { $0.kubeconfig = "nothing" } == "kubeconfig")
      #expect(await register { $0.labels = ["a b": "c"] } == "labels")
      #expect(await register { $0.storesMax = -1 } == "stores_max")
      #expect(await register { $0.domainSuffix = "a..b" } == "domain_suffix")
      #expect(await register { $0.ingressAddress = "host" } == "ingress_address")
      let create = await invalidField {
        try await peers.stores().createStore(
          .init(name: "demo", engine: .woocommerce, cluster: "E U"), options: peers.user())
      }
      #expect(create == "cluster")
      let full = await rpcError {
        try await peers.stores().createStore(
          .init(name: "demo", engine: .woocommerce, cluster: "eu"), options: peers.user())
      }
      #expect(full?.errorInfo?.reason == "CLUSTER_UNKNOWN")
      #expect(full?.errorInfo?.metadata["user_fault"] == "true")
    }
  }
}
