package import Observability
import Resilience

/// What the engine counts and times.
package final class EngineMetrics {
  private let operations: Family<Counter>
  private let scheduled: Family<Counter>
  private let attempts: Family<Counter>
  private let duration: Family<Histogram>
  private let retries: Family<Counter>
  private let breakers: Family<Gauge>
  private let transitions: Family<Counter>
  let running: Gauge

  package init(_ metrics: MetricsRegistry) {
    operations = metrics.counters(
      "provisioner_operations_total", help: "Operations ended, by kind and outcome.",
      labels: ["kind", "outcome"])
    scheduled = metrics.counters(
      "provisioner_scheduled_operations_total",
      help: "Those of provisioner_operations_total that nobody asked for.",
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
    retries = metrics.counters(
      "provisioner_step_retries_total",
      help: "Failed attempts of steps that were put off for another, by the failure's code.",
      labels: ["step", "code"])
    breakers = metrics.gauges(
      "circuit_breaker_state", help: "0 closed, 1 half-open, 2 open.",
      labels: ["cluster", "dependency"])
    transitions = metrics.counters(
      "circuit_breaker_transitions_total", help: "Changes of a circuit breaker's state.",
      labels: ["cluster", "dependency", "from", "to"])
    running = metrics.gauge(
      "provisioner_operations_running", help: "Operations this process works on.")
  }

  func finished(_ kind: OperationKind, _ state: OperationState, isScheduled: Bool) {
    operations.with(kind.rawValue, state.rawValue).increment()
    if isScheduled { scheduled.with(kind.rawValue, state.rawValue).increment() }
  }

  func retried(_ step: OperationStep, _ code: FailureCode) {
    retries.with(step.rawValue, code.rawValue).increment()
  }

  func breaker(_ cluster: String, _ dependency: Dependency, is phase: CircuitBreaker.Phase) {
    let value: Int64 =
      switch phase {
      case .closed: 0
      case .halfOpen: 1
      case .open: 2
      }
    breakers.with(cluster, dependency.rawValue).set(value)
  }

  func breaker(
    _ cluster: String, _ dependency: Dependency, went transition: CircuitBreaker.Transition
  ) {
    breaker(cluster, dependency, is: transition.to)
    transitions.with(
      cluster, dependency.rawValue, transition.from.rawValue, transition.to.rawValue
    ).increment()
  }

  /// Shows the breakers of a cluster no more.
  func forget(_ cluster: String) {
    for dependency in Dependency.allCases {
      breakers.remove([cluster, dependency.rawValue])
      for from in CircuitBreaker.Phase.allCases {
        for to in CircuitBreaker.Phase.allCases {
          transitions.remove([cluster, dependency.rawValue, from.rawValue, to.rawValue])
        }
      }
    }
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
