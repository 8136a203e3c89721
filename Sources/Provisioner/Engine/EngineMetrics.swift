package import Observability

/// What the engine counts and times.
package final class EngineMetrics {
  private let operations: Family<Counter>
  private let attempts: Family<Counter>
  private let duration: Family<Histogram>
  let running: Gauge

  package init(_ metrics: MetricsRegistry) {
    operations = metrics.counters(
      "provisioner_operations_total", help: "Operations ended, by kind and outcome.",
      labels: ["kind", "outcome"])
    attempts = metrics.counters(
      "provisioner_step_attempts_total", help: "Attempts of steps, by outcome.",
      labels: ["step", "outcome"])
    duration = metrics.histograms(
      "provisioner_step_seconds", help: "How long attempts of steps took.",
      bounds: [
        .milliseconds(10), .milliseconds(100), .seconds(1), .seconds(5), .seconds(15), .seconds(60),
        .seconds(300), .seconds(600),
      ], labels: ["step"])
    running = metrics.gauge(
      "provisioner_operations_running", help: "Operations this process works on.")
  }

  func finished(_ kind: OperationKind, _ state: OperationState) {
    operations.with(kind.rawValue, state.rawValue).increment()
  }

  func attempted(_ step: OperationStep, _ outcome: SideEffect.Outcome, _ elapsed: Duration) {
    let name =
      switch outcome {
      case .done: "done"
      case .failed: "failed"
      case .timedOut: "timed_out"
      case .stopped: "stopped"
      }
    attempts.with(step.rawValue, name).increment()
    duration.with(step.rawValue).observe(elapsed)
  }
}
