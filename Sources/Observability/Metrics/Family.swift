import Synchronization

/// All series of one metric: the same name, a handle for each combination of label values.
///
/// Label values may come from outside, so their number is bounded: beyond `seriesMaximum` combinations
/// all further ones share the series whose labels all read `other`, and the registry counts each such
/// request.
package final class Family<Instrument: Sendable>: Sendable {
  package let name: String
  package let labels: [String]
  let seriesMaximum: Int
  private let make: @Sendable () -> Instrument
  private let overflow: Counter
  private let series = Mutex<[[String]: Instrument]>([:])

  init(
    name: String, labels: [String], seriesMaximum: Int, overflow: Counter,
    make: @escaping @Sendable () -> Instrument
  ) {
    self.name = name
    self.labels = labels
    self.seriesMaximum = seriesMaximum
    self.overflow = overflow
    self.make = make
  }

  /// The handle for these label values, in the order of `labels`. Takes a lock and hashes: keep what it
  /// returns where the hot path is.
  package func with(_ values: String...) -> Instrument { with(values) }

  package func with(_ values: [String]) -> Instrument {
    precondition(
      values.count == labels.count,
      "\(name) has the labels \(labels), and was given \(values.count) values")
    let key = values.map(MetricsRegistry.bounded)
    return series.withLock { series in
      if let known = series[key] { return known }
      if series.count < seriesMaximum {
        let made = make()
        series[key] = made
        return made
      }
      overflow.increment()
      let other = labels.map { _ in MetricsRegistry.otherLabelValue }
      if let known = series[other] { return known }
      let made = make()
      series[other] = made
      return made
    }
  }

  /// Shows the series no more, until it is asked for again. A handle that was kept counts for nothing.
  package func remove(_ values: [String]) {
    series.withLock { $0[values.map(MetricsRegistry.bounded)] = nil }
  }

  /// Every series with its label values, in their order.
  func all() -> [(values: [String], instrument: Instrument)] {
    let all = series.withLock { $0.map { (values: $0.key, instrument: $0.value) } }
    return all.sorted { $0.values.lexicographicallyPrecedes($1.values) }
  }
}
