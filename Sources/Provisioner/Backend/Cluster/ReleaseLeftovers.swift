import JSON
import Kubernetes
import ProvisionerService
import Reactor

/// Objects of a store that earlier revisions of its release had, and the present one does not.
///
/// Helm removes what is in the one record that it takes for what there is. After an upgrade or a rollback that
/// failed or was cut off that is not all that there is: what only another revision had would stay, and run.
enum ReleaseLeftovers {
  /// Of all requests together.
  static let timeout = Duration.seconds(30)
  /// What the chart labels, as Helm's.
  private static let selector =
    "\(StoreRollout.labelSelector),app.kubernetes.io/managed-by=Helm,"
    + "app.kubernetes.io/instance=\(HelmReleases.name)"
  /// All that the chart makes but claims: those hold data. A test holds them against its templates.
  static let kinds: [ResourceKind] = [
    .configMaps, .deployments, .ingresses, .resourceQuotas, .roleBindings, .roles, .secrets,
    .serviceAccounts, .services, .statefulSets,
    ResourceKind(plural: "limitranges", kind: "LimitRange"),
    ResourceKind(group: "batch", plural: "cronjobs", kind: "CronJob"),
    ResourceKind(
      group: "autoscaling", version: "v2", plural: "horizontalpodautoscalers",
      kind: "HorizontalPodAutoscaler"),
    ResourceKind(group: "policy", plural: "poddisruptionbudgets", kind: "PodDisruptionBudget"),
    ResourceKind(group: "networking.k8s.io", plural: "networkpolicies", kind: "NetworkPolicy"),
    ResourceKind(group: "gateway.networking.k8s.io", plural: "httproutes", kind: "HTTPRoute"),
    ResourceKind(group: "monitoring.coreos.com", plural: "servicemonitors", kind: "ServiceMonitor"),
  ]

  /// - Parameter objects: those of the present revision.
  static func remove(
    from site: StoreSite, keeping objects: [JSON], _ kubernetes: KubernetesClient
  ) async throws(ProvisionFailure) {
    let deadline = Instant.now() + timeout
    let kept = Set(objects.map(key))
    for kind in kinds {
      do throws(KubernetesError) {
        let found = try await kubernetes.listAll(
          kind, ObjectSelection(namespace: site.namespace, labelSelector: selector),
          deadline: deadline)
        for object in found.objects
        where !kept.contains("\(kind.kind)/\(object.name)") && !isRetained(object) {
          try await kubernetes.delete(kind, object, deadline: deadline)
        }
      } catch {
        // The cluster has no such kind, or none for us: nor has the store.
        if error.kind != .notFound && error.kind != .forbidden { throw ProvisionFailure(error) }
      }
    }
  }

  /// What Helm would leave, too.
  private static func isRetained(_ object: KubernetesObject) -> Bool {
    object["metadata", "annotations", "helm.sh/resource-policy"]?.string == "keep"
  }

  private static func key(_ object: JSON) -> String {
    "\(object["kind"]?.string ?? "")/\(object["metadata", "name"]?.string ?? "")"
  }
}
