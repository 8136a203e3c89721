import Observability
import RPC
import RPCCore
import Reactor

/// The metrics of calls by method, which are the same on both sides. Confined to a reactor.
final class CallMetrics {
  private let started: Family<Counter>
  private let finished: Family<Counter>
  private let duration: Family<Histogram>
  private let inProgress: Family<Gauge>
  private let receivedBytes: Family<Counter>
  private let sentBytes: Family<Counter>
  private var instruments: [String: Instruments] = [:]
  /// Those used last: most calls are of few methods.
  private var latest: Instruments?

  private final class Instruments {
    let method: MethodDescriptor
    let started: Counter
    let duration: Histogram
    let inProgress: Gauge
    let receivedBytes: Counter
    let sentBytes: Counter
    /// By the number of their status.
    var finished = [Counter?](repeating: nil, count: StatusCode.allCases.count)

    init(_ method: MethodDescriptor, _ metrics: CallMetrics) {
      self.method = method
      let path = method.path
      started = metrics.started.with(path)
      duration = metrics.duration.with(path)
      inProgress = metrics.inProgress.with(path)
      receivedBytes = metrics.receivedBytes.with(path)
      sentBytes = metrics.sentBytes.with(path)
    }

    // Here, where nobody need hold the instruments one by one.

    func began() {
      started.increment()
      inProgress.add(1)
    }

    func ended(after nanoseconds: UInt64, receivedBytes: UInt64, sentBytes: UInt64) {
      inProgress.add(-1)
      duration.observe(nanoseconds)
      self.receivedBytes.increment(by: receivedBytes)
      self.sentBytes.increment(by: sentBytes)
    }
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
    receivedBytes = metrics.counters(
      "\(prefix)_received_message_bytes_total",
      help: "Bytes of messages received by calls that have ended, as they were on the wire.",
      labels: ["method"])
    sentBytes = metrics.counters(
      "\(prefix)_sent_message_bytes_total",
      help: "Bytes of messages sent by calls that have ended, as they were on the wire.",
      labels: ["method"])
  }

  func began(_ method: MethodDescriptor) {
    instruments(for: method).began()
  }

  func ended(
    _ method: MethodDescriptor, _ code: StatusCode, since begun: Instant, receivedBytes: Int,
    sentBytes: Int
  ) {
    let instruments = instruments(for: method)
    let now = Instant.now()
    instruments.ended(
      after: now > begun ? now.nanoseconds - begun.nanoseconds : 0,
      receivedBytes: UInt64(receivedBytes), sentBytes: UInt64(sentBytes))
    handled(instruments, code).increment()
  }

  private func instruments(for method: MethodDescriptor) -> Instruments {
    if let latest, latest.method === method { return latest }
    let known = instruments[method.path] ?? Instruments(method, self)
    instruments[method.path] = known
    latest = known
    return known
  }

  private func handled(_ instruments: Instruments, _ code: StatusCode) -> Counter {
    if let known = instruments.finished[code.rawValue] { return known }
    let made = finished.with(instruments.method.path, code.name)
    instruments.finished[code.rawValue] = made
    return made
  }
}
