import Glibc

/// Where the time comes from. Everything that waits, expires or backs off takes one of these (or the
/// instant read from it), so that tests turn the clock by hand.
package protocol TimeSource: Sendable {
  /// A clock that never goes back and goes on while the machine sleeps: leases and deadlines are
  /// measured with it. Its zero means nothing outside the machine it was read on.
  var now: MonotonicInstant { get }

  /// The calendar time, which an operator or NTP may set in either direction. For records, never for
  /// measuring.
  var wallNow: WallInstant { get }
}

/// The kernel's clocks: `CLOCK_BOOTTIME` (counts suspend) and `CLOCK_REALTIME`.
package struct SystemTimeSource: TimeSource {
  package init() {}

  package var now: MonotonicInstant {
    let time = Self.read(CLOCK_BOOTTIME)
    return MonotonicInstant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }

  package var wallNow: WallInstant {
    let time = Self.read(CLOCK_REALTIME)
    return WallInstant(seconds: Int64(time.tv_sec), nanoseconds: Int32(time.tv_nsec))
  }

  private static func read(_ clock: clockid_t) -> timespec {
    var time = timespec()
    // Only an unknown clock or a bad address fails, and neither can be here.
    let result = clock_gettime(clock, &time)
    precondition(result == 0, "clock_gettime(\(clock)) failed with errno \(errno)")
    return time
  }
}
