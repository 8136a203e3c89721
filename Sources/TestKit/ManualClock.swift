package import Resilience
import Synchronization

/// A time source that stands still until a test moves it.
package final class ManualClock: TimeSource {
  private struct State {
    var now: MonotonicInstant
    var wallNow: WallInstant
  }

  private let state: Mutex<State>

  /// Starts away from zero, so that code which takes zero for "unset" shows.
  package init(
    now: MonotonicInstant = MonotonicInstant(nanoseconds: 1_000_000_000_000),
    wallNow: WallInstant = WallInstant(seconds: 1_750_000_000)
  ) {
    state = Mutex(State(now: now, wallNow: wallNow))
  }

  package var now: MonotonicInstant { state.withLock { $0.now } }

  package var wallNow: WallInstant { state.withLock { $0.wallNow } }

  /// Lets time pass on both clocks. A monotonic clock does not go back: `duration` is not negative.
  package func advance(by duration: Duration) {
    precondition(duration >= .zero, "a monotonic clock cannot go back by \(duration)")
    state.withLock {
      $0.now = $0.now + duration
      $0.wallNow = $0.wallNow.advanced(by: duration)
    }
  }

  /// Sets the calendar alone, as an operator or NTP does, in either direction.
  package func setWall(_ instant: WallInstant) {
    state.withLock { $0.wallNow = instant }
  }
}
