import Observability
import RPCCore
import Reactor

/// The metrics of calls by method, which are the same on both sides. Confined to a reactor.
final class CallMetrics {
  private let started: Family<Counter>
  private let finished: Family<Counter>
  private let duration: Family<Histogram>
  private let inProgress: Family<Gauge>
  private var instruments: [String: Instruments] = [:]

  private struct Instruments {
    let started: Counter
    let duration: Histogram
    let inProgress: Gauge
    var finished: [StatusCode: Counter] = [:]
  }

  init(_ metrics: MetricsRegistry, prefix: String) {
    started = metrics.counters(
      "\(prefix)_started_total", help: "Calls begun.", labels: ["method"])
    finished = metrics.counters(
      "\(prefix)_handled_total", help: "Calls ended, by status.", labels: ["method", "code"])
    duration = metrics.histograms(
      "\(prefix)_handling_seconds", help: "How long calls took.", bounds: Histogram.callBounds,
      labels: ["method"])
    inProgress = metrics.gauges(
      "\(prefix)_in_progress", help: "Calls under way.", labels: ["method"])
  }

  func began(_ path: String) {
    let instruments = instruments(for: path)
    instruments.started.increment()
    instruments.inProgress.add(1)
  }

  func ended(_ path: String, _ code: StatusCode, after elapsed: Duration) {
    let instruments = instruments(for: path)
    instruments.inProgress.add(-1)
    instruments.duration.observe(elapsed)
    handled(path, code).increment()
  }

  private func instruments(for path: String) -> Instruments {
    if let known = instruments[path] { return known }
    let made = Instruments(
      started: started.with(path), duration: duration.with(path), inProgress: inProgress.with(path))
    instruments[path] = made
    return made
  }

  private func handled(_ path: String, _ code: StatusCode) -> Counter {
    if let known = instruments[path]?.finished[code] { return known }
    let made = finished.with(path, code.name)
    instruments[path]?.finished[code] = made
    return made
  }
}
