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
          kind, ObjectSelection(namespace: site.namespace), deadline: deadline)
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

  /// A StatefulSet has no condition for it: one without any pod counts.
  static func isRefused(_ workload: KubernetesObject) -> Bool {
    if workload.kind == "StatefulSet" {
      return workload["status", "replicas"]?.int64 ?? 0 == 0
        && WorkloadView(workload).wantedReplicas > 0
    }
    return WorkloadView(workload).replicaFailure != nil
  }
}
