import HTTP
import Observability
import RPCCore

/// What the edge counts.
final class EdgeMetrics {
  private let requests: Family<Counter>
  private let durations: Family<Histogram>
  private let limited: Family<Counter>
  private let upstreamErrors: Family<Counter>
  let inProgress: Gauge
  let streams: Gauge

  init(_ registry: MetricsRegistry) {
    requests = registry.counters(
      "gateway_requests_total", help: "Requests answered, by route template and status.",
      labels: ["route", "method", "status"])
    durations = registry.histograms(
      "gateway_request_seconds",
      help: "From a request's head to the end of its answer, streams left out.",
      bounds: Histogram.callBounds, labels: ["route"])
    limited = registry.counters(
      "gateway_rate_limited_total", help: "Requests refused by a limit.", labels: ["policy"])
    upstreamErrors = registry.counters(
      "gateway_upstream_errors_total", help: "Calls to services that failed, by status.",
      labels: ["service", "code"])
    inProgress = registry.gauge("gateway_requests_in_progress", help: "Requests being answered.")
    streams = registry.gauge("gateway_streams", help: "Streams being sent.")
  }

  /// - Parameter duration: nil for a stream, which lasts as long as its client wishes.
  func answered(_ exchange: EdgeExchange, _ duration: Duration?) {
    // Of methods nobody has heard of there is no end.
    let method = exchange.destination == nil ? "none" : exchange.request.head.method.name
    requests.with(exchange.route, method, "\(exchange.status?.code ?? 0)").increment()
    if let duration { durations.with(exchange.route).observe(duration) }
  }

  func rateLimited(by policy: String) { limited.with(policy).increment() }

  func upstreamFailed(_ service: String, _ code: StatusCode) {
    upstreamErrors.with(service, code.name).increment()
  }
}
