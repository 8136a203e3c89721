import Kubernetes
import ProvisionerService
import Reactor

/// What tells a cluster from any other: the uid of its namespace `kube-system`, which is made with the
/// cluster and cannot be deleted. An address, a certificate or a token may come to lead elsewhere.
struct ClusterIdentity {
  private static let timeout = Duration.seconds(10)

  let kubernetes: KubernetesClient
  /// Nil where it is not known yet: any cluster is the right one then.
  let expected: String?

  /// - Throws: `.clusterReplaced`; what keeps it from being asked for.
  func require() async throws(ProvisionFailure) {
    guard let expected else { return }
    let found: String
    do throws(KubernetesError) {
      found = try await Self.read(kubernetes, deadline: .now() + Self.timeout)
    } catch {
      throw Self.failure(error)
    }
    if found != expected {
      throw ProvisionFailure(
        .clusterReplaced,
        diagnosis: "the uid of its kube-system is '\(found)', and was '\(expected)'")
    }
  }

  /// What it means that the uid of a cluster that told it before cannot be had: whatever answers now, the
  /// cluster is away until somebody has seen to it.
  static func failure(_ error: KubernetesError) -> ProvisionFailure {
    guard isHidden(error) else { return ProvisionFailure(error) }
    return ProvisionFailure(
      .clusterUnreachable, "it does not tell which cluster it is",
      diagnosis: "kube-system: \(error.description)")
  }

  /// Whether the uid is kept from us by an answer that will be the same the next time.
  static func isHidden(_ error: KubernetesError) -> Bool {
    switch error.kind {
    case .forbidden, .notFound, .badAnswer: true
    default: false
    }
  }

  static func read(
    _ kubernetes: KubernetesClient, deadline: Instant
  ) async throws(KubernetesError) -> String {
    try uid(of: await kubernetes.get(.namespaces, name: "kube-system", deadline: deadline))
  }

  /// - Throws: `.badAnswer` for what is no namespace `kube-system`, as a proxy may answer.
  static func uid(of namespace: KubernetesObject) throws(KubernetesError) -> String {
    do throws(InvalidField) {
      try ClusterUID.check(namespace.uid)
    } catch {
      throw KubernetesError(.badAnswer, "the uid of what answers for kube-system \(error.reason)")
    }
    guard namespace.name == "kube-system" else {
      throw KubernetesError(
        .badAnswer, "'\(namespace.name.prefix(40))' answers in the place of kube-system")
    }
    return namespace.uid
  }
}
