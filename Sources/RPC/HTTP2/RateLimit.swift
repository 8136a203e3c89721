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
struct LeakyBucket {
  private var level = 0.0
  private var countedAt: UInt64 = 0

  /// Counts one at `now`, in nanoseconds of a steady clock. False when that is over the limit.
  mutating func add(_ limit: RateLimit, now: UInt64) -> Bool {
    let elapsed = Double(now &- countedAt) / 1e9
    countedAt = now
    level = max(0, level - elapsed * limit.perSecond) + 1
    return level <= limit.burst
  }

  /// Takes some back.
  mutating func remove(_ count: Double) { level = max(0, level - count) }
}
