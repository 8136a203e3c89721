import JSON
import Kubernetes
import ProvisionerService
import Reactor

/// Workloads of an earlier attempt that were refused their pods, by the quota say.
///
/// Kubernetes keeps the refusal as their condition and asks again ever later, up to a quarter of an
/// hour. They have nothing to lose: they go, and Helm makes them anew, to be asked for at once.
enum RefusedWorkloads {
  private static let timeout = Duration.seconds(20)

  static func remove(of site: StoreSite, _ kubernetes: KubernetesClient)
    async throws(ProvisionFailure)
  {
    let deadline = Instant.now() + timeout
    do throws(KubernetesError) {
      for kind in [ResourceKind.deployments, .statefulSets] {
        let all = try await kubernetes.listAll(
          kind,
          ObjectSelection(namespace: site.namespace, labelSelector: StoreRollout.labelSelector),
          deadline: deadline)
        for workload in all.objects where isRefused(workload) {
          do throws(KubernetesError) {
            try await kubernetes.delete(
              kind, namespace: site.namespace, name: workload.name,
              DeleteOptions(uid: workload.uid), deadline: deadline)
          } catch {
            if error.kind != .notFound { throw error }
          }
        }
      }
    } catch {
      throw ProvisionFailure(error)
    }
  }

  /// Only one that has no pod, as its controller has seen: pods of an earlier revision may serve, with
  /// data. A StatefulSet has no condition for the refusal.
  static func isRefused(_ workload: KubernetesObject) -> Bool {
    let view = WorkloadView(workload)
    guard view.isObserved, view.allReplicas == 0, view.wantedReplicas > 0 else { return false }
    return workload.kind == "StatefulSet" || view.replicaFailure != nil
  }
}
