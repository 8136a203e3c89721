import Synchronization

/// The metrics of a process, written out for Prometheus when asked.
///
/// Registration, look-up of labelled series and scraping take a lock; handles do not. One registry serves
/// every reactor of a process. Names and labels are part of the program: a wrong one stops it at the
/// start, with the reason.
package final class MetricsRegistry: Sendable {
  package static let familiesMaximum = 500
  package static let seriesDefault = 200
  package static let labelsMaximum = 8
  package static let labelValueBytesMaximum = 128
  package static let otherLabelValue = "other"
  package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  enum Kind: String {
    case counter, gauge, histogram
  }

  /// Values that somebody else keeps, read at the scrape.
  package struct Sample: Sendable {
    let name: String
    let help: String
    let kind: Kind
    let value: Double

    package static func counter(_ name: String, help: String, _ value: Double) -> Sample {
      Sample(name: name, help: help, kind: .counter, value: value)
    }

    package static func gauge(_ name: String, help: String, _ value: Double) -> Sample {
      Sample(name: name, help: help, kind: .gauge, value: value)
    }
  }

  enum Series {
    case counters(Family<Counter>)
    case gauges(Family<Gauge>)
    case histograms(Family<Histogram>)
  }

  struct Entry {
    let help: String
    let series: Series
  }

  private struct State {
    var entries: [String: Entry] = [:]
    var collectors: [@Sendable () -> [Sample]] = []
  }

  private let state = Mutex(State())
  private let overflow: Counter

  /// A registry that holds `metrics_series_overflow_total` alone.
  package init() {
    let counter = Counter()
    overflow = counter
    let family = Family(
      name: "metrics_series_overflow_total", labels: [], seriesMaximum: 1, overflow: counter,
      make: { counter })
    _ = family.with([])
    add(family.name, "Requests for a labelled series that went to the series named other.") {
      .counters(family)
    }
  }

  // MARK: Registration. The same name with the same shape gives what is there already.

  package func counter(_ name: String, help: String) -> Counter {
    counters(name, help: help, labels: []).with([])
  }

  package func gauge(_ name: String, help: String) -> Gauge {
    gauges(name, help: help, labels: []).with([])
  }

  package func histogram(_ name: String, help: String, bounds: [Duration]) -> Histogram {
    histograms(name, help: help, bounds: bounds, labels: []).with([])
  }

  package func counters(
    _ name: String, help: String, labels: [String], seriesMaximum: Int = seriesDefault
  ) -> Family<Counter> {
    let overflow = overflow
    let series = add(name, help) {
      .counters(
        Family(
          name: name, labels: labels, seriesMaximum: seriesMaximum, overflow: overflow,
          make: { Counter() }))
    }
    guard case .counters(let family) = series, family.labels == labels else { mismatch(name) }
    return checked(family)
  }

  package func gauges(
    _ name: String, help: String, labels: [String], seriesMaximum: Int = seriesDefault
  ) -> Family<Gauge> {
    let overflow = overflow
    let series = add(name, help) {
      .gauges(
        Family(
          name: name, labels: labels, seriesMaximum: seriesMaximum, overflow: overflow,
          make: { Gauge() }))
    }
    guard case .gauges(let family) = series, family.labels == labels else { mismatch(name) }
    return checked(family)
  }

  /// A histogram of durations: observed in nanoseconds or as a Duration, shown in seconds.
  package func histograms(
    _ name: String, help: String, bounds: [Duration], labels: [String],
    seriesMaximum: Int = seriesDefault
  ) -> Family<Histogram> {
    let nanoseconds = bounds.map { bound in
      let (seconds, attoseconds) = bound.components
      return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    }
    return histograms(
      name, help: help, unit: .seconds, bounds: nanoseconds, labels: labels,
      seriesMaximum: seriesMaximum)
  }

  /// - Parameter bounds: inclusive upper bounds in observed units, growing.
  package func histograms(
    _ name: String, help: String, unit: Histogram.Unit, bounds: [UInt64], labels: [String],
    seriesMaximum: Int = seriesDefault
  ) -> Family<Histogram> {
    precondition(
      (1...Histogram.boundsMaximum).contains(bounds.count)
        && zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 },
      "\(name): 1 to \(Histogram.boundsMaximum) bounds are needed, each above the one before")
    precondition(!labels.contains("le"), "\(name): the label le belongs to the buckets")
    let overflow = overflow
    let series = add(name, help) {
      .histograms(
        Family(
          name: name, labels: labels, seriesMaximum: seriesMaximum, overflow: overflow,
          make: { Histogram(unit: unit, bounds: bounds) }))
    }
    guard case .histograms(let family) = series, family.labels == labels else { mismatch(name) }
    return checked(family)
  }

  /// Adds values that are read when a scrape asks. Runs on the scraping thread and must not block.
  package func collect(_ collector: @escaping @Sendable () -> [Sample]) {
    state.withLock { state in
      precondition(
        state.collectors.count < Self.familiesMaximum,
        "a registry takes \(Self.familiesMaximum) collectors")
      state.collectors.append(collector)
    }
  }

  // MARK: Scraping

  /// The Prometheus text format 0.0.4, metrics in the order of their names.
  package func exposition() -> [UInt8] {
    let (entries, collectors) = state.withLock { ($0.entries, $0.collectors) }
    var writer = ExpositionWriter()
    for (name, entry) in entries.sorted(by: { $0.key < $1.key }) {
      writer.append(name: name, entry: entry)
    }
    var seen = Set(entries.keys)
    for sample in collectors.flatMap({ $0() }) where seen.insert(sample.name).inserted {
      writer.append(sample)
    }
    return writer.bytes
  }

  // MARK: Checks

  /// Cut at a whole character, so that what is stored and what is looked up are the same.
  static func bounded(_ value: String) -> String {
    guard value.utf8.count > labelValueBytesMaximum else { return value }
    var cut = value
    cut.removeAll(keepingCapacity: false)
    for character in value.unicodeScalars {
      guard cut.utf8.count + UTF8.width(character) <= labelValueBytesMaximum else { break }
      cut.unicodeScalars.append(character)
    }
    return cut
  }

  @discardableResult
  private func add(_ name: String, _ help: String, make: () -> Series) -> Series {
    precondition(
      Self.isMetricName(name), "\"\(name)\" is not a metric name: [a-zA-Z_:][a-zA-Z0-9_:]*")
    return state.withLock { state in
      if let known = state.entries[name] { return known.series }
      precondition(
        state.entries.count < Self.familiesMaximum,
        "a registry takes \(Self.familiesMaximum) metrics"
      )
      let series = make()
      state.entries[name] = Entry(help: help, series: series)
      return series
    }
  }

  private func checked<Instrument>(_ family: Family<Instrument>) -> Family<Instrument> {
    precondition(
      family.labels.count <= Self.labelsMaximum,
      "\(family.name): at most \(Self.labelsMaximum) labels")
    for label in family.labels {
      precondition(
        Self.isMetricName(label) && !label.contains(":") && !label.hasPrefix("__"),
        "\(family.name): \"\(label)\" is not a label name: [a-zA-Z_][a-zA-Z0-9_]*, not __…")
    }
    return family
  }

  private func mismatch(_ name: String) -> Never {
    preconditionFailure("\(name) is registered already, with another type or other labels")
  }

  private static func isMetricName(_ name: String) -> Bool {
    guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
    else { return false }
    return name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: ":"):
        true
      default: false
      }
    }
  }
}
