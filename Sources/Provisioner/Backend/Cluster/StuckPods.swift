import JSON
import Kubernetes
import ProvisionerService
import Reactor

/// Pods of a StatefulSet that never became ready and are of an earlier revision.
///
/// The controller waits for each pod to be ready before it replaces it, for ever where the pod cannot
/// be: a StatefulSet that was brought back from a broken revision stays broken. Kubernetes' own remedy
/// is to delete the pod by hand.
enum StuckPods {
  private static let timeout = Duration.seconds(20)
  /// From a pod's creation to its first conditions, which the kubelet or the scheduler sets.
  private static let startSeconds: Int64 = 5

  /// - Parameters: what the shared watches know of one store.
  static func remove(
    workloads: [KubernetesObject], pods: [KubernetesObject], _ kubernetes: KubernetesClient
  ) async throws(KubernetesError) {
    for pod in pods where isStuck(pod, workloads) {
      try await kubernetes.delete(.pods, pod, deadline: Instant.now() + timeout)
    }
  }

  static func isStuck(_ pod: KubernetesObject, _ workloads: [KubernetesObject]) -> Bool {
    let owners = Set((pod["metadata", "ownerReferences"]?.array ?? []).map { $0["uid"]?.string })
    guard !pod.isBeingDeleted, let ready = pod.condition("Ready"), ready.isFalse,
      // Since it was there: one that was ready once may be so again, and has its turn.
      let since = ready.changedAt, let createdAt = pod.createdAt, since - createdAt <= startSeconds,
      let revision = pod["metadata", "labels", "controller-revision-hash"]?.string,
      let owner = workloads.first(where: { $0.kind == "StatefulSet" && owners.contains($0.uid) }),
      WorkloadView(owner).isObserved,
      let newest = owner["status", "updateRevision"]?.string
    else { return false }
    return revision != newest
  }
}
