package import ProvisionerService

/// Clusters that are inspected without being there, and kubeconfigs that are kept in memory. A kubeconfig
/// of it is the name of a server. Confined to its reactor.
package final class FakeClusterRegister: ClusterInspector, ClusterSecrets {
  /// What the next inspections find.
  package var findings = [ClusterFinding(.version, .passed, "Kubernetes v1.99.0")]
  /// The uids of clusters that are not "cluster", by the kubeconfig's text; that of the own one is "". An empty
  /// one cannot be read.
  package var uids: [String: String] = [:]
  /// When kubeconfigs were kept, in seconds since 1970, by their names; just now where it is not said.
  package var times: [String: Int64] = [:]
  /// What keeping a kubeconfig fails with.
  package var failure: (any Error)?
  /// Why no inspection can be made.
  package var trouble: String?
  /// So many were made.
  package private(set) var inspections = 0
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
  ) async throws(ClusterRefusal) -> ClusterInspection {
    inspections += 1
    if let trouble { throw .cannotCheck(trouble) }
    let uid = uids[kubeconfig?.text ?? ""] ?? "cluster"
    return ClusterInspection(findings, uid: uid.isEmpty ? nil : uid)
  }

  package func keep(
    _ kubeconfig: ClusterKubeconfig, as name: String, timeout: Duration
  ) async throws {
    if let failure { throw failure }
    kept[name] = kubeconfig.text
  }

  package func kubeconfig(_ name: String, timeout: Duration) async throws -> String {
    kept[name] ?? ""
  }

  package func list(timeout: Duration) async throws -> [KeptKubeconfig] {
    kept.keys.sorted().map { KeptKubeconfig(name: $0, time: times[$0] ?? .max) }
  }

  package func forget(_ name: String, timeout: Duration) async throws { kept[name] = nil }
}
