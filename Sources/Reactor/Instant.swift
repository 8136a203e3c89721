import Glibc

/// A point on the clock that counts through suspension (CLOCK_BOOTTIME), in nanoseconds.
///
/// Leases are held by it: a machine that slept must find its lease over.
package struct Instant: Comparable, Hashable, Sendable {
  package let nanoseconds: UInt64

  package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  package static let distantFuture = Instant(nanoseconds: .max)

  package static func now() -> Instant {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
  }

  package static func < (left: Instant, right: Instant) -> Bool {
    left.nanoseconds < right.nanoseconds
  }

  /// Saturates at both ends; never traps.
  package static func + (instant: Instant, duration: Duration) -> Instant {
    let delta = duration.nanosecondsSaturating
    if delta >= 0 {
      let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(UInt64(delta))
      return Instant(nanoseconds: overflow ? .max : sum)
    }
    let magnitude = delta.magnitude
    return Instant(
      nanoseconds: instant.nanoseconds > magnitude ? instant.nanoseconds - magnitude : 0)
  }

  /// How long from `other` to this, negative when this is earlier.
  package static func - (left: Instant, right: Instant) -> Duration {
    left >= right
      ? .nanoseconds(Int64(clamping: left.nanoseconds - right.nanoseconds))
      : .nanoseconds(-Int64(clamping: right.nanoseconds - left.nanoseconds))
  }
}

extension Duration {
  /// Nanoseconds, clamped to what an Int64 holds (292 years).
  package var nanosecondsSaturating: Int64 {
    Int64(clamping: attoseconds / 1_000_000_000)
  }
}
