/// How often something may happen: `burst` times at once, and `perSecond` over time.
package struct RateLimit: Sendable, Equatable {
  package var burst: Double
  package var perSecond: Double

  package init(burst: Double, perSecond: Double) {
    self.burst = burst
    self.perSecond = perSecond
  }
}

/// Counts what a `RateLimit` bounds: fills by one each time and leaks over time.
package struct LeakyBucket {
  private var level = 0.0
  private var countedAt: UInt64 = 0

  package init() {}

  /// Counts one, or `count`, at `now`, in nanoseconds of a steady clock. False when that is over the
  /// limit.
  package mutating func add(_ count: Double = 1, within limit: RateLimit, now: UInt64) -> Bool {
    let elapsed = Double(now &- countedAt) / 1e9
    countedAt = now
    level = max(0, level - elapsed * limit.perSecond) + count
    return level <= limit.burst
  }

  /// How long after the last count it is within the limit again.
  package func excess(over limit: RateLimit) -> Duration {
    .seconds(max(0, level - limit.burst) / limit.perSecond)
  }

  /// Takes some back.
  mutating func remove(_ count: Double) { level = max(0, level - count) }
}
