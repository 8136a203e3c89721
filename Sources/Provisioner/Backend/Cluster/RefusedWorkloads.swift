import JSON
import Kubernetes
import ProvisionerService
import Reactor

/// Workloads of an earlier attempt that were refused their pods, by the quota say.
///
/// Kubernetes keeps the refusal as their condition and asks again ever later, up to a quarter of an
/// hour. They have nothing to lose: they go, and Helm makes them anew, to be asked for at once.
enum RefusedWorkloads {
  static let timeout = Duration.seconds(20)

  static func remove(of site: StoreSite, _ kubernetes: KubernetesClient)
    async throws(ProvisionFailure)
  {
    let deadline = Instant.now() + timeout
    do throws(KubernetesError) {
      let pods = try await kubernetes.listAll(
        .pods, ObjectSelection(namespace: site.namespace), deadline: deadline)
      let owners = Set(pods.objects.flatMap(owners))
      for kind in [ResourceKind.deployments, .statefulSets] {
        let all = try await kubernetes.listAll(
          kind,
          ObjectSelection(namespace: site.namespace, labelSelector: StoreRollout.labelSelector),
          deadline: deadline)
        for workload in all.objects where isRefused(workload, owners) {
          try await kubernetes.delete(kind, workload, deadline: deadline)
        }
      }
    } catch {
      throw ProvisionFailure(error)
    }
  }

  private static func owners(of pod: KubernetesObject) -> [String] {
    (pod["metadata", "ownerReferences"]?.array ?? []).compactMap { $0["uid"]?.string }
  }

  /// Only one that has no pod: those of an earlier revision may serve, with data. The controller of a
  /// StatefulSet says nothing of a refusal, nor, before Kubernetes 1.21, that it has seen it: none of
  /// the pods may be its own.
  ///
  /// - Parameter owners: the uids of what owns the namespace's pods.
  static func isRefused(_ workload: KubernetesObject, _ owners: Set<String>) -> Bool {
    let view = WorkloadView(workload)
    guard view.allReplicas == 0, view.wantedReplicas > 0 else { return false }
    return workload.kind == "StatefulSet"
      ? !owners.contains(workload.uid) : view.isObserved && view.replicaFailure != nil
  }
}
