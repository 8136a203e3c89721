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
  package var patience = RolloutPatience()

  package init(
    chart: String, kubeconfig: String, helm: HelmWorkerSettings, address: HostURLTemplate
  ) {
    self.chart = chart
    self.kubeconfig = kubeconfig
    self.helm = helm
    self.address = address
  }
}
