/// A point on the machine's monotonic clock, in nanoseconds since boot, suspend included.
/// Arithmetic saturates: `far future + anything` stays the far future.
package struct MonotonicInstant: Comparable, Hashable, Sendable, CustomStringConvertible {
  package let nanoseconds: Int64

  package static let distantFuture = MonotonicInstant(nanoseconds: .max)

  package init(nanoseconds: Int64) {
    self.nanoseconds = nanoseconds
  }

  package func advanced(by duration: Duration) -> MonotonicInstant {
    MonotonicInstant(nanoseconds: nanoseconds.addingSaturated(duration.nanosecondsSaturated))
  }

  /// How long from this instant to `other`; negative when `other` is earlier.
  package func duration(to other: MonotonicInstant) -> Duration {
    .nanoseconds(other.nanoseconds.subtractingSaturated(nanoseconds))
  }

  package static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool {
    left.nanoseconds < right.nanoseconds
  }

  package static func + (instant: MonotonicInstant, duration: Duration) -> MonotonicInstant {
    instant.advanced(by: duration)
  }

  package static func - (later: MonotonicInstant, earlier: MonotonicInstant) -> Duration {
    earlier.duration(to: later)
  }

  package var description: String { "boot+\(nanoseconds)ns" }
}

/// A point in calendar time: seconds since 1970-01-01T00:00:00Z (leap seconds not counted) and
/// nanoseconds within that second, 0...999,999,999.
package struct WallInstant: Comparable, Hashable, Sendable {
  package let seconds: Int64
  package let nanoseconds: Int32

  package init(seconds: Int64, nanoseconds: Int32 = 0) {
    precondition(
      (0..<1_000_000_000).contains(nanoseconds),
      "nanoseconds \(nanoseconds) are not within a second")
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  package func advanced(by duration: Duration) -> WallInstant {
    let shift = duration.nanosecondsSaturated
    let (wholeSeconds, rest) = shift.quotientAndRemainder(dividingBy: 1_000_000_000)
    var second = seconds.addingSaturated(wholeSeconds)
    var nanosecond = Int64(nanoseconds) + rest
    if nanosecond < 0 {
      nanosecond += 1_000_000_000
      second = second.subtractingSaturated(1)
    } else if nanosecond >= 1_000_000_000 {
      nanosecond -= 1_000_000_000
      second = second.addingSaturated(1)
    }
    return WallInstant(seconds: second, nanoseconds: Int32(nanosecond))
  }

  package static func < (left: WallInstant, right: WallInstant) -> Bool {
    (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
  }
}

extension Duration {
  package var seconds: Double {
    let (seconds, attoseconds) = components
    return Double(seconds) + Double(attoseconds) / 1e18
  }

  /// Whole nanoseconds (towards zero), held to what Int64 can say: ±292 years.
  package var nanosecondsSaturated: Int64 {
    let (seconds, attoseconds) = components
    let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds < 0 ? .min : .max }
    return scaled.addingSaturated(attoseconds / 1_000_000_000)
  }
}

extension Int64 {
  func addingSaturated(_ other: Int64) -> Int64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? (other < 0 ? .min : .max) : sum
  }

  func subtractingSaturated(_ other: Int64) -> Int64 {
    let (difference, overflow) = subtractingReportingOverflow(other)
    return overflow ? (other < 0 ? .max : .min) : difference
  }
}
