import Contracts
import Observability
import Postgres
import ProvisionerTestKit
import Reactor
import ServiceRuntime
import Testing

@testable import ProvisionerService

/// A cluster that is lost goes, with its stores, without anybody asking it.
@Suite(.timeLimit(.minutes(3))) struct ClusterAbandonmentTests {
  private static func abandonment(
    _ desk: Desk, _ secrets: FakeClusterRegister
  ) -> ClusterAbandonment {
    ClusterAbandonment(
      clusters: desk.clusters, stores: desk.catalog, secrets: secrets, on: desk.reactor,
      logger: quiet)
  }

  /// Waits until the deletion of a store has ended that was asked for by `request`. It asks for none
  /// itself.
  private static func waitForDeletion(
    of store: String, by request: String = "lost", _ desk: Desk
  ) async throws {
    let rows = try await desk.owner.query(
      scope: .none,
      """
      SELECT id FROM operations WHERE store = $1 AND kind = 'delete' ORDER BY created_at DESC LIMIT 1
      """, [.text(store)], deadline: .soon)
    let deletion = try #require(rows.first, "nobody has asked for the deletion of \(store)")
    let ended = try await desk.wait(for: deletion.decode("id"))
    #expect(ended.state == .succeeded && ended.request.requestID == request)
    let states = ended.steps.map(\.state)
    #expect(states.last == .succeeded && states.dropLast().allSatisfy { $0 == .skipped })
  }

  @Test func itsStoresGoWhateverTheirState() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      let secrets = FakeClusterRegister()
      try await secrets.keep(
        ClusterKubeconfig(text: "x", server: ""), as: "cluster.eu", timeout: .seconds(1))
      try await desk.register("eu")
      let there = ClusterWish(cluster: "eu")
      let engine = try await Engine.start(database, cluster)
      cluster.script(.setup, of: "broken", [.fail(ProvisionFailure(.setupFailed))])
      cluster.script(.namespaceRemoval, of: "stuck", [.fail(ProvisionFailure(.namespaceStuck))])
      cluster.script(.rollout, of: "cut-off", [.hang])
      var ids: [String] = []
      for name in ["here", "ready", "broken", "stuck", "going", "cut-off"] {
        let wish = name == "here" ? ClusterWish(cluster: "default") : there
        let made = try await desk.create(name, wish: wish)
        if name != "here" { ids.append(made.store) }
        if name != "cut-off" { try await desk.wait(for: made.id) }
      }
      try await desk.wait(for: desk.delete("stuck").id)
      await cluster.reached(.rollout, of: "cut-off")
      cluster.setDown(true)
      // A deletion that waits for the cluster already.
      try await desk.wait(for: desk.delete("going").id) {
        !$0.steps[0].detail.isEmpty && $0.steps[0].attempts > 0
      }
      let kept = ids.map { cluster.parts(of: $0) }

      #expect(
        await clusterRefusal {
          try await desk.clusters.abandon("eu", by: Desk.origin("lost"), deadline: .soon)
        } == .notDraining)
      try await desk.schedule("eu", .draining)
      for _ in 0..<2 {
        let lost = try await desk.clusters.abandon("eu", by: Desk.origin("lost"), deadline: .soon)
        #expect(lost.abandonment?.request.requestID == "lost")
      }
      #expect(await clusterRefusal { try await desk.schedule("eu", .open) } == .isAbandoned)
      // Two replicas at once.
      let one = Self.abandonment(desk, secrets)
      let other = Self.abandonment(desk, secrets)
      let first = desk.reactor.loop.spawn(on: desk.reactor) { await one.run() }
      await other.run()
      await first.value
      for id in ids {
        try await Self.waitForDeletion(of: id, by: id == ids[3] ? "request-2" : "lost", desk)
      }
      for (id, kept) in zip(ids, kept) {
        #expect(try await desk.store(id).state == .deleted)
        // Nobody has asked the cluster; what the config service keeps is gone.
        #expect(cluster.parts(of: id) == kept.subtracting([.credentials]))
      }
      #expect(try await desk.counts() == ["default": 1, "eu": 0])
      await other.run()
      #expect(
        await clusterRefusal { try await desk.clusters.find("eu", deadline: .soon) } == .notFound)
      #expect(secrets.kept.isEmpty)
      one.stop()
      other.stop()
      cluster.setDown(false)
      try await desk.ready("ready")
      #expect(try await desk.places("ready", "here") == ["default", "default"])
      #expect(try await desk.store("ready").host == "ready.localhost")
      await engine.stop()

      let trail = try await desk.events(of: "").filter { $0.action.hasPrefix("cluster.") }
      #expect(
        trail.map(\.action).sorted()
          == ["cluster.abandon", "cluster.register", "cluster.unregister", "cluster.update"])
      #expect(trail.allSatisfy { $0.actor?.id == "ada" })
      let states = try await desk.events(of: ids[0]).filter { $0.newState == "deleting" }
      #expect(states.map { $0.actor?.id } == ["ada"] && states.map(\.requestID) == ["lost"])
    }
  }

  @Test func aKillChangesNothing() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      let secrets = FakeClusterRegister()
      let engine = try await Engine.start(database, cluster)
      try await desk.register("eu")
      let made = try await desk.wait(for: desk.create("demo", wish: .init(cluster: "eu")).id)
      cluster.script(.credentialsRemoval, of: "demo", [.hang])
      try await desk.schedule("eu", .draining)
      _ = try await desk.clusters.abandon("eu", by: Desk.origin("lost"), deadline: .soon)
      // This one dies once the row is written, and the engine in the midst of what follows.
      let former = Self.abandonment(desk, secrets)
      await former.run()
      former.stop()
      await cluster.reached(.credentialsRemoval, of: "demo")
      engine.kill()
      try await SuddenDeath.endLeases(desk.owner)
      let next = try await Engine.start(database, cluster)
      try await Self.waitForDeletion(of: made.store, desk)
      let again = Self.abandonment(desk, secrets)
      await again.run()
      again.stop()
      #expect(
        await clusterRefusal { try await desk.clusters.find("eu", deadline: .soon) } == .notFound)
      #expect(cluster.violations.isEmpty)
      await next.stop()
    }
  }

  /// One whose deletion fails again and again is no reason to leave the others, nor to hurry.
  @Test func oneFailureStopsNothing() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      let secrets = FakeClusterRegister()
      let engine = try await Engine.start(database, cluster)
      var ids: [String] = []
      for name in ["us", "eu"] {
        try await desk.register(name)
        ids.append(try await desk.wait(for: desk.create(name, wish: .init(cluster: name)).id).store)
        try await desk.schedule(name, .draining)
        _ = try await desk.clusters.abandon(name, by: Desk.origin("lost"), deadline: .soon)
      }
      cluster.script(
        .credentialsRemoval, of: "us",
        Array(repeating: .fail(ProvisionFailure(.unexpected, "no config")), count: 100))
      #expect(await refusal { try await desk.upgrade("us") } == .clusterAbandoned("us"))
      let abandonment = Self.abandonment(desk, secrets)
      await abandonment.run()
      try await Self.waitForDeletion(of: ids[1], desk)
      let rows = try await desk.owner.query(
        scope: .none, "SELECT id FROM operations WHERE store = $1 AND kind = 'delete'",
        [.text(ids[0])], deadline: .soon)
      #expect(try await desk.wait(for: rows[0].decode("id")).state == .failed)
      func waiting() async throws -> [String] {
        try await desk.clusters.abandonedStores(after: "", count: 10, deadline: .soon).map(\.id)
      }
      #expect(try await waiting().isEmpty)
      _ = try await desk.owner.query(
        scope: .none,
        """
        UPDATE operations SET created_at = created_at - interval '1 minute',
          started_at = started_at - interval '1 minute', ended_at = ended_at - interval '1 minute'
        WHERE store = $1
        """, [.text(ids[0])], deadline: .soon)
      #expect(try await waiting() == [ids[0]])
      await abandonment.run()
      abandonment.stop()
      #expect(
        await clusterRefusal { try await desk.clusters.find("eu", deadline: .soon) } == .notFound)
      #expect(try await desk.clusters.find("us", deadline: .soon).abandonment != nil)
      #expect(
        await refusal { try await desk.create("more", wish: .init(cluster: "us")) }
          == .noCluster(.abandoned))
      await engine.stop()
    }
  }

  @Test func theOwnClusterStaysAndIsWhicheverIsThereNext() async throws {
    try await atDesk { desk, database in
      let secrets = FakeClusterRegister()
      let engine = try await Engine.start(database, FakeCluster())
      try await desk.ready("demo")
      let own = try await desk.clusters.find("default", deadline: .soon)
      try await desk.clusters.recordCheck(
        of: own, [], uid: "before", isReady: nil, deadline: .soon)
      // What was put up with was of the one that is lost.
      try await desk.owner.query(
        scope: .none, "UPDATE clusters SET forced = '{storage}'", deadline: .soon)
      try await desk.schedule("default", .draining)
      _ = try await desk.clusters.abandon("default", by: Desk.origin("lost"), deadline: .soon)
      let abandonment = Self.abandonment(desk, secrets)
      let store = try await desk.store("demo").id
      await abandonment.run()
      try await Self.waitForDeletion(of: store, desk)
      await abandonment.run()
      abandonment.stop()
      let empty = try await desk.clusters.find("default", deadline: .soon)
      #expect(empty.abandonment == nil && empty.access.uid == nil && empty.schedule == .draining)
      #expect(empty.forced.isEmpty)
      let known = try await desk.clusters.recordCheck(
        of: empty, [], uid: "after", isReady: true, deadline: .soon)
      #expect(known.access.uid == "after")
      try await desk.schedule("default", .open)
      try await desk.ready("demo")
      await engine.stop()
    }
  }
}
