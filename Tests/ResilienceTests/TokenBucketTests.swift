import Resilience
import TestKit
import Testing

@Suite struct TokenBucketTests {
  private let start = MonotonicInstant(nanoseconds: 77)

  @Test func burstThenDenied() {
    var bucket = TokenBucket(rate: .init(tokens: 10, per: .seconds(1), burst: 3), at: start)
    for left in [2, 1, 0] as [Int64] {
      let decision = bucket.take(at: start)
      #expect(decision.verdict == .allowed)
      #expect(decision.limit == 3)
      #expect(decision.remaining == left)
      #expect(decision.resetAfter == .milliseconds(100 * (3 - left)))
    }
    let denied = bucket.take(at: start)
    #expect(denied.verdict == .denied(retryAfter: .milliseconds(100)))
    #expect(denied.remaining == 0)
    #expect(denied.resetAfter == .milliseconds(300))
  }

  @Test func theWaitIsExact() {
    var bucket = TokenBucket(rate: .init(tokens: 3, per: .seconds(1), burst: 1), at: start)
    #expect(bucket.take(at: start).verdict == .allowed)
    // A third of a second, rounded up to the nanosecond.
    let wait = Duration.nanoseconds(333_333_334)
    #expect(bucket.take(at: start).verdict == .denied(retryAfter: wait))
    let before = start + wait + .nanoseconds(-1)
    #expect(bucket.take(at: before).verdict == .denied(retryAfter: .nanoseconds(1)))
    #expect(bucket.take(at: start + wait).verdict == .allowed)
  }

  @Test func aDenialTakesNothing() {
    var bucket = TokenBucket(rate: .init(tokens: 1, per: .seconds(1), burst: 5), at: start)
    #expect(bucket.take(4, at: start).remaining == 1)
    #expect(bucket.take(3, at: start).verdict == .denied(retryAfter: .seconds(2)))
    #expect(bucket.remaining(at: start) == 1)
    #expect(bucket.take(1, at: start).verdict == .allowed)
  }

  @Test func moreThanTheBucketHoldsIsImpossible() {
    var bucket = TokenBucket(rate: .init(tokens: 5, per: .seconds(1)), at: start)
    #expect(bucket.take(6, at: start).verdict == .impossible)
    #expect(bucket.take(.max, at: start).verdict == .impossible)
    #expect(bucket.remaining(at: start) == 5)
  }

  @Test func idleTimeFillsToTheBurstOnly() {
    var bucket = TokenBucket(rate: .init(tokens: 10, per: .seconds(1), burst: 3), at: start)
    _ = bucket.take(3, at: start)
    let early = bucket.isFull(at: start + .milliseconds(299))
    #expect(!early)
    let full = bucket.isFull(at: start + .milliseconds(300))
    #expect(full)
    #expect(bucket.remaining(at: start + .seconds(86_400 * 365 * 100)) == 3)
    #expect(bucket.remaining(at: .distantFuture) == 3)
  }

  @Test func aClockThatStepsBackGivesNothing() {
    var bucket = TokenBucket(rate: .init(tokens: 1, per: .seconds(1), burst: 1), at: start)
    let later = start + .seconds(10)
    #expect(bucket.take(at: later).verdict == .allowed)
    #expect(bucket.take(at: start).verdict == .denied(retryAfter: .seconds(1)))
    #expect(bucket.take(at: later).verdict == .denied(retryAfter: .seconds(1)))
  }

  @Test func longRunRateIsExact() {
    var bucket = TokenBucket(rate: .init(tokens: 7, per: .seconds(1), burst: 1), at: start)
    var generator = SplitMix64(seed: 3)
    var now = start
    var allowed = 0
    while now < start + .seconds(1000) {
      if bucket.take(at: now).verdict == .allowed { allowed += 1 }
      now = now + .microseconds(Int64.random(in: 1...400, using: &generator))
    }
    // A burst of one, refilled 7,000 times; each refill waits for the next knock (0.2 ms of 143 ms).
    #expect((6_980...7_001).contains(allowed), "\(allowed)")
  }

  @Test func aCostOfNothingIsAlwaysAllowed() {
    var bucket = TokenBucket(rate: .init(tokens: 1, per: .seconds(1)), at: start)
    _ = bucket.take(at: start)
    #expect(bucket.take(0, at: start).verdict == .allowed)
  }

  @Test func ratesBeyondTheArithmeticAreRefused() async {
    await #expect(processExitsWith: .failure) {
      _ = TokenBucket.Rate(tokens: 1, per: .seconds(3600), burst: .max)
    }
    await #expect(processExitsWith: .failure) { _ = TokenBucket.Rate(tokens: 0, per: .seconds(1)) }
    await #expect(processExitsWith: .failure) { _ = TokenBucket.Rate(tokens: 1, per: .zero) }
  }
}
