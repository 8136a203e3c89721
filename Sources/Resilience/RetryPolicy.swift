/// How often and how far apart a failed attempt is tried again: after the n-th failure the wait is
/// `base × 2^n`, at most `maximumDelay`, spread by ±25 %.
///
/// With the default base the waits are 1 s and 2 s around two retries, then the attempts are used up.
/// Which failures are worth another attempt is the caller's knowledge and passed in.
package struct RetryPolicy: Sendable, Hashable {
  /// The spread is this fraction (a quarter) of the delay in both directions, so that many stores that
  /// failed together do not return together.
  private static let jitterDivisor: Int64 = 4

  /// A peer that asks for more patience than this is taken as down: the attempt fails now, with a
  /// reason, instead of in an hour.
  package static let defaultRetryAfterLimit = Duration.seconds(300)

  package let base: Duration
  /// Bounds the delay before it is spread; `longestWait` is what can come out.
  package let maximumDelay: Duration
  /// Attempts in all, the first included.
  package let maximumAttempts: Int
  package let retryAfterLimit: Duration

  package init(
    base: Duration = .milliseconds(500), maximumDelay: Duration = .seconds(60),
    maximumAttempts: Int = 3, retryAfterLimit: Duration = RetryPolicy.defaultRetryAfterLimit
  ) {
    precondition(base > .zero, "the base delay must be above zero")
    precondition(maximumDelay >= base, "the maximum delay must not be under the base delay")
    precondition(maximumAttempts >= 1, "there is always one attempt")
    precondition(retryAfterLimit >= .zero, "the Retry-After limit must not be negative")
    self.base = base
    self.maximumDelay = maximumDelay
    self.maximumAttempts = maximumAttempts
    self.retryAfterLimit = retryAfterLimit
  }

  /// What the caller makes of a failure.
  package enum Failure: Sendable, Hashable {
    /// The same call may succeed later. `retryAfter` is the peer's own wish (Retry-After, RFC 9110
    /// section 10.2.3), a floor under the delay.
    case retryable(retryAfter: Duration? = nil)
    /// Trying again gives the same failure: a user's error, a refusal, a conflict.
    case permanent
  }

  package enum Decision: Sendable, Hashable {
    case retry(after: Duration)
    case giveUp(Reason)
  }

  package enum Reason: Sendable, Hashable {
    case permanentFailure
    case attemptsUsedUp
    /// The wait would end at or after the deadline.
    case deadlineTooClose
    /// The peer asked to wait longer than `retryAfterLimit`.
    case retryAfterTooLong
  }

  /// - Parameters:
  ///   - failedAttempts: how many attempts have failed, the last one included: 1 or more.
  ///   - remaining: what is left of the deadline; nil when the caller has none to keep here.
  package func decide(
    after failure: Failure, failedAttempts: Int, remaining: Duration? = nil,
    using generator: inout some RandomNumberGenerator
  ) -> Decision {
    precondition(failedAttempts >= 1, "a decision is asked for after a failure")
    guard case .retryable(let retryAfter) = failure else { return .giveUp(.permanentFailure) }
    guard failedAttempts < maximumAttempts else { return .giveUp(.attemptsUsedUp) }
    var wait = Self.spread(delay(failedAttempts: failedAttempts), using: &generator)
    if let retryAfter {
      guard retryAfter <= retryAfterLimit else { return .giveUp(.retryAfterTooLong) }
      // Never sooner than asked, and not all at once either: the whole spread goes upwards.
      if wait < retryAfter { wait = Self.lengthen(retryAfter, using: &generator) }
    }
    if let remaining, wait >= remaining { return .giveUp(.deadlineTooClose) }
    return .retry(after: wait)
  }

  /// The delay before it is spread: `base × 2^failedAttempts`, at most `maximumDelay`.
  package func delay(failedAttempts: Int) -> Duration {
    let ceiling = maximumDelay.nanosecondsSaturated
    let start = base.nanosecondsSaturated
    // 62 doublings carry any base of a nanosecond or more past every ceiling.
    guard failedAttempts < 62, start <= ceiling >> Int64(failedAttempts) else {
      return maximumDelay
    }
    return .nanoseconds(start << Int64(failedAttempts))
  }

  /// The most that `decide` can answer.
  package var longestWait: Duration {
    let longest = max(maximumDelay, retryAfterLimit).nanosecondsSaturated
    return .nanoseconds(longest.addingSaturated(longest / Self.jitterDivisor))
  }

  private static func spread(
    _ delay: Duration, using generator: inout some RandomNumberGenerator
  ) -> Duration {
    let middle = delay.nanosecondsSaturated
    let reach = middle / jitterDivisor
    let offset = Int64(scaled(generator.next(), below: UInt64(2 * reach) + 1)) - reach
    return .nanoseconds(middle.addingSaturated(offset))
  }

  private static func lengthen(
    _ delay: Duration, using generator: inout some RandomNumberGenerator
  ) -> Duration {
    let floor = delay.nanosecondsSaturated
    let extra = Int64(scaled(generator.next(), below: UInt64(floor / jitterDivisor) + 1))
    return .nanoseconds(floor.addingSaturated(extra))
  }

  /// Maps a random word to 0..<limit by its high product: one word each, so that a seed replays
  /// exactly; the bias is under limit / 2^64.
  private static func scaled(_ word: UInt64, below limit: UInt64) -> UInt64 {
    word.multipliedFullWidth(by: limit).high
  }
}
