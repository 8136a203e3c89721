import Contracts
import Postgres

// What the contracts say of clusters.

extension ProvisionerV1.Cluster {
  init(_ cluster: ClusterRecord) {
    self.init(
      name: cluster.name, labels: cluster.labels,
      storesMax: Int32(clamping: cluster.storesMax ?? 0), stores: Int32(clamping: cluster.stores),
      schedule: .init(cluster.schedule), ready: cluster.isReady,
      findings: cluster.findings.map { .init($0) },
      checkTime: cluster.checkedAt.map { .init($0) }, server: cluster.server,
      domainSuffix: cluster.domainSuffix, ingressAddress: cluster.access.ingressAddress,
      createTime: .init(cluster.createdAt), updateTime: .init(cluster.updatedAt),
      kubernetesUid: cluster.access.uid ?? "",
      abandonTime: cluster.abandonment.map { .init($0.time) })
  }

  /// One that was only checked.
  init(_ draft: ClusterDraft) {
    self.init(
      name: draft.name, labels: draft.labels, storesMax: Int32(clamping: draft.storesMax ?? 0),
      ready: draft.findings.failures.isEmpty, findings: draft.findings.map { .init($0) },
      server: draft.server, domainSuffix: draft.domainSuffix,
      ingressAddress: draft.access.ingressAddress, kubernetesUid: draft.access.uid ?? "")
  }
}

extension ProvisionerV1.Cluster.Schedule {
  init(_ schedule: ClusterSchedule) {
    self =
      switch schedule {
      case .open: .open
      case .cordoned: .cordoned
      case .draining: .draining
      }
  }
}

extension ProvisionerV1.Finding {
  init(_ finding: ClusterFinding) {
    let outcome: ProvisionerV1.Finding.Outcome =
      switch finding.outcome {
      case .passed: .passed
      case .warning: .warning
      case .failed: .failed
      }
    self.init(
      check: finding.check.rawValue, outcome: outcome, message: finding.message,
      remedy: finding.remedy)
  }
}

extension ProvisionerV1.ClusterStore {
  init(_ store: ClusterStoreRecord) {
    self.init(
      id: store.id, tenant: store.tenant, name: store.name, state: .init(store.state),
      namespace: store.namespace)
  }
}
