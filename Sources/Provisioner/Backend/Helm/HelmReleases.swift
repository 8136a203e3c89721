import Contracts
import JSON
import Kubernetes
import Protobuf
import ProvisionerService
import RPC
import RPCCore
import Reactor

/// The Helm release of each store. Confined to its reactor.
final class HelmReleases {
  /// Of every store's release: each has a namespace of its own.
  static let name = "store"
  /// Below the steps' own limit, so that Helm's reason comes first.
  static let timeout = Duration.seconds(170)
  /// A little longer than Helm itself has.
  static let callTimeout = timeout + .seconds(5)
  static let lookTimeout = Duration.seconds(20)
  /// The records of an action that a dead worker left behind. Helm refuses an upgrade after any of
  /// them. A rollback takes the last one for what there is, and removes what is in that and not in the one
  /// that it goes back to: only one of a rollback, which tells of an earlier one, may go before.
  private static let unfinished = "pending-install,pending-upgrade,pending-rollback,uninstalling"
  private static let unfinishedRollback = "pending-rollback"

  private let supervisor: HelmWorkerSupervisor
  private let kubernetes: KubernetesClient
  private let chart: String
  private let kubeconfig: String

  /// - Parameter kubeconfig: the path of the file; empty inside a cluster.
  init(
    _ supervisor: HelmWorkerSupervisor, kubernetes: KubernetesClient, chart: String,
    kubeconfig: String
  ) {
    self.supervisor = supervisor
    self.kubernetes = kubernetes
    self.chart = chart
    self.kubeconfig = kubeconfig
  }

  /// Installs the chart, or brings the release up to date.
  func install(
    _ site: StoreSite, values: JSONObject
  ) async throws(ProvisionFailure) -> InstalledRelease {
    // What an earlier call of ours may still be doing would be taken for a dead worker's.
    await supervisor.abandon(site.store)
    let request = HelmWorkerV1.UpgradeRequest(
      release: reference(site), chartPath: chart,
      valuesJSON: JSON.object(values).serialized(), timeout: Self.duration, install: true,
      takeOver: true, historyMax: Int32(StoreReleases.revisionsMax))
    return try await call(site.store) { client in
      // Each time it is made: the one before may have ended with its worker.
      try await self.removeRecords(of: site, Self.unfinished)
      return try await self.supervisor.lasting(site.store) {
        InstalledRelease(try await client.upgrade(request, options: Self.options))
      }
    }
  }

  /// Brings the release back to one of its revisions. After a rollback that did not succeed Helm takes that
  /// for what there is; see `ReleaseLeftovers`.
  func rollBack(
    _ site: StoreSite, to revision: Int
  ) async throws(ProvisionFailure) -> InstalledRelease {
    await supervisor.abandon(site.store)
    let request = HelmWorkerV1.RollbackRequest(
      release: reference(site), revision: Int32(clamping: revision), timeout: Self.duration,
      historyMax: Int32(StoreReleases.revisionsMax))
    return try await call(site.store) { client in
      try await self.removeRecords(of: site, Self.unfinishedRollback)
      return try await self.supervisor.lasting(site.store) {
        InstalledRelease(try await client.rollback(request, options: Self.options))
      }
    }
  }

  /// What the release's last revision consists of. It is only looked at, also while other work on the
  /// store begins: that ends what is done under the store's own name.
  func manifest(_ site: StoreSite) async throws(ProvisionFailure) -> HelmWorkerV1.Manifest {
    let request = HelmWorkerV1.GetManifestRequest(release: reference(site))
    return try await call("\(site.store)/look", isReadOnly: true) { client in
      try await client.getManifest(request, options: CallOptions(timeout: Self.lookTimeout))
    }
  }

  func uninstall(_ site: StoreSite) async throws(ProvisionFailure) {
    await supervisor.abandon(site.store)
    let request = HelmWorkerV1.UninstallRequest(release: reference(site), timeout: Self.duration)
    try await call(site.store) { client in
      _ = try await client.uninstall(request, options: Self.options)
    }
  }

  /// Helm refuses a release that somebody else works on, as its record says. With the store's lease
  /// held there is nobody: the record is a dead worker's, and goes. What it had made stays, and is
  /// taken into the next release by its labels.
  private func removeRecords(
    of site: StoreSite, _ statuses: String
  ) async throws(ProvisionFailure) {
    let deadline = Instant.now() + Self.lookTimeout
    let selector = "owner=helm,name=\(Self.name),status in (\(statuses))"
    do throws(KubernetesError) {
      let records = try await kubernetes.listAll(
        .secrets, ObjectSelection(namespace: site.namespace, labelSelector: selector),
        deadline: deadline)
      for record in records.objects {
        try await kubernetes.delete(.secrets, record, deadline: deadline)
      }
    } catch {
      throw ProvisionFailure(error)
    }
  }

  private func call<R>(
    _ name: String, isReadOnly: Bool = false,
    _ body: (HelmWorkerV1.HelmServiceClient) async throws -> R
  ) async throws(ProvisionFailure) -> R {
    do {
      return try await supervisor.call(name, isReadOnly: isReadOnly, body)
    } catch {
      if Task.isCancelled { throw ProvisionFailure(.cancelled) }
      throw error as? ProvisionFailure ?? ProvisionFailure(helm: error)
    }
  }

  /// The one that we are connected to, whichever the file names as current by now.
  private var context: String { kubeconfig.isEmpty ? "" : kubernetes.configuration.name }

  private func reference(_ site: StoreSite) -> HelmWorkerV1.ReleaseReference {
    .init(
      kubeconfigPath: kubeconfig, kubeconfigContext: context, namespace: site.namespace,
      name: Self.name)
  }

  private static var duration: GoogleProtobuf.Duration {
    .init(seconds: timeout.components.seconds)
  }

  private static var options: CallOptions { CallOptions(timeout: callTimeout) }
}

extension HelmWorkerV1.Manifest {
  func objects() throws(ProvisionFailure) -> [JSON] {
    do throws(YAMLDocuments.Failure) {
      return try YAMLDocuments.parse(
        String(decoding: yaml, as: UTF8.self), "the manifest of the release")
    } catch {
      throw ProvisionFailure(.unexpected, error.description)
    }
  }
}

extension InstalledRelease {
  fileprivate init(_ release: HelmWorkerV1.Release) {
    self.init(revision: Int(release.revision), chart: "\(release.chart)-\(release.chartVersion)")
  }
}
