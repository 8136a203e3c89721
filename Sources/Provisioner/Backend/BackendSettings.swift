package import Configuration
package import JSON
package import Kubernetes

/// What a backend is told about its cluster and its stores.
package struct BackendSettings: Sendable {
  /// The chart's folder.
  package var chart: String
  /// Reads the values of the chart for every store; on a thread that may block, before each
  /// installation, so that what the operator mends counts for the next attempt.
  package var chartValues: @Sendable () throws(ValuesFile.Failure) -> JSONObject = { JSONObject() }
  /// The kubeconfig that Helm reads; empty inside a cluster.
  package var kubeconfig: String
  package var helm: HelmWorkerSettings
  /// The stores' addresses.
  package var address: HostURLTemplate
  /// Where the ingress is reached; nil: at the stores' own hosts.
  package var ingress: HostPort?
  /// Where backups are kept; nil where none are.
  package var objectStore: ObjectStoreAccess?
  /// The uid of the cluster's `kube-system`; nil where it is not known yet.
  package var clusterUID: String?
  package var patience = RolloutPatience()
  /// How long something may hold the removal of a namespace up before it is called stuck.
  package var removalPatienceSeconds = Self.removalPatienceSeconds
  package static let removalPatienceSeconds: Int64 = 240
  /// Stores that are worked on at once, by which the limits below are made: none of them fails a store.
  package var storesMax = 5

  package init(
    chart: String, kubeconfig: String, helm: HelmWorkerSettings, address: HostURLTemplate
  ) {
    self.chart = chart
    self.kubeconfig = kubeconfig
    self.helm = helm
    self.address = address
  }

  package var kubernetesLimits: KubernetesLimits {
    var limits = KubernetesLimits()
    // A store's set-up, and the command that ends one that was cut off.
    limits.execsMax = 2 * storesMax
    return limits
  }
}
