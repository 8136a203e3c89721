/// A kubeconfig that was taken apart and put together again: complete in itself, with one cluster and
/// one user. It never shows itself by accident.
package struct ClusterKubeconfig: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
  CustomReflectable
{
  package static let bytesMax = 64 * 1024

  package let text: String
  /// The address of the API server.
  package let server: String

  package init(text: String, server: String) {
    self.text = text
    self.server = server
  }

  package var description: String { "[kubeconfig of \(server)]" }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

/// Finds out whether stores can be made on a cluster. Confined to its reactor.
package protocol ClusterInspector: AnyObject {
  /// What a kubeconfig says; throws what it must not have, at `field`.
  func read(_ kubeconfig: String, field: String) throws(InvalidField) -> ClusterKubeconfig
  /// What checks of the cluster find, within `timeout`.
  ///
  /// - Parameter kubeconfig: nil for the cluster that the provisioner was started with.
  func inspect(
    _ kubeconfig: ClusterKubeconfig?, timeout: Duration
  ) async -> [ClusterFinding]
}

/// Where the kubeconfigs of clusters are kept. Confined to its reactor.
package protocol ClusterSecrets: AnyObject {
  func keep(_ kubeconfig: ClusterKubeconfig, as name: String, timeout: Duration) async throws
  func kubeconfig(_ name: String, timeout: Duration) async throws -> String
  /// Succeeds where there is none.
  func forget(_ name: String, timeout: Duration) async throws
}
