package import Logging
import Reactor
package import Resilience

/// Forgets kubeconfigs that no cluster names: a provisioner that dies between keeping one and naming it,
/// or between naming another and forgetting it, leaves one behind. Replicas do so side by side. Confined
/// to a reactor.
package final class KubeconfigSweep {
  package static let interval: Duration = .seconds(3_600)
  /// One that is not named yet may be about to be; more than clocks differ.
  package static let patience: Duration = .seconds(3_600)
  private static let timeout: Duration = .seconds(10)

  private let clusters: ClusterCatalog
  private let secrets: any ClusterSecrets
  private let clock: any TimeSource
  private let logger: Logger

  package init(
    clusters: ClusterCatalog, secrets: any ClusterSecrets,
    clock: any TimeSource = SystemTimeSource(), logger: Logger
  ) {
    self.clusters = clusters
    self.secrets = secrets
    self.clock = clock
    self.logger = logger
  }

  package func run() async {
    do {
      let kept = try await secrets.list(timeout: Self.timeout)
      let latest = clock.wallNow.seconds - Self.patience.components.seconds
      // Read afterwards: what is named by then is in it.
      let named = Set(
        try await clusters.list(deadline: .now() + Self.timeout).compactMap(\.access.secret))
      for each in kept where each.time < latest && !named.contains(each.name) {
        try await secrets.forget(each.name, timeout: Self.timeout)
        logger.notice(
          "a kubeconfig that no cluster names is forgotten", metadata: ["secret": "\(each.name)"])
      }
    } catch {
      logger.warning("kubeconfigs not swept", metadata: ["reason": "\(error)"])
    }
  }
}
