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

/// What checks of a cluster found.
package struct ClusterInspection: Equatable, Sendable {
  package var findings: [ClusterFinding]
  /// Of its namespace `kube-system`, which is made with a cluster and never again; nil where it cannot
  /// be read.
  package var uid: String?
  /// Why it was not read this time, where it may be the next; nil where that is for good.
  package var passing: String?

  package init(_ findings: [ClusterFinding], uid: String? = nil, passing: String? = nil) {
    self.findings = findings
    self.uid = uid
    self.passing = passing
  }

  /// The findings with whether it is the cluster that it is to be.
  ///
  /// - Parameter expected: nil where that is not known yet.
  package func findings(expecting expected: String?) -> [ClusterFinding] {
    if findings.failures.contains(where: { $0.check == .connection }) { return findings }
    return findings.prefix(1) + [identity(expected)] + findings.dropFirst()
  }

  private func identity(_ expected: String?) -> ClusterFinding {
    guard let uid else {
      if let passing {
        return ClusterFinding(
          .identity, .warning, "which cluster it is was not told: \(passing)",
          remedy: "check again")
      }
      return ClusterFinding(
        .identity, expected == nil ? .warning : .failed,
        "which cluster it is cannot be told: its namespace kube-system cannot be read",
        remedy: "let its user get namespaces")
    }
    guard let expected, expected != uid else {
      return ClusterFinding(.identity, .passed, "the uid of its kube-system is \(uid)")
    }
    return ClusterFinding(
      .identity, .failed,
      "another cluster answers: the uid of its kube-system is \(uid), and was \(expected)",
      remedy:
        "see to how it is reached, or, where this is the right one from now on, give its uid: "
        + "storectl clusters update NAME --kubernetes-uid \(uid)")
  }
}

/// Finds out whether stores can be made on a cluster. Confined to its reactor.
package protocol ClusterInspector: AnyObject {
  /// What a kubeconfig says; throws what it must not have, at `field`.
  func read(_ kubeconfig: String, field: String) throws(InvalidField) -> ClusterKubeconfig
  /// What checks of the cluster find, within `timeout`.
  ///
  /// - Parameter kubeconfig: nil for the cluster that the provisioner was started with.
  /// - Throws: `ClusterRefusal.cannotCheck`.
  func inspect(
    _ kubeconfig: ClusterKubeconfig?, timeout: Duration
  ) async throws(ClusterRefusal) -> ClusterInspection
}

/// A kubeconfig that is kept, by its name.
package struct KeptKubeconfig: Equatable, Sendable {
  package let name: String
  /// Since when, in seconds since 1970.
  package let time: Int64

  package init(name: String, time: Int64) {
    self.name = name
    self.time = time
  }
}

/// Where the kubeconfigs of clusters are kept. Confined to its reactor.
package protocol ClusterSecrets: AnyObject {
  func keep(_ kubeconfig: ClusterKubeconfig, as name: String, timeout: Duration) async throws
  func kubeconfig(_ name: String, timeout: Duration) async throws -> String
  /// Those that are kept, whether a cluster names them or not.
  func list(timeout: Duration) async throws -> [KeptKubeconfig]
  /// Succeeds where there is none.
  func forget(_ name: String, timeout: Duration) async throws
}
