package import ProvisionerService

/// Clusters that are inspected without being there, and kubeconfigs that are kept in memory. A kubeconfig
/// of it is the name of a server. Confined to its reactor.
package final class FakeClusterRegister: ClusterInspector, ClusterSecrets {
  /// What the next inspections find.
  package var findings = [ClusterFinding(.version, .passed, "Kubernetes v1.99.0")]
  /// What keeping a kubeconfig fails with.
  package var failure: (any Error)?
  /// By their names.
  package private(set) var kept: [String: String] = [:]

  package init() {}

  package func read(
    _ kubeconfig: String, field: String
  ) throws(InvalidField) -> ClusterKubeconfig {
    guard kubeconfig.hasPrefix("https://") else {
      throw InvalidField(field, "cannot be used: it names no server")
    }
    return ClusterKubeconfig(text: kubeconfig, server: kubeconfig)
  }

  package func inspect(
    _ kubeconfig: ClusterKubeconfig?, timeout: Duration
  ) async -> [ClusterFinding] { findings }

  package func keep(
    _ kubeconfig: ClusterKubeconfig, as name: String, timeout: Duration
  ) async throws {
    if let failure { throw failure }
    kept[name] = kubeconfig.text
  }

  package func kubeconfig(_ name: String, timeout: Duration) async throws -> String {
    kept[name] ?? ""
  }

  package func forget(_ name: String, timeout: Duration) async throws { kept[name] = nil }
}
