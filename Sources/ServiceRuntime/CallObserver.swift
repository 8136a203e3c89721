package import Logging
package import Observability
package import RPC
import RPCCore
import Reactor

/// Counts and times every call, and writes one log line for each.
package final class CallObserver: ServerInterceptor {
  private let logger: Logger
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

  package init(logger: Logger, metrics: MetricsRegistry) {
    self.logger = logger
    started = metrics.counters(
      "grpc_server_started_total", help: "Calls begun.", labels: ["method"])
    finished = metrics.counters(
      "grpc_server_handled_total", help: "Calls ended, by status.", labels: ["method", "code"])
    duration = metrics.histograms(
      "grpc_server_handling_seconds", help: "How long calls took.", bounds: Histogram.callBounds,
      labels: ["method"])
    inProgress = metrics.gauges(
      "grpc_server_in_progress", help: "Calls under way.", labels: ["method"])
  }

  package func intercept(
    _ context: ServerContext, _ next: () async throws -> Void
  ) async throws {
    let path = context.method.path
    let instruments = instruments(for: path)
    let begin = Instant.now()
    instruments.started.increment()
    instruments.inProgress.add(1)
    var outcome = RPCError(.ok, "")
    defer {
      let elapsed = Instant.now() - begin
      instruments.inProgress.add(-1)
      instruments.duration.observe(elapsed)
      handled(path, outcome.code).increment()
      log(context, outcome, elapsed)
    }
    do {
      try await next()
    } catch let error as RPCError {
      outcome = error
      throw error
    } catch is CancellationError {
      outcome = RPCError(.cancelled, "the call was cancelled")
      throw outcome
    } catch {
      // The caller is told no more than that; the log has the cause.
      logger.error(
        "call failed unexpectedly", metadata: ["cause": "\(error)", "method": "\(path)"])
      outcome = RPCError(.unknown, "internal error")
      throw outcome
    }
  }

  private func log(_ context: ServerContext, _ outcome: RPCError, _ elapsed: Duration) {
    var metadata: Logger.Metadata = [
      "method": "\(context.method.path)",
      "code": "\(outcome.code.name)",
      "duration_us": "\(elapsed.nanosecondsSaturating / 1000)",
    ]
    if let peer = context.peerIdentity?.spiffe { metadata["peer"] = "\(peer)" }
    if outcome.code != .ok { metadata["reason"] = "\(outcome.message)" }
    logger.info("call", metadata: metadata)
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
