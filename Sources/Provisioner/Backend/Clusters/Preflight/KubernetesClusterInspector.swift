package import Kubernetes
package import ProvisionerService
package import Reactor

/// Finds out by a cluster's API whether stores can be made there. Confined to its reactor.
package final class KubernetesClusterInspector: ClusterInspector {
  private let settings: BackendSettings
  private let own: ClusterConfiguration
  private let reactor: Reactor
  private let blocking: BlockingPool

  /// - Parameter own: of the cluster that the provisioner was started with.
  package init(
    _ settings: BackendSettings, own: ClusterConfiguration, reactor: Reactor,
    blocking: BlockingPool
  ) {
    self.settings = settings
    self.own = own
    self.reactor = reactor
    self.blocking = blocking
  }

  package func read(
    _ kubeconfig: String, field: String
  ) throws(InvalidField) -> ClusterKubeconfig {
    if kubeconfig.isEmpty { throw InvalidField(field, "is missing") }
    guard kubeconfig.utf8.count <= ClusterKubeconfig.bytesMax else {
      throw InvalidField(
        field, "is larger than \(ClusterKubeconfig.bytesMax) bytes (bytesMax)")
    }
    do throws(ClusterConfigurationError) {
      let configuration = try Kubeconfig.parse(kubeconfig).configuration(rules: .handedIn)
      guard let text = configuration.standaloneKubeconfig() else {
        throw ClusterConfigurationError("its credential is not in it")
      }
      return ClusterKubeconfig(text: text, server: "\(configuration.server)")
    } catch {
      throw InvalidField(field, "cannot be used: \(error.description)")
    }
  }

  package func inspect(
    _ kubeconfig: ClusterKubeconfig?, timeout: Duration
  ) async throws(ClusterRefusal) -> ClusterInspection {
    let deadline = Instant.now() + timeout
    let (chart, values) = (settings.chart, settings.chartValues)
    let needs: ClusterNeeds
    do {
      needs = try await blocking.run {
        try ClusterNeeds.read(chart: chart, operatorValues: try values())
      }
    } catch {
      // This replica's own trouble, which says nothing of any cluster.
      throw .cannotCheck("\(error)")
    }
    let configuration: ClusterConfiguration
    do {
      configuration =
        try kubeconfig.map {
          try Kubeconfig.parse($0.text).configuration(rules: .handedIn)
        } ?? own
    } catch {
      return ClusterInspection([
        ClusterFinding(
          .connection, .failed, "its kubeconfig cannot be used: \(error)",
          remedy: "give another one")
      ])
    }
    let kubernetes = KubernetesClient(
      reactor: reactor, configuration: configuration, blocking: blocking)
    defer { kubernetes.close() }
    return await ClusterPreflight(kubernetes: kubernetes, needs: needs, deadline: deadline).run()
  }
}
