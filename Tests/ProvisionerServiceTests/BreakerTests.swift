import Observability
import ProvisionerTestKit
import Reactor
import Resilience
import TestKit
import Testing

@testable import ProvisionerService

@Suite(.timeLimit(.minutes(2))) struct BreakerTests {
  private static var settings: EngineSettings {
    var settings = EngineSettings.quick
    settings.retry = RetryPolicy(
      base: .milliseconds(5), maximumDelay: .milliseconds(20), maximumAttempts: 8)
    settings.breaker = CircuitBreaker.Settings(
      failureThreshold: 4, openDuration: .seconds(3), probeTimeout: .seconds(5))
    return settings
  }

  @Test func anUnreachableClusterIsLeftAloneAndFoundAgain() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      cluster.setDown(true)
      let clock = ManualClock(wallNow: SystemTimeSource().wallNow)
      let engine = try await Engine.start(database, cluster, Self.settings, clock: clock)
      var operations: [OperationRecord] = []
      for number in 0..<8 { operations.append(try await desk.create("store\(number)")) }
      for operation in operations {
        let waiting = try await desk.wait(for: operation.id) {
          $0.steps[0].detail.contains("failed several times in a row")
        }
        #expect(waiting.state == .running)
        #expect(waiting.steps[0].state == .waiting)
      }
      #expect(await engine.phase(.kubernetes) == .open)
      #expect(await engine.phase(.helm) == .closed)
      // Time stands still: nothing more is tried, though the cluster is back.
      let calls = cluster.calls.count
      #expect(calls < 4 + Self.settings.workers)
      cluster.setDown(false)
      clock.advance(by: .seconds(4))
      for operation in operations {
        #expect(try await desk.wait(for: operation.id).state == .succeeded)
      }
      #expect(await engine.phase(.kubernetes) == .closed)
      await engine.stop()
    }
  }

  @Test(arguments: [
    FailureCode.clusterUnreachable, .clusterThrottled, .helmUnavailable, .credentialsUnavailable,
  ])
  func anOutageIsWaitedForLongerThanAFault(_ code: FailureCode) async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      let gone = FakeCluster.Behaviour.fail(ProvisionFailure(code, "gone"))
      var settings = EngineSettings.quick
      settings.breaker = CircuitBreaker.Settings(failureThreshold: 100)
      let most = settings.outageRetry.maximumAttempts
      cluster.script(.namespace, of: "short", Array(repeating: gone, count: most - 1))
      cluster.script(.namespace, of: "long", Array(repeating: gone, count: most))
      let engine = try await Engine.start(database, cluster, settings)
      let short = try await desk.wait(for: desk.create("short").id)
      #expect(short.state == .succeeded)
      #expect(short.steps[0].failures == most - 1)
      let long = try await desk.wait(for: desk.create("long").id)
      #expect(long.problem?.code == code.rawValue)
      #expect(try await desk.wait(for: desk.retry("long").id).state == .succeeded)
      await engine.stop()
    }
  }

  /// Pods that do not get ready in time are the store's matter; a call that never ends is not.
  @Test(arguments: [
    (OperationStep.rollout, CircuitBreaker.Phase.closed), (.namespace, .open),
  ])
  func aTimeoutCountsAsItsCodeSays(
    _ step: OperationStep, _ phase: CircuitBreaker.Phase
  ) async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      cluster.script(step, of: "demo", [.hang])
      var settings = EngineSettings.quick
      settings.stepTimeout = .milliseconds(500)
      settings.retry = RetryPolicy(
        base: .milliseconds(5), maximumDelay: .milliseconds(5), maximumAttempts: 1)
      settings.breaker = CircuitBreaker.Settings(failureThreshold: 1)
      let engine = try await Engine.start(database, cluster, settings)
      let ended = try await desk.wait(for: desk.create("demo").id)
      #expect(ended.problem?.code == step.timeoutCode.rawValue)
      #expect(await engine.phase(.kubernetes) == phase)
      await engine.stop()
    }
  }

  @Test func theTenantsOwnFaultsAndABusyClusterOpenNothing() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      for number in 0..<8 {
        cluster.script(
          .namespace, of: "store\(number)",
          [
            .fail(ProvisionFailure(.clusterThrottled, "429", retryAfter: .milliseconds(1))),
            .fail(ProvisionFailure(.admissionDenied, "policy")),
          ])
      }
      let engine = try await Engine.start(database, cluster, Self.settings)
      var operations: [OperationRecord] = []
      for number in 0..<8 { operations.append(try await desk.create("store\(number)")) }
      for operation in operations {
        let ended = try await desk.wait(for: operation.id)
        #expect(ended.problem?.code == "ADMISSION_DENIED")
        #expect(ended.problem?.isUserFault == true)
      }
      #expect(await engine.phase(.kubernetes) == .closed)
      await engine.stop()
    }
  }

  /// As helm-worker does while it looks for the store whose call ends it, with one call at a time.
  @Test func whoeverOnlyAsksToComeAgainOpensNothing() async throws {
    try await atDesk { desk, database in
      let cluster = FakeCluster()
      var settings = EngineSettings.quick
      let threshold = settings.workers
      settings.breaker = CircuitBreaker.Settings(failureThreshold: threshold)
      let later = ProvisionFailure(.helmUnavailable, "one by one", retryAfter: .milliseconds(1))
      let names = (0..<settings.workers).map { "store\($0)" }
      for name in names {
        // Each would open it alone.
        cluster.script(.release, of: name, Array(repeating: .fail(later), count: threshold))
      }
      let engine = try await Engine.start(database, cluster, settings)
      var operations: [OperationRecord] = []
      for name in names { operations.append(try await desk.create(name)) }
      for operation in operations {
        let ended = try await desk.wait(for: operation.id) { operation in
          operation.state.isDone
            || operation.steps.contains { $0.detail.contains("failed several times in a row") }
        }
        #expect(ended.state == .succeeded)
        #expect(ended.steps.first { $0.step == .release }?.failures == threshold)
      }
      #expect(await engine.phase(.helm) == .closed)
      await engine.stop()
    }
  }

  @Test func oneClusterAndDependencyDoNotSpeakForAnother() {
    let clock = ManualClock()
    let metrics = MetricsRegistry()
    let breakers = DependencyBreakers(
      settings: CircuitBreaker.Settings(failureThreshold: 1), clock: clock, logger: quiet,
      metrics: EngineMetrics(metrics))
    guard case .admitted(let permit) = breakers.admit(.helm, in: "a") else {
      Issue.record("a new breaker is closed")
      return
    }
    breakers.record(.failed, for: permit)
    #expect(breakers.phase(.helm, in: "a") == .open && breakers.isOpen(.helm, in: "a"))
    #expect(!breakers.isOpen(.kubernetes, in: "a") && !breakers.isOpen(.helm, in: "b"))
    guard case .rejected = breakers.admit(.helm, in: "a") else {
      Issue.record("an open breaker admits nothing")
      return
    }
    #expect(breakers.phase(.kubernetes, in: "a") == .closed)
    #expect(breakers.phase(.helm, in: "b") == .closed)
    let shown = String(decoding: metrics.exposition(), as: UTF8.self)
    #expect(shown.contains(#"circuit_breaker_state{cluster="a",dependency="helm"} 2"#))
    #expect(
      shown.contains(
        #"circuit_breaker_transitions_total{cluster="a",dependency="helm",from="closed",to="open"} 1"#
      ))
    guard case .admitted(nil) = breakers.admit(nil, in: "a") else {
      Issue.record("what calls neither passes")
      return
    }
    // Clusters without end do not make breakers without end.
    for number in 0..<DependencyBreakers.clustersMax { _ = breakers.admit(.helm, in: "\(number)") }
    let isKnown = breakers.phase(.helm, in: "one more") == breakers.phase(.helm, in: "yet another")
    #expect(isKnown)
  }
}
