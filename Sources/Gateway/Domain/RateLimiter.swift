package import Resilience

/// The token buckets of one policy, one for each key, as this replica sees them.
///
/// A bucket here has the policy's whole rate. What replicas agree on is a bucket of the same rate in
/// the database: what was spent here is settled with it in the background, and what others spent is
/// then taken out of the bucket here. So one replica alone is exact; several together let through at
/// most what each can spend between two settlements more than the policy says. While the database is
/// away, each goes on by itself.
package struct RateLimiter {
  /// Keys known at once. Addresses come from outside: further ones share one bucket.
  package static let keysMax = 20_000
  /// Keys settled at once; the rest has its turn in the next round.
  package static let settledMax = 500
  /// The key that stands for all that are too many.
  package static let sharedKey = "*"
  private static let sweepInterval: Duration = .seconds(1)

  private struct Entry {
    var bucket: TokenBucket
    /// Spent and not settled yet.
    var unsettled: Int64 = 0
    /// The part of it that a settlement under way tells of.
    var settling: Int64 = 0
    var isWaiting = false
  }

  package let policy: RateLimitPolicy
  private let keysMax: Int
  private var entries: [String: Entry] = [:]
  /// Keys to be settled, each once.
  private var waiting: [String] = []
  private var nextSweep = MonotonicInstant(nanoseconds: 0)

  package init(_ policy: RateLimitPolicy, keysMax: Int = RateLimiter.keysMax) {
    self.policy = policy
    self.keysMax = keysMax
  }

  package var keyCount: Int { entries.count }

  /// Takes a token, where there is one.
  package mutating func take(_ key: String, at now: MonotonicInstant) -> TokenBucket.Decision {
    let key = admitted(key, at: now)
    var entry = entries[key] ?? Entry(bucket: TokenBucket(rate: policy.rate, at: now))
    let decision = entry.bucket.take(at: now)
    if decision.verdict == .allowed {
      entry.unsettled += 1
      if !entry.isWaiting {
        entry.isWaiting = true
        waiting.append(key)
      }
    }
    entries[key] = entry
    return decision
  }

  /// Whole tokens left, and how long until there is one.
  package mutating func state(
    of key: String, at now: MonotonicInstant
  ) -> (remaining: Int64, resetAfter: Duration) {
    let key = admitted(key, at: now)
    guard var entry = entries[key] else { return (policy.limit, .zero) }
    defer { entries[key] = entry }
    let remaining = entry.bucket.remaining(at: now)
    // Asked of a copy: nothing is taken.
    var copy = entry.bucket
    guard case .denied(let wait) = copy.take(at: now).verdict else { return (remaining, .zero) }
    return (remaining, wait)
  }

  private mutating func admitted(_ key: String, at now: MonotonicInstant) -> String {
    if entries[key] != nil || entries.count < keysMax { return key }
    if now >= nextSweep {
      nextSweep = now + Self.sweepInterval
      forgetFull(at: now)
      if entries.count < keysMax { return key }
    }
    return Self.sharedKey
  }

  /// A full bucket with nothing to settle says no more than a new one.
  private mutating func forgetFull(at now: MonotonicInstant) {
    entries = entries.filter { _, entry in
      var entry = entry
      return entry.isWaiting || entry.settling > 0 || !entry.bucket.isFull(at: now)
    }
  }

  // MARK: Settling

  /// What is to be told to the database, sorted by key. Each round is ended by `settled` or
  /// `notSettled`, before the next begins.
  package mutating func beginSettling() -> [(key: String, spent: Int64)] {
    let keys = waiting.prefix(Self.settledMax).sorted()
    waiting.removeFirst(keys.count)
    return keys.map { key in
      entries[key]?.isWaiting = false
      let spent = entries[key]?.unsettled ?? 0
      entries[key]?.settling = spent
      entries[key]?.unsettled = 0
      return (key, spent)
    }
  }

  /// - Parameter credit: the tokens in the bucket of all replicas; negative when they have together
  ///   let through too much.
  package mutating func settled(_ key: String, credit: Double, at now: MonotonicInstant) {
    guard var entry = entries[key] else { return }
    entry.settling = 0
    let shared = max(0, Int64(credit.rounded(.down)) - entry.unsettled)
    let excess = entry.bucket.remaining(at: now) - shared
    if excess > 0 { _ = entry.bucket.take(excess, at: now) }
    entries[key] = entry
  }

  /// The database did not answer: the round is added to the next.
  package mutating func notSettled(_ keys: [String]) {
    for key in keys {
      guard var entry = entries[key] else { continue }
      // Further than a whole bucket in debt nobody gets.
      entry.unsettled = min(policy.limit, entry.unsettled + entry.settling)
      entry.settling = 0
      if !entry.isWaiting {
        entry.isWaiting = true
        waiting.append(key)
      }
      entries[key] = entry
    }
  }
}
