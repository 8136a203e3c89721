import Contracts
import Postgres
import ProvisionerTestKit
import Reactor
import Resilience
import ServiceRuntime
import TestKit
import Testing

@testable import ProvisionerService

extension Desk {
  @discardableResult
  func register(
    _ name: String, labels: [String: String] = [:], storesMax: Int? = nil, suffix: String = "",
    ingress: String = ""
  ) async throws -> ClusterRecord {
    try await clusters.register(
      ClusterDraft(
        name: name, labels: labels, storesMax: storesMax, server: "https://\(name).example.com",
        access: ClusterAccess(secret: "cluster.\(name)", ingressAddress: ingress),
        domainSuffix: suffix),
      by: Desk.origin(), deadline: .soon)
  }

  func schedule(_ name: String, _ schedule: ClusterSchedule) async throws {
    var change = ClusterChange()
    change.schedule = schedule
    _ = try await clusters.update(name, change, by: Desk.origin(), deadline: .soon)
  }

  func limit(_ name: String, to storesMax: Int) async throws {
    var change = ClusterChange()
    change.storesMax = storesMax
    _ = try await clusters.update(name, change, by: Desk.origin(), deadline: .soon)
  }

  /// The clusters that stores were placed on, by the stores' names.
  func places(_ names: String...) async throws -> [String] {
    var places: [String] = []
    for name in names { places.append(try await store(name).cluster) }
    return places
  }

  func counts() async throws -> [String: Int] {
    let all = try await clusters.list(deadline: .soon)
    return Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0.stores) })
  }
}

func clusterRefusal<R>(_ body: () async throws -> R) async -> ClusterRefusal? {
  do {
    _ = try await body()
    return nil
  } catch { return error as? ClusterRefusal }
}

/// The register of clusters, and what is placed on them, in a real database.
@Suite(.timeLimit(.minutes(2))) struct ClusterTests {
  @Test func theOwnClusterIsThereFromTheStart() async throws {
    try await atDesk { desk, _ in
      let own = try await desk.clusters.find(ClusterName.own, deadline: .soon)
      #expect(own.access == ClusterAccess() && own.isReady && own.schedule == .open)
      #expect(own.storesMax == nil && own.stores == 0)
      try await desk.create("demo")
      #expect(try await desk.places("demo") == ["default"])
      let gone = await clusterRefusal {
        try await desk.clusters.unregister("default", by: Desk.origin(), deadline: .soon)
      }
      guard case .isOwn = gone else {
        Issue.record("\(String(describing: gone))")
        return
      }
    }
  }

  @Test func storesOfEarlierVersionsAreCounted() async throws {
    let all = try ProvisionerMigrations.all()
    let before = all.filter { $0.version < 7 }
    #expect(before.count < all.count)
    let database = try await TestDatabase.make(on: ThrowawayPostgres.shared(), before)
    let reactor = try Reactor.start(name: "desk")
    defer { reactor.loop.stop() }
    try await reactor.run { reactor in
      let desk = try Desk(database, on: reactor)
      defer { desk.close() }
      try await desk.owner.query(
        scope: .none,
        """
        INSERT INTO stores (id, tenant, name, engine, cluster, namespace, host, parameters, state,
          operation, deleted_at)
        SELECT '0000000000000' || n, 'acme', 's' || n, 'medusa', 'default', 'n' || n, 'h' || n, '{}',
          CASE WHEN n < 103 THEN 'requested' ELSE 'deleted' END, gen_random_uuid(),
          CASE WHEN n < 103 THEN NULL ELSE now() END
        FROM generate_series(100, 104) n
        """, deadline: .soon)
      try await database.migrate(all)
      #expect(try await desk.counts() == ["default": 3])
    }
  }

  /// A replica of a version that knows one cluster would take all stores for stores of that.
  @Test(arguments: ["", ", ARRAY['provision']"])
  func formerReplicasClaimWhatIsOnTheirCluster(kinds: String) async throws {
    try await atDesk { desk, _ in
      try await desk.register("eu")
      try await desk.create("there", wish: ClusterWish(cluster: "eu"))
      let here = try await desk.create("here", wish: ClusterWish(cluster: "default"))
      let rows = try await desk.worker.query(
        scope: .worker,
        "SELECT claimed FROM claim_operations('former', 10, '10 seconds', 9, 9, 9\(kinds))",
        deadline: .soon)
      #expect(try rows.map { try $0.decode(0, as: PostgresUUID.self) } == [here.id])
    }
  }

  @Test func placesByShareLabelAndName() async throws {
    try await atDesk { desk, _ in
      try await desk.schedule("default", .cordoned)
      try await desk.register("eu", labels: ["region": "eu"], storesMax: 4)
      try await desk.register("us", labels: ["region": "us"], storesMax: 2)
      for name in ["a", "b", "c"] { try await desk.create(name) }
      #expect(try await desk.places("a", "b", "c") == ["eu", "us", "eu"])
      try await desk.create("d", wish: ClusterWish(labels: ["region": "us"]))
      try await desk.create("e", wish: ClusterWish(cluster: "eu"))
      #expect(try await desk.places("d", "e") == ["us", "eu"])
      let full = await refusal {
        try await desk.create("f", wish: ClusterWish(labels: ["region": "us"]))
      }
      #expect(full == .noCluster(.full))
      #expect(
        await refusal { try await desk.create("f", wish: .init(cluster: "x")) }
          == .noCluster(.noSuchCluster("x")))
      #expect(try await desk.counts() == ["default": 0, "eu": 3, "us": 2])
      // Nothing of what was refused is left.
      #expect(await refusal { try await desk.store("f") } == .notFound)
    }
  }

  @Test func twoReplicasDoNotOverfillACluster() async throws {
    try await atDesk { desk, database in
      try await desk.limit("default", to: 3)
      // Each a process of its own, as far as the database can tell.
      let outcomes = await withTaskGroup(of: StoreRefusal?.self) { group in
        for number in 0..<12 {
          group.addTask {
            do {
              let reactor = try Reactor.start(name: "replica")
              defer { reactor.loop.stop() }
              return try await reactor.run { reactor in
                let replica = try Desk(database, on: reactor)
                defer { replica.close() }
                return await refusal {
                  try await replica.create("shop-\(number)", tenant: "tenant-\(number)")
                }
              }
            } catch { return .stale }
          }
        }
        return await group.reduce(into: [StoreRefusal?]()) { $0.append($1) }
      }
      #expect(outcomes.filter { $0 == nil }.count == 3)
      #expect(outcomes.filter { $0 == .noCluster(.full) }.count == 9)
      #expect(try await desk.counts() == ["default": 3])
    }
  }

  @Test func aDeletedStoreMakesRoom() async throws {
    try await atDesk { desk, database in
      try await desk.limit("default", to: 1)
      let engine = try await Engine.start(database, FakeCluster())
      try await desk.ready("demo")
      #expect(await refusal { try await desk.create("other") } == .noCluster(.full))
      try await desk.wait(for: desk.delete("demo").id)
      #expect(try await desk.counts() == ["default": 0])
      try await desk.ready("other")
      await engine.stop()
    }
  }

  @Test func aCordonLeavesWhatIsThere() async throws {
    try await atDesk { desk, database in
      let engine = try await Engine.start(database, FakeCluster())
      try await desk.ready("demo")
      try await desk.schedule("default", .cordoned)
      #expect(await refusal { try await desk.create("other") } == .noCluster(.closed))
      #expect(try await desk.wait(for: desk.upgrade("demo").id).state == .succeeded)
      try await desk.schedule("default", .open)
      try await desk.ready("other")
      await engine.stop()
    }
  }

  @Test func aDrainLetsStoresGoAndNothingGrow() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      cluster.script(.setup, of: "broken", [.fail(ProvisionFailure(.setupFailed))])
      let engine = try await Engine.start(database, cluster)
      try await desk.ready("demo")
      try await desk.wait(for: desk.upgrade("demo").id)
      try await desk.wait(for: desk.create("broken").id)
      try await desk.schedule("default", .draining)
      let draining = StoreRefusal.clusterDraining("default")
      #expect(await refusal { try await desk.create("other") } == .noCluster(.closed))
      #expect(await refusal { try await desk.upgrade("demo") } == draining)
      #expect(await refusal { try await desk.retry("broken") } == draining)
      let back = try await desk.change("demo", .rollback(release: nil))
      #expect(try await desk.wait(for: back.id).state == .succeeded)
      #expect(try await desk.wait(for: desk.change("demo", .suspend).id).state == .succeeded)
      #expect(await refusal { try await desk.change("demo", .resume) } == draining)
      #expect(
        try await desk.clusters.stores(on: "default", after: "", count: 10, deadline: .soon)
          .map(\.name).sorted() == ["broken", "demo"])
      for store in ["demo", "broken"] {
        #expect(try await desk.wait(for: desk.delete(store).id).state == .succeeded)
      }
      #expect(try await desk.counts() == ["default": 0])
      await engine.stop()
    }
  }

  @Test func aRetryStaysWhereTheStoreIs() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      cluster.script(.setup, of: "demo", [.fail(ProvisionFailure(.setupFailed))])
      let engine = try await Engine.start(database, cluster)
      try await desk.wait(for: desk.create("demo").id)
      try await desk.register("eu")
      try await desk.schedule("default", .cordoned)
      let elsewhere = await refusal {
        try await desk.create("demo", wish: ClusterWish(cluster: "eu"))
      }
      #expect(elsewhere == .conflict(.otherParameters))
      try await desk.wait(for: desk.create("demo").id)
      #expect(try await desk.places("demo") == ["default"])
      #expect(try await desk.store("demo").state == .ready)
      await engine.stop()
    }
  }

  @Test func hostsAreOfOneStoreInAllClusters() async throws {
    try await atDesk { desk, _ in
      try await desk.register("eu", suffix: "eu.example.com")
      try await desk.register("us")
      try await desk.create("demo", wish: .init(cluster: "default"))
      try await desk.create("demo", tenant: "other", wish: .init(cluster: "us"))
      try await desk.create("demo", tenant: "third", wish: .init(cluster: "eu"))
      #expect(try await desk.store("demo").host == "demo.localhost")
      let second = try await desk.store("demo", tenant: "other")
      #expect(second.host == "demo-\(second.id).localhost")
      #expect(try await desk.store("demo", tenant: "third").host == "demo.eu.example.com")
    }
  }

  @Test func theBackendIsToldHowToReachTheCluster() async throws {
    try await atDesk { desk, _ in
      try await desk.register("eu", ingress: "192.0.2.1:80")
      try await desk.create("demo", wish: .init(cluster: "eu"))
      let claim = try #require(
        try await desk.ledger.claim(1, for: "test", lease: .seconds(30)).first)
      let task = try await desk.ledger.begin(claim)
      #expect(
        StoreSite(task, claim, releasedAt: nil).clusterAccess
          == ClusterAccess(secret: "cluster.eu", ingressAddress: "192.0.2.1:80"))
    }
  }

  @Test func aBusyClusterDoesNotTakeItsTenantsTurnsElsewhere() async throws {
    try await atDesk { desk, _ in
      try await desk.register("eu")
      for number in 0..<4 { try await desk.create("a-\(number)", wish: .init(cluster: "default")) }
      for number in 0..<2 { try await desk.create("b-\(number)", wish: .init(cluster: "eu")) }
      var limits = OperationLimits()
      limits.perTenant = 3
      limits.perCluster = 1
      let first = try await desk.ledger.claim(
        10, for: "test", lease: .seconds(30), within: limits)
      var places: [String] = []
      for claim in first { places.append(try await desk.store(claim.store).cluster) }
      #expect(places.sorted() == ["default", "eu"])
      let again = try await desk.ledger.claim(
        10, for: "test", lease: .seconds(30), within: limits)
      #expect(again.isEmpty)
      limits.perCluster = 10
      // Never more than the tenant may.
      #expect(
        try await desk.ledger.claim(10, for: "test", lease: .seconds(30), within: limits).count
          == 1)
    }
  }

  @Test func aClusterThatIsAwayHoldsUpNoOther() async throws {
    try await atDesk { desk, database in
      try await desk.register("eu")
      let cluster = FakeCluster()
      let gone = FakeCluster.Behaviour.fail(ProvisionFailure(.clusterUnreachable, "gone"))
      var settings = EngineSettings.quick
      settings.workers = 2
      settings.breaker = CircuitBreaker.Settings(failureThreshold: 3)
      let clock = ManualClock(wallNow: SystemTimeSource().wallNow)
      var waiting: [OperationRecord] = []
      for name in ["a", "b", "c", "d"] {
        cluster.script(.namespace, of: name, Array(repeating: gone, count: 8))
        waiting.append(try await desk.create(name, wish: .init(cluster: "eu")))
      }
      let engine = try await Engine.start(database, cluster, settings, clock: clock)
      for operation in waiting {
        try await desk.wait(for: operation.id) {
          $0.steps[0].detail.contains("failed several times in a row")
        }
      }
      #expect(await engine.phase(.kubernetes, in: "eu") == .open)
      try await desk.ready("here")
      #expect(try await desk.places("here") == ["default"])
      #expect(await engine.phase(.kubernetes) == .closed)
      await engine.stop()
    }
  }

  @Test func changesAreEvents() async throws {
    try await atDesk { desk, _ in
      try await desk.register("eu", labels: ["region": "eu"], storesMax: 4)
      var change = ClusterChange()
      change.labels = ["tier": "gold"]
      change.removedLabels = ["region"]
      change.storesMax = 0
      change.schedule = .cordoned
      let (before, after) = try await desk.clusters.update(
        "eu", change, by: Desk.origin(), deadline: .soon)
      #expect(before.storesMax == 4 && after.storesMax == nil)
      #expect(after.labels == ["tier": "gold"] && after.schedule == .cordoned)
      _ = try await desk.clusters.unregister("eu", by: Desk.origin(), deadline: .soon)
      let events = try await desk.events(of: "")
      #expect(
        events.map(\.action).sorted()
          == ["cluster.register", "cluster.unregister", "cluster.update"])
      let update = try #require(events.first { $0.action == "cluster.update" })
      #expect(update.previousState == "open" && update.newState == "cordoned")
      // A person without a tenant leaves its trail with the platform.
      #expect(events.allSatisfy { $0.tenant == PlatformTenant.id && $0.actor?.id == "ada" })
    }
  }

  @Test func refusesWhatCannotBe() async throws {
    try await atDesk { desk, _ in
      try await desk.register("eu")
      #expect(await clusterRefusal { try await desk.register("eu") } == .exists)
      try await desk.create("demo", wish: .init(cluster: "eu"))
      do {
        _ = try await desk.clusters.unregister("eu", by: Desk.origin(), deadline: .soon)
        Issue.record("a cluster with a store is gone")
      } catch let busy as ClusterRefusal {
        #expect(busy == .hasStores(1))
      }
      #expect(await clusterRefusal { try await desk.schedule("us", .open) } == .notFound)
      for number in 2..<ClusterCatalog.clustersMax { try await desk.register("c\(number)") }
      #expect(await clusterRefusal { try await desk.register("more") } == .tooMany)
    }
  }

  @Test func aCheckOfAnEarlierKubeconfigIsDropped() async throws {
    try await atDesk { desk, _ in
      let before = try await desk.register("eu")
      var change = ClusterChange()
      change.connection = .init(secret: "cluster.eu.2", server: "https://new", findings: [])
      _ = try await desk.clusters.update("eu", change, by: Desk.origin(), deadline: .soon)
      let failed = [ClusterFinding(.version, .failed, "old", remedy: "upgrade")]
      #expect(
        await clusterRefusal {
          try await desk.clusters.recordCheck(
            of: before, failed, isReady: false, deadline: .soon)
        } == .changedMeanwhile)
      let now = try await desk.clusters.find("eu", deadline: .soon)
      #expect(now.isReady && now.findings.isEmpty && now.server == "https://new")
      let checked = try await desk.clusters.recordCheck(
        of: now, failed, isReady: false, deadline: .soon)
      #expect(!checked.isReady && checked.findings == failed)
      #expect(
        await refusal { try await desk.create("demo", wish: .init(cluster: "eu")) }
          == .noCluster(.notReady))
    }
  }

  @Test func whatDoesNotAnswerIsPassedOver() async throws {
    try await atDesk { desk, _ in
      try await desk.register("eu", storesMax: 1_000)
      desk.catalog.isReachable = { $0 != "default" }
      try await desk.create("demo")
      #expect(try await desk.places("demo") == ["eu"])
    }
  }
}
