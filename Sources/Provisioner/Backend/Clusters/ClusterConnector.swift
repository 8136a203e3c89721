import Configuration
package import Contracts
package import Kubernetes
package import Logging
package import ProvisionerService
package import Reactor

/// Connects to clusters: by the provisioner's own configuration, or by a kubeconfig that the config
/// service keeps. Confined to its reactor.
package final class ClusterConnector {
  private static let secretTimeout = Duration.seconds(10)

  private let settings: BackendSettings
  private let own: ClusterConfiguration
  private let secrets: any ClusterSecrets
  private let config: ConfigV1.SecretServiceClient
  private let supervisor: HelmWorkerSupervisor
  private let reactor: Reactor
  private let blocking: BlockingPool
  private let logger: Logger

  /// - Parameters:
  ///   - own: of the cluster that the provisioner was started with.
  ///   - supervisor: of the workers that Helm has for all clusters.
  package init(
    _ settings: BackendSettings, own: ClusterConfiguration, secrets: any ClusterSecrets,
    config: ConfigV1.SecretServiceClient, supervisor: HelmWorkerSupervisor, reactor: Reactor,
    blocking: BlockingPool, logger: Logger
  ) {
    self.settings = settings
    self.own = own
    self.secrets = secrets
    self.config = config
    self.supervisor = supervisor
    self.reactor = reactor
    self.blocking = blocking
    self.logger = logger
  }

  package func connect(
    _ cluster: String, _ access: ClusterAccess
  ) async throws(ProvisionFailure) -> OpenCluster {
    var settings = settings
    var configuration = own
    var file: KubeconfigFile?
    guard access.secret != nil || cluster == ClusterName.own else {
      throw ProvisionFailure(.unexpected, "nothing says how to reach the cluster '\(cluster)'")
    }
    if let secret = access.secret {
      let text = try await kubeconfig(secret)
      do {
        configuration = try Kubeconfig.parse(text).configuration(rules: .handedIn)
        let made = try KubeconfigFile(text)
        settings.kubeconfig = made.path
        file = made
      } catch {
        throw Self.unreachable("\(error)")
      }
    }
    settings.ingress = HostPort(access.ingressAddress) ?? settings.ingress
    let kubernetes = KubernetesClient(
      reactor: reactor, configuration: configuration, blocking: blocking,
      limits: settings.kubernetesLimits)
    do throws(ProvisionFailure) {
      try await ClusterIdentity(kubernetes: kubernetes, expected: access.uid).require()
    } catch {
      kubernetes.close()
      throw error
    }
    settings.clusterUID = access.uid
    do {
      let backend = try KubernetesStoreBackend(
        settings, kubernetes: kubernetes, config: config, supervisor: supervisor,
        reactor: reactor, blocking: blocking, logger: logger)
      logger.notice(
        "cluster connected",
        metadata: ["cluster": "\(cluster)", "server": "\(configuration.server)"])
      let logger = logger
      return OpenCluster(backend) {
        kubernetes.close()
        // Helm reads it for as long as there are calls.
        withExtendedLifetime(file) {}
        logger.notice("cluster left", metadata: ["cluster": "\(cluster)"])
      }
    } catch {
      kubernetes.close()
      throw ProvisionFailure(.unexpected, "\(error)")
    }
  }

  private func kubeconfig(_ secret: String) async throws(ProvisionFailure) -> String {
    do {
      return try await secrets.kubeconfig(secret, timeout: Self.secretTimeout)
    } catch {
      if Task.isCancelled { throw ProvisionFailure(.cancelled) }
      throw Self.unreachable("its kubeconfig cannot be had of the config service: \(error)")
    }
  }

  /// Of which the cluster itself has said nothing.
  private static func unreachable(_ reason: String) -> ProvisionFailure {
    ProvisionFailure(
      .clusterUnreachable, "its kubeconfig cannot be had", diagnosis: reason,
      verdict: .inconclusive)
  }
}

extension ConfigurationRules {
  /// Of kubeconfigs that come from elsewhere.
  static var handedIn: ConfigurationRules {
    var rules = ConfigurationRules()
    rules.allowsFilesAndPrograms = false
    return rules
  }
}
