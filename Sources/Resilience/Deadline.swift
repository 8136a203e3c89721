/// The instant after which nobody waits for an answer. What is left of it travels with every call
/// that a call makes.
package struct Deadline: Comparable, Hashable, Sendable {
  package let instant: MonotonicInstant

  package init(at instant: MonotonicInstant) {
    self.instant = instant
  }

  /// - Parameter duration: from `now` on; zero or less is a deadline that has passed already.
  package init(after duration: Duration, from now: MonotonicInstant) {
    instant = now + duration
  }

  /// What is left, never negative.
  package func remaining(at now: MonotonicInstant) -> Duration {
    max(.zero, instant - now)
  }

  /// True from the instant itself on.
  package func hasPassed(at now: MonotonicInstant) -> Bool {
    instant <= now
  }

  /// The stricter of two deadlines: a callee never has longer than its caller.
  package func earlier(_ other: Deadline) -> Deadline {
    min(self, other)
  }

  package static func < (left: Deadline, right: Deadline) -> Bool {
    left.instant < right.instant
  }
}
