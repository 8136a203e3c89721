package import Logging
package import Observability
package import Reactor

/// Looks at ready stores now and then, each at times of its own: what runs of them is to be what their
/// releases say. Replicas share the looks. Confined to a reactor.
package final class DriftReconciliation {
  /// The longest between two questions for what is due.
  package static let questionInterval: Duration = .seconds(30)
  /// Stores that are taken at once.
  static let batch = 5

  private let checks: DriftChecks
  private let backend: any StoreBackend
  private let breakers: DependencyBreakers
  private let interval: Duration
  private let reactor: Reactor
  private let logger: Logger
  private let looks: Family<Counter>
  private var task: Task<Void, Never>?
  private var isStopped = false

  /// - Parameters:
  ///   - breakers: of the same process's operations.
  ///   - interval: between two looks at a store, about.
  package init(
    _ checks: DriftChecks, backend: any StoreBackend, breakers: DependencyBreakers,
    every interval: Duration, on reactor: Reactor, logger: Logger, metrics: MetricsRegistry
  ) {
    self.checks = checks
    self.backend = backend
    self.breakers = breakers
    self.interval = interval
    self.reactor = reactor
    self.logger = logger
    looks = metrics.counters(
      "provisioner_drift_checks_total",
      help: "Looks at ready stores, by what came of them.", labels: ["outcome"])
  }

  /// Looks at what is due, unless it is at that already.
  package func look() {
    if task != nil || isStopped { return }
    task = reactor.loop.spawn(on: reactor) {
      await self.lookAtAll()
      self.task = nil
    }
  }

  package func stop() async {
    isStopped = true
    task?.cancel()
    await task?.value
  }

  func lookAtAll() async {
    do {
      while !Task.isCancelled {
        let due = try await checks.claim(Self.batch)
        for each in due {
          if Task.isCancelled { return }
          try await look(at: each)
        }
        if due.count < Self.batch { return }
      }
    } catch {
      logger.warning("stores not looked at", metadata: ["reason": "\(error)"])
    }
  }

  private func look(at due: DriftChecks.Due) async throws {
    guard let (store, release, access) = try await checks.subject(due),
      !breakers.isOpen(.helm, in: store.cluster),
      case .admitted(let permit) = breakers.admit(.kubernetes, in: store.cluster)
    else { return count("skipped") }
    let drift: [Drift]
    let certificate: StoreCondition?
    do throws(ProvisionFailure) {
      let site = StoreSite(store, release, access)
      drift = try await backend.drift(of: site)
      certificate = try await backend.certificate(of: site)
      breakers.record(.answered, for: permit)
    } catch {
      // Of Helm's failures, and of our own impatience, that breaker learns nothing.
      breakers.record(
        error.code == .clusterUnreachable ? error.verdict : .inconclusive, for: permit)
      count("failed")
      return logger.info(
        "store not looked at", metadata: ["store": "\(store.id)", "reason": "\(error)"])
    }
    guard
      let decision = try await checks.settle(
        store, drift, certificate: certificate, every: interval)
    else {
      return count("skipped")
    }
    switch decision {
    case .inSync: count("in_sync")
    case .report, .reportReturned: count("reported")
    case .correct: count("corrected")
    }
    guard let words = drift.words else { return }
    logger.notice(
      "store is not as its release says",
      metadata: ["store": "\(store.id)", "drift": "\(words)", "decision": "\(decision)"])
  }

  private func count(_ outcome: String) { looks.with(outcome).increment() }
}
