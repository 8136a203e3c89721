/// A token bucket in whole numbers: exact at any rate, with no drift and no rounding in favour of the
/// caller. `tokens` flow in evenly over each `period`; at most `burst` are kept.
package struct TokenBucket: Sendable {
  package struct Rate: Sendable, Hashable {
    package let tokens: Int64
    package let period: Duration
    package let burst: Int64

    /// - Parameters:
    ///   - tokens: how many flow in a period: 1 or more.
    ///   - burst: how many can be saved up, and so taken at once; `tokens` unless given.
    package init(tokens: Int64, per period: Duration, burst: Int64? = nil) {
      precondition(tokens >= 1, "a rate gives at least one token a period")
      precondition(period >= .nanoseconds(1), "a rate's period must be a nanosecond or more")
      let burst = burst ?? tokens
      precondition(burst >= 1, "a bucket holds at least one token")
      let (_, overflow) = burst.multipliedReportingOverflow(by: period.nanosecondsSaturated)
      precondition(!overflow, "burst × period is beyond 292 years in nanoseconds")
      self.tokens = tokens
      self.period = period
      self.burst = burst
    }
  }

  /// The answer to one request, with what the RateLimit and Retry-After headers need.
  package struct Decision: Sendable, Hashable {
    package enum Verdict: Sendable, Hashable {
      case allowed
      /// The tokens are there after this long, if nobody takes them before.
      case denied(retryAfter: Duration)
      /// More tokens than the bucket can ever hold: waiting does not help.
      case impossible
    }

    package let verdict: Verdict
    /// The most the bucket holds.
    package let limit: Int64
    /// Whole tokens left after this decision.
    package let remaining: Int64
    /// How long until the bucket is full again.
    package let resetAfter: Duration
  }

  package let rate: Rate
  private let periodNanoseconds: Int64
  /// What is in the bucket, in tokens × nanoseconds of the period: a token is `periodNanoseconds` of
  /// it, and each nanosecond adds `rate.tokens`.
  private var credit: Int64
  private var updated: MonotonicInstant

  /// A full bucket.
  package init(rate: Rate, at now: MonotonicInstant) {
    self.rate = rate
    periodNanoseconds = rate.period.nanosecondsSaturated
    credit = rate.burst * periodNanoseconds
    updated = now
  }

  /// Takes `cost` tokens if all of them are there, and nothing otherwise.
  package mutating func take(_ cost: Int64 = 1, at now: MonotonicInstant) -> Decision {
    precondition(cost >= 0, "a cost is not negative")
    refill(at: now)
    if cost > rate.burst { return decision(.impossible) }
    let price = cost * periodNanoseconds
    guard price <= credit else {
      return decision(.denied(retryAfter: timeToGain(price - credit)))
    }
    credit -= price
    return decision(.allowed)
  }

  /// Whole tokens that can be taken now.
  package mutating func remaining(at now: MonotonicInstant) -> Int64 {
    refill(at: now)
    return credit / periodNanoseconds
  }

  /// True when nothing would be lost by forgetting this bucket and starting a new one.
  package mutating func isFull(at now: MonotonicInstant) -> Bool {
    refill(at: now)
    return credit == capacity
  }

  private var capacity: Int64 { rate.burst * periodNanoseconds }

  private mutating func refill(at now: MonotonicInstant) {
    guard now > updated else { return }
    let elapsed = (now - updated).nanosecondsSaturated
    updated = now
    let (gained, overflow) = elapsed.multipliedReportingOverflow(by: rate.tokens)
    credit = overflow || gained >= capacity - credit ? capacity : credit + gained
  }

  private func decision(_ verdict: Decision.Verdict) -> Decision {
    Decision(
      verdict: verdict, limit: rate.burst, remaining: credit / periodNanoseconds,
      resetAfter: timeToGain(capacity - credit))
  }

  /// Rounded up: after it, the tokens are there.
  private func timeToGain(_ missing: Int64) -> Duration {
    let (whole, rest) = missing.quotientAndRemainder(dividingBy: rate.tokens)
    return .nanoseconds(rest > 0 ? whole + 1 : whole)
  }
}
