import Synchronization

/// A number that only grows. A handle to keep: obtained once, then one atomic addition each time, from
/// any thread.
package final class Counter: Sendable {
  private let count = Atomic<UInt64>(0)

  init() {}

  package func increment(by amount: UInt64 = 1) {
    count.wrappingAdd(amount, ordering: .relaxed)
  }

  package var value: UInt64 { count.load(ordering: .relaxed) }
}

/// A number that goes up and down. A handle to keep, as a counter is.
package final class Gauge: Sendable {
  private let level = Atomic<Int64>(0)

  init() {}

  package func set(_ value: Int64) {
    level.store(value, ordering: .relaxed)
  }

  package func add(_ amount: Int64) {
    level.wrappingAdd(amount, ordering: .relaxed)
  }

  package var value: Int64 { level.load(ordering: .relaxed) }
}

/// How many observations fell under each of some fixed bounds, and their sum. Observations are whole
/// numbers of the smallest unit (nanoseconds, bytes); two atomic additions each, from any thread.
package final class Histogram: Sendable {
  /// The unit that is observed, and the base unit that Prometheus is given.
  package enum Unit: Sendable, Hashable {
    /// Observed in nanoseconds, shown in seconds.
    case seconds
    /// Observed and shown in bytes.
    case bytes
    /// Observed and shown as a number of things.
    case count

    /// Divides, since 0.005 is 5,000,000 / 1e9 and not 5,000,000 × 1e-9.
    var divisor: Double { self == .seconds ? 1e9 : 1 }
  }

  /// Buckets are kept small in number: each is a series for each combination of labels.
  package static let boundsMaximum = 32

  let unit: Unit
  /// Upper bounds, inclusive, in observed units, growing.
  let bounds: [UInt64]
  /// One a bound, one for everything above, and the sum.
  private nonisolated(unsafe) let cells: UnsafeMutablePointer<Atomic<UInt64>>

  init(unit: Unit, bounds: [UInt64]) {
    self.unit = unit
    self.bounds = bounds
    cells = .allocate(capacity: bounds.count + 2)
    for index in 0..<bounds.count + 2 { (cells + index).initialize(to: Atomic(0)) }
  }

  deinit {
    cells.deinitialize(count: bounds.count + 2)
    cells.deallocate()
  }

  /// - Parameter value: in observed units: nanoseconds for `.seconds`.
  package func observe(_ value: UInt64) {
    var index = 0
    while index < bounds.count, value > bounds[index] { index += 1 }
    cells[index].wrappingAdd(1, ordering: .relaxed)
    cells[bounds.count + 1].wrappingAdd(value, ordering: .relaxed)
  }

  /// Observes a length of time; a negative one counts as zero.
  package func observe(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    if seconds < 0 || attoseconds < 0 { return observe(0) }
    let (scaled, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    let (nanoseconds, carried) = scaled.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000))
    observe(overflow || carried ? .max : nanoseconds)
  }

  /// Counts a bucket (not cumulative, the last one above all bounds), and the sum in observed units.
  /// Taken bucket by bucket: an observation made meanwhile may be in one and not yet in the other.
  func snapshot() -> (counts: [UInt64], sum: UInt64) {
    let counts = (0...bounds.count).map { cells[$0].load(ordering: .relaxed) }
    return (counts, cells[bounds.count + 1].load(ordering: .relaxed))
  }

  /// Bounds for durations of calls: 0.5 ms to 10 s.
  package static let callBounds: [Duration] = [
    .microseconds(500), .milliseconds(1), .milliseconds(2), .milliseconds(5), .milliseconds(10),
    .milliseconds(25), .milliseconds(50), .milliseconds(100), .milliseconds(250),
    .milliseconds(500), .seconds(1), .milliseconds(2500), .seconds(5), .seconds(10),
  ]
}
