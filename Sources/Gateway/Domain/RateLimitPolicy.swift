package import Resilience

/// How often something may be done by one who does it.
package struct RateLimitPolicy: Hashable, Sendable {
  /// As the RateLimit-Policy field names it.
  package let name: String
  package let rate: TokenBucket.Rate

  /// - Parameter limit: how often in a `window`, and at most at once.
  package init(_ name: String, limit: Int64, per window: Duration) {
    self.name = name
    rate = TokenBucket.Rate(tokens: limit, per: window)
  }

  package var limit: Int64 { rate.tokens }

  /// For the `w` of the RateLimit-Policy field.
  package var windowSeconds: Int64 { max(1, rate.period.wholeSecondsUp) }
}

extension Duration {
  /// Whole seconds, rounded up: who waits so long does not come too early.
  package var wholeSecondsUp: Int64 {
    let (seconds, attoseconds) = components
    return attoseconds > 0 ? seconds + 1 : seconds
  }
}
