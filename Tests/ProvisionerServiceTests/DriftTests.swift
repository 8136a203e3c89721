import Contracts
import Observability
import Postgres
import ProvisionerTestKit
import Resilience
import ServiceRuntime
import TestKit
import Testing

@testable import ProvisionerService

/// What is found of ready stores that is not as their releases say, and what comes of it.
@Suite(.timeLimit(.minutes(2))) struct DriftTests {
  private static let scaled = Drift("Deployment/web", .fields(["spec.replicas"]))
  private static let missing = Drift("Service/web", .missing)

  /// Looks at stores of a desk's database.
  private final class Watchman {
    let checks: DriftChecks
    let reconciliation: DriftReconciliation
    let metrics = MetricsRegistry()
    private let desk: Desk

    init(_ desk: Desk, _ cluster: FakeCluster, breaker: CircuitBreaker.Settings = .init()) {
      self.desk = desk
      checks = DriftChecks(worker: desk.worker, application: desk.application)
      reconciliation = DriftReconciliation(
        checks, backend: FakeStoreBackend(cluster, on: desk.reactor),
        breakers: DependencyBreakers(
          settings: breaker, clock: SystemTimeSource(), logger: quiet,
          metrics: EngineMetrics(metrics)),
        every: .seconds(1_800), on: desk.reactor, logger: quiet, metrics: metrics)
    }

    /// Looks at all stores, due or not; the condition of `store` afterwards.
    @discardableResult
    func look(at store: String = "demo") async throws -> StoreCondition? {
      try await desk.owner.query(
        scope: .none, "UPDATE stores SET drift_check_at = now() - interval '1 s'", deadline: .soon)
      await reconciliation.lookAtAll()
      return try await desk.store(store).condition(.drifted)
    }

    func outcomes(_ outcome: String) -> Bool {
      String(decoding: metrics.exposition(), as: UTF8.self)
        .contains("provisioner_drift_checks_total{outcome=\"\(outcome)\"}")
    }
  }

  private func withEngine(
    _ body: @Sendable (Desk, FakeCluster, Watchman) async throws -> Void
  ) async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      let engine = try await Engine.start(database, cluster)
      try await desk.ready("demo")
      try await body(desk, cluster, Watchman(desk, cluster))
      #expect(cluster.violations.isEmpty)
      await engine.stop()
    }
  }

  @Test func whatSomebodyChangedIsTakenBack() async throws {
    try await withEngine { desk, cluster, watchman in
      #expect(try await watchman.look() == StoreCondition(.drifted, false, "InSync"))
      let before = try await desk.store("demo")
      cluster.change(before.id, [Self.scaled, Self.missing])
      let found = try await watchman.look()
      let words = "Deployment/web: spec.replicas; Service/web is missing"
      #expect(found == StoreCondition(.drifted, true, "Correcting", words))
      let correcting = try await desk.store("demo")
      #expect(correcting.operation != before.operation && correcting.version > before.version)
      let correction = try await desk.wait(for: correcting.operation)
      #expect(correction.kind == .rollback && correction.state == .succeeded)
      #expect(correction.aim == OperationAim(release: 1))
      #expect(try await watchman.look() == StoreCondition(.drifted, false, "InSync"))
      let after = try await desk.store("demo")
      #expect(after.release == 1 && after.state == .ready && after.driftCorrections == 1)
      #expect(cluster.revisions(of: after.id).count == 2)
      let events = try await desk.events(of: after.id).filter { $0.action == "store.drift" }
      let reasons = events.map { $0.details?["reason"]?.string }
      #expect(Set(reasons) == ["Correcting", "InSync"] && reasons.count == 2)
      #expect(events.allSatisfy { $0.operation == correction.id.description })
    }
  }

  @Test func whatComesBackAgainAndAgainIsToldAndLeft() async throws {
    try await withEngine { desk, cluster, watchman in
      let store = try await desk.store("demo").id
      for number in 1...DriftDecision.correctionsMax {
        cluster.change(store, [Self.scaled])
        #expect(try await watchman.look()?.reason == "Correcting")
        try await desk.wait(for: desk.store("demo").operation)
        // Found as it should be in between, or not.
        if number == 1 { #expect(try await watchman.look()?.isTrue == false) }
      }
      cluster.change(store, [Self.scaled])
      let returned = try await watchman.look()
      #expect(returned?.isTrue == true && returned?.reason == "Returned")
      let version = try await desk.store("demo").version
      // Nothing new, nothing written.
      #expect(try await watchman.look() == returned)
      #expect(try await desk.store("demo").version == version)
      #expect(cluster.revisions(of: store).count == 1 + DriftDecision.correctionsMax)
      try await desk.owner.query(
        scope: .none, "UPDATE stores SET drift_corrected_at = now() - interval '25 h'",
        deadline: .soon)
      #expect(try await watchman.look()?.reason == "Correcting")
      try await desk.wait(for: desk.store("demo").operation)
      #expect(try await desk.store("demo").driftCorrections == 1)
    }
  }

  @Test func aCertificateIsAwaitedByAReadyStore() async throws {
    let pending = StoreCondition(.certificateReady, false, "ChallengePending", "no record yet")
    let issued = StoreCondition(.certificateReady, true, "Issued")
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      cluster.set(certificate: pending)
      let engine = try await Engine.start(database, cluster)
      try await desk.ready("demo")
      #expect(try await desk.store("demo").condition(.certificateReady) == pending)
      let watchman = Watchman(desk, cluster)
      try await watchman.look()
      // Sooner than others.
      #expect(
        try await desk.owner.query(
          scope: .none,
          "SELECT FROM stores WHERE drift_check_at < now() + interval '400 s'", deadline: .soon
        ).count == 1)
      let version = try await desk.store("demo").version
      try await watchman.look()
      #expect(try await desk.store("demo").version == version)
      // What is not known is waited for no more than usual.
      let hidden = StoreCondition.unknown(.certificateReady, "NotVisible", "we may not")
      cluster.set(certificate: hidden)
      try await watchman.look()
      #expect(try await desk.store("demo").condition(.certificateReady) == hidden)
      let told = try #require(
        try await desk.store("demo").conditions.first { $0.condition == hidden })
      #expect(ProvisionerV1.Condition(told).status == .unknown)
      #expect(
        try await desk.owner.query(
          scope: .none,
          "SELECT FROM stores WHERE drift_check_at > now() + interval '400 s'", deadline: .soon
        ).count == 1)
      cluster.set(certificate: issued)
      try await watchman.look()
      #expect(try await desk.store("demo").condition(.certificateReady) == issued)
      cluster.set(certificate: nil)
      try await watchman.look()
      #expect(try await desk.store("demo").condition(.certificateReady)?.reason == "NotAskedFor")
      let drifts = try await desk.events(of: desk.store("demo").id).filter {
        $0.action == "store.drift"
      }
      #expect(drifts.isEmpty)
      await engine.stop()
    }
  }

  @Test func whatCannotBeBroughtBackIsToldOnly() async throws {
    try await withEngine { desk, cluster, watchman in
      let store = try await desk.store("demo")
      cluster.change(store.id, [Self.missing, Drift("Claim/data", .refused("Invalid at spec"))])
      let words = "Service/web is missing; Claim/data cannot be brought back: Invalid at spec"
      #expect(
        try await watchman.look() == StoreCondition(.drifted, true, "Reported", words))
      #expect(try await desk.store("demo").operation == store.operation)
    }
  }

  @Test func aRollbackThatFailedAfterHelmIsNoDrift() async throws {
    try await withEngine { desk, cluster, watchman in
      cluster.script(.check, of: "demo", [.fail(ProvisionFailure(.quotaExceeded, "cpu"))])
      let rollback = try await desk.wait(for: desk.change("demo", .rollback(release: 1)).id)
      #expect(rollback.state == .failed && rollback.installed?.revision == 2)
      #expect(try await desk.releases("demo").releases.map(\.helmRevision) == [2])
    }
  }

  @Test func aPolicyThatIsNamedWithARetryCounts() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      let engine = try await Engine.start(database, cluster)
      cluster.script(.verify, of: "demo", [.fail(ProvisionFailure(.quotaExceeded, "cpu"))])
      try await desk.wait(for: desk.create("demo").id)
      let draft = StoreDraft(
        name: "demo", engine: .woocommerce, parameters: StoreParameters(), driftPolicy: .report)
      let retry = try await desk.catalog.create(
        draft, tenant: Desk.tenant, origin: Desk.origin(), deadline: .soon)
      #expect(try await desk.wait(for: retry.id).state == .succeeded)
      #expect(try await desk.store("demo").driftPolicy == .report)
      await engine.stop()
    }
  }

  @Test func aStoreCanBeLeftAsItIs() async throws {
    try await withEngine { desk, cluster, watchman in
      let store = try await desk.store("demo")
      let updated = try await desk.catalog.update(
        .name("demo"), StoreCare(driftPolicy: .report), version: store.version, tenant: Desk.tenant,
        origin: Desk.origin(), deadline: .soon)
      #expect(updated.driftPolicy == .report && updated.version == store.version + 1)
      // Once more: nothing to do.
      let again = try await desk.catalog.update(
        .name("demo"), StoreCare(driftPolicy: .report), version: nil, tenant: Desk.tenant,
        origin: Desk.origin(),
        deadline: .soon)
      #expect(again == updated)
      cluster.change(store.id, [Self.scaled])
      let found = try await watchman.look()
      #expect(
        found == StoreCondition(.drifted, true, "Reported", "Deployment/web: spec.replicas"))
      #expect(try await desk.store("demo").operation == store.operation)
      let actions = try await desk.events(of: store.id).map(\.action)
      #expect(actions.count { $0 == "store.update" } == 1)
      #expect(actions.count { $0 == "store.drift" } == 1)
    }
  }

  @Test func whatFailedBeforeIsNotTouched() async throws {
    try await withEngine { desk, cluster, watchman in
      cluster.script(.check, of: "demo", [.fail(ProvisionFailure(.quotaExceeded, "cpu"))])
      _ = try await desk.wait(for: desk.upgrade("demo").id)
      let remedy = try await desk.store("demo").operation
      try await desk.wait(for: remedy)
      let store = try await desk.store("demo")
      cluster.change(store.id, [Self.scaled])
      #expect(try await watchman.look()?.reason == "Reported")
      #expect(try await desk.store("demo").operation == remedy)
    }
  }

  @Test func eachLookIsOneReplicasAndOnlyAtStoresThatRun() async throws {
    try await withEngine { desk, cluster, watchman in
      for name in ["other", "asleep", "busy"] { try await desk.ready(name) }
      _ = try await desk.wait(for: desk.change("asleep", .suspend).id)
      cluster.script(.check, of: "busy", [.hang])
      try await desk.upgrade("busy")
      await cluster.reached(.check, of: "busy")
      let versions = try await desk.store("demo").version
      let checks = watchman.checks
      let first = try await checks.claim(1)
      let second = try await checks.claim(10)
      let ids = try await Set([desk.store("demo").id, desk.store("other").id])
      #expect(first.count == 1 && second.count == 1)
      #expect(Set((first + second).map(\.store)) == ids)
      #expect(try await checks.claim(10).isEmpty)
      // No change that a watcher could see.
      #expect(try await desk.store("demo").version == versions)
      func isDue(between least: Int, and most: Int) async throws -> Bool {
        try await desk.owner.query(
          scope: .none,
          """
          SELECT drift_check_at BETWEEN clock_timestamp() + interval '\(least) s'
            AND clock_timestamp() + interval '\(most) s' FROM stores WHERE name = 'demo'
          """, deadline: .soon)[0].decode(0)
      }
      // Soon where nothing comes of the look.
      #expect(try await isDue(between: 60, and: 120))
      _ = try await checks.settle(
        desk.store("demo"), [], certificate: nil, every: .seconds(1_800))
      #expect(try await isDue(between: 1_290, and: 2_250))
    }
  }

  @Test func whatChangedMeanwhileIsNotKnown() async throws {
    try await withEngine { desk, cluster, watchman in
      let store = try await desk.store("demo")
      let due = DriftChecks.Due(store: store.id, tenant: Desk.tenant)
      let (looked, release, _) = try #require(await watchman.checks.subject(due))
      #expect(looked == store && release.number == 1)
      cluster.script(.check, of: "demo", [.hang])
      try await desk.upgrade("demo")
      await cluster.reached(.check, of: "demo")
      #expect(
        try await watchman.checks.settle(
          looked, [Self.scaled], certificate: nil, every: .seconds(1_800)) == nil)
      #expect(try await watchman.checks.subject(due) == nil)
      #expect(try await !desk.store("demo").conditions.contains { $0.condition.kind == .drifted })
    }
  }

  @Test func aClusterThatIsAwayIsLeftAlone() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      let engine = try await Engine.start(database, cluster)
      try await desk.ready("demo")
      let watchman = Watchman(
        desk, cluster,
        breaker: CircuitBreaker.Settings(failureThreshold: 1, openDuration: .seconds(60)))
      cluster.setDown(true)
      #expect(try await watchman.look() == nil)
      #expect(watchman.outcomes("failed") && !watchman.outcomes("skipped"))
      cluster.setDown(false)
      // The breaker is open.
      #expect(try await watchman.look() == nil)
      #expect(watchman.outcomes("skipped") && !watchman.outcomes("in_sync"))
      await engine.stop()
    }
  }

  @Test(arguments: [
    ([], DriftPolicy.correct, 0, DriftDecision.inSync), ([], .report, 3, .inSync),
    ([scaled], .correct, 2, .correct), ([scaled], .correct, 3, .reportReturned),
    ([scaled], .report, 0, .report), ([scaled], .report, 3, .report),
    ([scaled, Drift("Secret/a", .refused("Forbidden"))], .correct, 0, .report),
  ]) func isDecided(
    drift: [Drift], policy: DriftPolicy, corrections: Int, decision: DriftDecision
  ) {
    #expect(DriftDecision.decide(drift, policy, corrections: corrections) == decision)
    #expect(decision.condition(drift).isTrue == !drift.isEmpty)
  }

  @Test func muchIsToldShortly() {
    let fields = (1...7).map { "data.key\($0)" }
    let drift = (1...6).map { Drift("ConfigMap/\($0)", .fields(fields)) }
    let words = drift.words ?? ""
    #expect(words.hasPrefix("ConfigMap/1: data.key1, data.key2, data.key3, data.key4, data.key5"))
    #expect(words.contains("data.key5 and 2 more; ConfigMap/2"))
    #expect(words.hasSuffix("; and 1 more objects"))
    #expect([Drift]().words == nil)
  }
}
