package import Logging
package import Resilience

/// The circuit breakers: one for each dependency in each cluster.
package final class DependencyBreakers {
  /// Clusters a process works with; one more shares the last one's breakers.
  static let clustersMax = 256

  private static let rest = "other"

  fileprivate struct Key: Hashable {
    let cluster: String
    let dependency: Dependency
  }

  private let settings: CircuitBreaker.Settings
  private let clock: any TimeSource
  private let logger: Logger
  private let metrics: EngineMetrics
  private var breakers: [Key: CircuitBreaker] = [:]

  package init(
    settings: CircuitBreaker.Settings, clock: any TimeSource, logger: Logger,
    metrics: EngineMetrics
  ) {
    self.settings = settings
    self.clock = clock
    self.logger = logger
    self.metrics = metrics
  }

  /// Leave to call, to be handed back with the call's outcome.
  struct Permit {
    fileprivate let key: Key
    fileprivate let permit: CircuitBreaker.Permit
  }

  enum Admission {
    case admitted(Permit?)
    case rejected(retryAfter: Duration)
  }

  /// Asks for leave to make a call; a step without a dependency always has it.
  func admit(_ dependency: Dependency?, in cluster: String) -> Admission {
    guard let dependency else { return .admitted(nil) }
    let key = Key(cluster: bounded(cluster), dependency: dependency)
    if breakers[key] == nil { metrics.breaker(key.cluster, dependency, is: .closed) }
    let (admission, transition) = breakers[key, default: CircuitBreaker(settings: settings)]
      .admit(at: clock.now)
    if let transition { tell(transition, key) }
    switch admission {
    case .admitted(let permit): return .admitted(Permit(key: key, permit: permit))
    case .rejected(let wait): return .rejected(retryAfter: wait)
    }
  }

  func record(_ verdict: DependencyVerdict, for permit: Permit?) {
    guard let permit else { return }
    let outcome: CircuitBreaker.Outcome =
      switch verdict {
      case .answered: .answered
      case .failed: .failed
      case .inconclusive: .inconclusive
      }
    let recorded = breakers[permit.key]?.record(outcome, for: permit.permit, at: clock.now)
    if case .transition(let transition) = recorded { tell(transition, permit.key) }
  }

  package func phase(_ dependency: Dependency, in cluster: String) -> CircuitBreaker.Phase {
    breakers[Key(cluster: bounded(cluster), dependency: dependency)]?.phase ?? .closed
  }

  /// Whether a call would be refused now, without asking for leave to make one.
  package func isOpen(_ dependency: Dependency, in cluster: String) -> Bool {
    breakers[Key(cluster: bounded(cluster), dependency: dependency)]?.isOpen(at: clock.now) ?? false
  }

  /// The clusters where a call would be refused now.
  package func openClusters(_ dependency: Dependency) -> [String] {
    breakers.filter { $0.key.dependency == dependency && $0.value.isOpen(at: clock.now) }
      .map(\.key.cluster)
  }

  /// Forgets those of other clusters than these. What is under way there is recorded nowhere.
  package func retain(_ clusters: Set<String>) {
    for cluster in Set(breakers.keys.map(\.cluster)).subtracting(clusters)
    where cluster != Self.rest {
      breakers = breakers.filter { $0.key.cluster != cluster }
      metrics.forget(cluster)
    }
  }

  private func bounded(_ cluster: String) -> String {
    let known = Set(breakers.keys.map(\.cluster))
    return known.contains(cluster) || known.count < Self.clustersMax ? cluster : Self.rest
  }

  private func tell(_ transition: CircuitBreaker.Transition, _ key: Key) {
    metrics.breaker(key.cluster, key.dependency, went: transition)
    logger.warning(
      "circuit breaker",
      metadata: [
        "cluster": "\(key.cluster)", "dependency": "\(key.dependency.rawValue)",
        "from": "\(transition.from.rawValue)", "to": "\(transition.to.rawValue)",
      ])
  }
}
