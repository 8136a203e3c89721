import Resilience
import TestKit
import Testing

/// Gives the same word for ever: 0 is the earliest wait, the largest word the latest.
private struct FixedGenerator: RandomNumberGenerator {
  let word: UInt64
  mutating func next() -> UInt64 { word }

  static let earliest = FixedGenerator(word: 0)
  static let middle = FixedGenerator(word: 1 << 63)
  static let latest = FixedGenerator(word: .max)
}

@Suite struct RetryPolicyTests {
  private func wait(
    _ policy: RetryPolicy, after failedAttempts: Int, retryAfter: Duration? = nil,
    _ generator: FixedGenerator
  ) -> Duration? {
    var generator = generator
    let decision = policy.decide(
      after: .retryable(retryAfter: retryAfter), failedAttempts: failedAttempts, using: &generator)
    guard case .retry(let wait) = decision else { return nil }
    return wait
  }

  @Test func delaysDoubleFromTheBase() {
    let policy = RetryPolicy(maximumAttempts: 20)
    let delays = (1...8).map { policy.delay(failedAttempts: $0) }
    #expect(
      delays == [
        .seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(16), .seconds(32),
        .seconds(60), .seconds(60),
      ])
    #expect(policy.delay(failedAttempts: 61) == .seconds(60))
    #expect(policy.delay(failedAttempts: .max) == .seconds(60))
  }

  @Test func defaultsGiveThreeAttempts() {
    let policy = RetryPolicy()
    #expect(wait(policy, after: 1, .middle) == .seconds(1))
    #expect(wait(policy, after: 2, .middle) == .seconds(2))
    var generator = FixedGenerator.middle
    #expect(
      policy.decide(after: .retryable(), failedAttempts: 3, using: &generator)
        == .giveUp(.attemptsUsedUp))
    #expect(
      policy.decide(after: .retryable(), failedAttempts: 4, using: &generator)
        == .giveUp(.attemptsUsedUp))
  }

  @Test func jitterIsAQuarterEitherWay() {
    let policy = RetryPolicy()
    #expect(wait(policy, after: 1, .earliest) == .milliseconds(750))
    #expect(wait(policy, after: 1, .latest) == .milliseconds(1250))
    let odd = RetryPolicy(base: .nanoseconds(3), maximumDelay: .nanoseconds(7))
    #expect(wait(odd, after: 1, .earliest) == .nanoseconds(5))
    #expect(wait(odd, after: 1, .latest) == .nanoseconds(7))
  }

  @Test func jitterSpreadsEvenly() {
    let policy = RetryPolicy()
    var generator = SplitMix64(seed: 7)
    var quarters = [0, 0, 0, 0]
    for _ in 0..<4000 {
      guard
        case .retry(let wait) = policy.decide(
          after: .retryable(), failedAttempts: 1, using: &generator)
      else { return #expect(Bool(false), "the first failure is retried") }
      #expect(wait >= .milliseconds(750) && wait <= .milliseconds(1250))
      quarters[min(3, Int((wait - .milliseconds(750)) / .milliseconds(125)))] += 1
    }
    #expect(quarters.allSatisfy { (900...1100).contains($0) }, "\(quarters)")
  }

  @Test func maximumDelayHoldsBeforeTheSpread() {
    let policy = RetryPolicy(
      base: .seconds(1), maximumDelay: .seconds(8), maximumAttempts: 99,
      retryAfterLimit: .seconds(8))
    #expect(wait(policy, after: 50, .latest) == .seconds(10))
    #expect(policy.longestWait == .seconds(10))
  }

  @Test func retryAfterIsAFloor() {
    let policy = RetryPolicy()
    #expect(wait(policy, after: 1, retryAfter: .milliseconds(10), .middle) == .seconds(1))
    #expect(wait(policy, after: 1, retryAfter: .seconds(20), .earliest) == .seconds(20))
    #expect(wait(policy, after: 1, retryAfter: .seconds(20), .latest) == .seconds(25))
    #expect(wait(policy, after: 1, retryAfter: .seconds(300), .earliest) == .seconds(300))
  }

  @Test func retryAfterBeyondTheLimitEndsIt() {
    var generator = FixedGenerator.middle
    let decision = RetryPolicy().decide(
      after: .retryable(retryAfter: .seconds(301)), failedAttempts: 1, using: &generator)
    #expect(decision == .giveUp(.retryAfterTooLong))
  }

  @Test func aWaitMustEndBeforeTheDeadline() {
    let policy = RetryPolicy()
    var generator = FixedGenerator.middle
    #expect(
      policy.decide(
        after: .retryable(), failedAttempts: 1, remaining: .seconds(1), using: &generator)
        == .giveUp(.deadlineTooClose))
    #expect(
      policy.decide(
        after: .retryable(), failedAttempts: 1, remaining: .seconds(1) + .nanoseconds(1),
        using: &generator) == .retry(after: .seconds(1)))
  }

  @Test func permanentFailuresAreNotRetried() {
    var generator = FixedGenerator.middle
    #expect(
      RetryPolicy().decide(after: .permanent, failedAttempts: 1, using: &generator)
        == .giveUp(.permanentFailure))
  }

  @Test func aSeedReplaysTheSameWaits() {
    func waits(seed: UInt64) -> [RetryPolicy.Decision] {
      var generator = SplitMix64(seed: seed)
      let policy = RetryPolicy(maximumAttempts: 10)
      return (1...9).map {
        policy.decide(after: .retryable(), failedAttempts: $0, using: &generator)
      }
    }
    #expect(waits(seed: 42) == waits(seed: 42))
    #expect(waits(seed: 42) != waits(seed: 43))
  }

  @Test func nonsensePoliciesAreRefused() async {
    await #expect(processExitsWith: .failure) { _ = RetryPolicy(base: .zero) }
    await #expect(processExitsWith: .failure) { _ = RetryPolicy(maximumAttempts: 0) }
    await #expect(processExitsWith: .failure) {
      _ = RetryPolicy(base: .seconds(2), maximumDelay: .seconds(1))
    }
  }
}
