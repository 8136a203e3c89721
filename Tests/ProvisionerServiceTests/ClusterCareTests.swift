import Contracts
import Observability
import Postgres
import ProvisionerTestKit
import Reactor
import Resilience
import ServiceRuntime
import TestKit
import Testing

@testable import ProvisionerService

/// What is done about clusters without being asked.
@Suite(.timeLimit(.minutes(2))) struct ClusterCareTests {
  private static let broken = ClusterFinding(.storage, .failed, "no class", remedy: "make one")
  private static let forced = ClusterFinding(.permissions, .failed, "few", remedy: "grant")

  private static let away = ClusterFinding(.connection, .failed, "refused", remedy: "look")

  private static func handler(_ desk: Desk, _ register: FakeClusterRegister) -> ClusterHandler {
    ClusterHandler(
      catalog: desk.clusters, inspector: register, secrets: register, logger: quiet)
  }

  /// Has the checks of all clusters be due.
  private static func makeDue(_ desk: Desk) async throws {
    try await desk.owner.query(
      scope: .none, "UPDATE clusters SET check_at = now() - interval '1 second'", deadline: .soon)
  }

  @Test func aClusterIsCheckedByItselfAndByOneReplicaOnly() async throws {
    try await atDesk { desk, _ in
      let register = FakeClusterRegister()
      let handlers = [Self.handler(desk, register), Self.handler(desk, register)]
      try await desk.register("eu")
      func ready(_ name: String) async throws -> Bool {
        try await desk.clusters.find(name, deadline: .soon).isReady
      }
      register.findings = [Self.broken]
      for _ in 0..<3 { for handler in handlers { await handler.checkDue() } }
      #expect(register.inspections == 2)
      #expect(try await !ready("eu"))
      #expect(
        await refusal { try await desk.create("demo", wish: .init(cluster: "eu")) }
          == .noCluster(.notReady))
      // The own one is told about, and stays in use.
      let own = try await desk.clusters.find("default", deadline: .soon)
      #expect(own.isReady && own.findings.failures == [Self.broken] && own.access.uid == "cluster")
      register.findings = []
      try await Self.makeDue(desk)
      await handlers[1].checkDue()
      #expect(try await ready("eu"))
      try await desk.create("demo", wish: .init(cluster: "eu"))
      // Whichever is due later is told by the database, not by the replica.
      await handlers[0].checkDue()
      #expect(register.inspections == 4)
    }
  }

  @Test func whatWasForcedStaysInUse() async throws {
    try await atDesk { desk, _ in
      let register = FakeClusterRegister()
      let handler = Self.handler(desk, register)
      _ = try await desk.clusters.register(
        ClusterDraft(
          name: "eu", server: "", access: ClusterAccess(secret: "cluster.eu"),
          findings: [Self.forced]),
        by: Desk.origin(), deadline: .soon)
      func isReady(with findings: ClusterFinding...) async throws -> Bool {
        register.findings = findings
        try await Self.makeDue(desk)
        await handler.checkDue()
        let eu = try await desk.clusters.find("eu", deadline: .soon)
        #expect(findings.allSatisfy { eu.findings.contains($0) })
        return eu.isReady
      }
      #expect(try await isReady(with: Self.forced))
      #expect(try await !isReady(with: Self.forced, Self.broken))
      #expect(try await isReady(with: Self.forced))
      // Nothing else is known while it is away.
      #expect(try await !isReady(with: Self.away))
      #expect(try await isReady(with: Self.forced))
      #expect(try await isReady())
      #expect(try await isReady(with: Self.forced))
      // A new kubeconfig that lacks nothing has nothing to be put up with.
      var change = ClusterChange()
      change.connection = .init(secret: "cluster.eu.2", server: "", findings: [])
      _ = try await desk.clusters.update("eu", change, by: Desk.origin(), deadline: .soon)
      #expect(try await !isReady(with: Self.forced))
      change.connection = .init(secret: "cluster.eu.3", server: "", findings: [Self.forced])
      _ = try await desk.clusters.update("eu", change, by: Desk.origin(), deadline: .soon)
      #expect(try await isReady(with: Self.forced))
    }
  }

  @Test func aReplicasOwnTroubleIsNoClusters() async throws {
    try await atDesk { desk, _ in
      let register = FakeClusterRegister()
      let handler = Self.handler(desk, register)
      let before = try await desk.register("eu")
      register.trouble = "no chart"
      await handler.checkDue()
      await handler.checkOwn()
      let after = try await desk.clusters.find("eu", deadline: .soon)
      #expect(
        after.isReady && after.findings == before.findings && after.checkedAt == before.checkedAt)
      register.trouble = nil
      try await Self.makeDue(desk)
      await handler.checkDue()
      #expect(try await desk.clusters.find("eu", deadline: .soon).access.uid == "cluster")
    }
  }

  @Test func whatIsNotSureIsLookedAtAgainSoon() async throws {
    try await atDesk { desk, _ in
      let register = FakeClusterRegister()
      let handler = Self.handler(desk, register)
      /// Of the own cluster, which stays ready whatever is found.
      func wait() async throws -> Duration {
        try await Self.makeDue(desk)
        await handler.checkDue()
        let rows = try await desk.owner.query(
          scope: .none,
          """
          SELECT extract(epoch FROM check_at - clock_timestamp())::bigint FROM clusters
          WHERE name = 'default'
          """, deadline: .soon)
        return .seconds(try rows[0].decode(0, as: Int64.self))
      }
      register.uids[""] = ""
      let untold = try await wait()
      register.uids[""] = nil
      // The look that tells which it is was due soon.
      _ = try await wait()
      let known = try await wait()
      register.uids[""] = "another"
      let another = try await wait()
      #expect(untold <= .seconds(75) && known > .seconds(75) && another <= .seconds(75))
      #expect(try await desk.clusters.find("default", deadline: .soon).isReady)
    }
  }

  @Test func kubeconfigsThatNobodyNamesAreForgotten() async throws {
    try await atDesk { desk, _ in
      let register = FakeClusterRegister()
      try await desk.register("eu")
      for name in ["cluster.eu", "cluster.old", "cluster.new"] {
        try await register.keep(
          ClusterKubeconfig(text: name, server: ""), as: name, timeout: .seconds(1))
      }
      let clock = ManualClock(wallNow: WallInstant(seconds: 1_000_000))
      register.times = ["cluster.eu": 0, "cluster.old": 1_000_000 - 3_601]
      register.times["cluster.new"] = 1_000_000 - 3_600
      let sweep = KubeconfigSweep(
        clusters: desk.clusters, secrets: register, clock: clock, logger: quiet)
      await sweep.run()
      #expect(register.kept.keys.sorted() == ["cluster.eu", "cluster.new"])
      clock.advance(by: .seconds(1))
      await sweep.run()
      #expect(register.kept.keys.sorted() == ["cluster.eu"])
    }
  }

  @Test func whatIsKnownOfAClusterGoesWithIt() async throws {
    try await atDesk { desk, _ in
      let registry = MetricsRegistry()
      let metrics = ClusterMetrics(catalog: desk.clusters, metrics: registry, logger: quiet)
      let breakers = DependencyBreakers(
        settings: .init(failureThreshold: 1), clock: ManualClock(), logger: quiet,
        metrics: EngineMetrics(registry))
      var same: Set<String> = []
      metrics.onList = {
        breakers.retain($0)
        same = $1
      }
      for name in ["eu", "us"] {
        try await desk.register(name)
        guard case .admitted(let permit) = breakers.admit(.kubernetes, in: name) else {
          Issue.record("\(name) is refused")
          continue
        }
        breakers.record(.failed, for: permit)
      }
      let us = try await desk.clusters.find("us", deadline: .soon)
      let another = ClusterInspection(
        [ClusterFinding(.connection, .passed, "answers")], uid: "b")
      try await desk.clusters.recordCheck(
        of: us, another.findings(expecting: "a"), uid: "a", isReady: false, deadline: .soon)
      await metrics.refresh()
      // What leads there is ended, and looked at when it is made anew.
      #expect(same == ["default", "eu"])
      #expect(breakers.isOpen(.kubernetes, in: "eu") && breakers.isOpen(.kubernetes, in: "us"))
      _ = try await desk.clusters.unregister("eu", by: Desk.origin(), deadline: .soon)
      await metrics.refresh()
      #expect(!breakers.isOpen(.kubernetes, in: "eu") && breakers.isOpen(.kubernetes, in: "us"))
      let text = String(decoding: registry.exposition(), as: UTF8.self)
      #expect(!text.contains(#"cluster="eu""#))
      #expect(text.contains(#"provisioner_cluster_schedule{cluster="us"}"#))
      #expect(text.contains(#"circuit_breaker_state{cluster="us""#))
    }
  }

  @Test func aCreationThatNamesAClusterWaitsForNoOther() async throws {
    try await atDesk { desk, _ in
      try await desk.register("eu", labels: ["region": "eu"])
      try await desk.register("us", labels: ["region": "us"])
      // Somebody is at these for as long as they like.
      try await desk.owner.withTransaction(scope: .none, deadline: .soon) { transaction in
        try await transaction.query(
          "SELECT FROM clusters WHERE name IN ('default', 'us') FOR UPDATE")
        try await desk.create("a", wish: .init(cluster: "eu"))
        try await desk.create("b", wish: .init(labels: ["region": "eu"]))
      }
      try await desk.schedule("default", .cordoned)
      try await desk.limit("eu", to: 2)
      try await desk.limit("us", to: 1)
      try await desk.create("c")
      // One is full and open, the other closed: that is why, and not that all are full.
      #expect(await refusal { try await desk.create("d") } == .noCluster(.closed))
    }
  }
}
