import Configuration
package import Contracts
package import Logging
import Postgres
package import RPC
import RPCCore
import Reactor
import ServiceRuntime

/// Serves the register of clusters to administrators.
package final class ClusterHandler: ProvisionerV1.ClusterServiceHandler {
  /// For all checks of a cluster; below what the gateway gives a request.
  static let inspectionTimeout: Duration = .seconds(20)
  static let secretTimeout: Duration = .seconds(5)

  /// Of the names of kubeconfigs among the platform's secrets.
  package static let secretPrefix = "cluster."

  let catalog: ClusterCatalog
  let inspector: any ClusterInspector
  private let secrets: any ClusterSecrets
  let logger: Logger
  let checkInterval: Duration
  let recoveryInterval: Duration
  var isChecking = false
  /// Called after each change.
  package var onChange: () -> Void = {}
  /// Called when a cluster was given up.
  package var onAbandonment: () -> Void = {}

  package init(
    catalog: ClusterCatalog, inspector: any ClusterInspector, secrets: any ClusterSecrets,
    logger: Logger, checkInterval: Duration = ClusterHandler.checkInterval,
    recoveryInterval: Duration = ClusterHandler.recoveryInterval
  ) {
    self.catalog = catalog
    self.inspector = inspector
    self.secrets = secrets
    self.logger = logger
    self.checkInterval = checkInterval
    self.recoveryInterval = recoveryInterval
  }

  // MARK: Reading

  package func getCluster(
    _ request: ProvisionerV1.GetClusterRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Cluster {
    try await asAdministrator(request.cluster, context) {
      ProvisionerV1.Cluster(
        try await self.catalog.find(request.cluster, deadline: context.databaseDeadline))
    }
  }

  package func listClusters(
    _ request: ProvisionerV1.ListClustersRequest, context: ServerContext
  ) async throws -> ProvisionerV1.ListClustersResponse {
    try await asAdministrator("", context) {
      let clusters = try await self.catalog.list(deadline: context.databaseDeadline)
      return .init(clusters: clusters.map { .init($0) })
    }
  }

  package func listClusterStores(
    _ request: ProvisionerV1.ListClusterStoresRequest, context: ServerContext
  ) async throws -> ProvisionerV1.ListClusterStoresResponse {
    try await asAdministrator(request.cluster, context) {
      let count = try PageSize.check(request.pageSize)
      let token = PageToken(listing: ["cluster-stores", request.cluster])
      let after = try token.decode(request.pageToken) ?? [""]
      guard after.count == 1, !after[0].utf8.contains(0) else { throw PageToken.violation }
      _ = try await self.catalog.find(request.cluster, deadline: context.databaseDeadline)
      // One more than fits says whether another page follows.
      let found = try await self.catalog.stores(
        on: request.cluster, after: after[0], count: count + 1,
        deadline: context.databaseDeadline)
      let page = found.prefix(count)
      return .init(
        stores: page.map { .init($0) },
        nextPageToken: found.count > count
          ? page.last.map { token.encode(after: [$0.id]) } ?? "" : "")
    }
  }

  // MARK: Changes

  package func registerCluster(
    _ request: ProvisionerV1.RegisterClusterRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Cluster {
    try await asAdministrator(request.name, context) {
      var draft = try Self.draft(request)
      let kubeconfig = try self.inspector.read(request.kubeconfig, field: "kubeconfig")
      draft.server = kubeconfig.server
      // Nothing is left behind of what would be refused anyway.
      try await self.requireFree(draft.name, context)
      let inspection = try await self.inspector.inspect(kubeconfig, timeout: Self.inspectionTimeout)
      draft.findings = inspection.findings(expecting: nil)
      draft.access.uid = inspection.uid
      if request.validateOnly { return ProvisionerV1.Cluster(draft) }
      if !request.force { try Self.requireGood(draft.findings) }
      let secret = Self.newSecret(of: draft.name)
      draft.access.secret = secret
      let cluster = try await self.keeping(kubeconfig, as: secret) {
        try await self.catalog.register(
          draft, by: try context.changeOrigin(), deadline: context.databaseDeadline)
      }
      self.log("cluster registered", cluster)
      return ProvisionerV1.Cluster(cluster)
    }
  }

  package func updateCluster(
    _ request: ProvisionerV1.UpdateClusterRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Cluster {
    try await asAdministrator(request.cluster, context) {
      var change = try Self.change(request)
      let origin = try context.changeOrigin()
      guard let text = request.kubeconfig else {
        let (_, after) = try await self.catalog.update(
          request.cluster, change, by: origin, deadline: context.databaseDeadline)
        self.log("cluster changed", after)
        return ProvisionerV1.Cluster(after)
      }
      let kubeconfig = try self.inspector.read(text, field: "kubeconfig")
      let known = try await self.catalog.find(request.cluster, deadline: context.databaseDeadline)
      let expected = change.uid ?? known.access.uid
      let inspection = try await self.inspector.inspect(kubeconfig, timeout: Self.inspectionTimeout)
      // Its stores would not be found there, which is no reason to force anything.
      try ClusterRefusal.requireSame(inspection.uid, as: expected)
      let findings = inspection.findings(expecting: expected)
      if !request.force { try Self.requireGood(findings) }
      let secret = Self.newSecret(of: request.cluster)
      change.connection = .init(
        secret: secret, server: kubeconfig.server, uid: inspection.uid, findings: findings)
      let (before, after) = try await self.keeping(kubeconfig, as: secret) {
        try await self.catalog.update(
          request.cluster, change, by: origin, deadline: context.databaseDeadline)
      }
      await self.forget(before)
      self.log("cluster has another kubeconfig", after)
      return ProvisionerV1.Cluster(after)
    }
  }

  package func abandonCluster(
    _ request: ProvisionerV1.AbandonClusterRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Cluster {
    try await asAdministrator(request.cluster, context) {
      let cluster = try await self.catalog.abandon(
        request.cluster, by: try context.changeOrigin(), deadline: context.databaseDeadline)
      self.log("cluster given up, with its stores", cluster)
      self.onAbandonment()
      return ProvisionerV1.Cluster(cluster)
    }
  }

  package func unregisterCluster(
    _ request: ProvisionerV1.UnregisterClusterRequest, context: ServerContext
  ) async throws -> GoogleProtobuf.Empty {
    try await asAdministrator(request.cluster, context) {
      let cluster = try await self.catalog.unregister(
        request.cluster, by: try context.changeOrigin(), deadline: context.databaseDeadline)
      await self.forget(cluster)
      self.log("cluster unregistered", cluster)
      return GoogleProtobuf.Empty()
    }
  }

  // MARK: Kubeconfigs

  /// Keeps a kubeconfig while it is made a cluster's; where that fails it is forgotten again.
  private func keeping<R>(
    _ kubeconfig: ClusterKubeconfig, as secret: String, _ body: () async throws -> R
  ) async throws -> R {
    do {
      try await secrets.keep(kubeconfig, as: secret, timeout: Self.secretTimeout)
    } catch {
      throw configUnavailable(error)
    }
    do {
      return try await body()
    } catch {
      // The row may name it by now, and then nobody could connect any more.
      if (error as? PostgresError)?.kind != .outcomeUnknown { await forget(secret) }
      throw error
    }
  }

  func kubeconfig(of cluster: ClusterRecord) async throws -> ClusterKubeconfig? {
    guard let secret = cluster.access.secret else { return nil }
    do {
      let text = try await secrets.kubeconfig(secret, timeout: Self.secretTimeout)
      return ClusterKubeconfig(text: text, server: cluster.server)
    } catch {
      throw configUnavailable(error)
    }
  }

  /// What a cluster had; nobody connects by it any more.
  private func forget(_ cluster: ClusterRecord) async {
    if let secret = cluster.access.secret { await forget(secret) }
  }

  private func forget(_ secret: String) async {
    do {
      try await secrets.forget(secret, timeout: Self.secretTimeout)
    } catch {
      logger.warning(
        "a kubeconfig that is not used any more is still kept",
        metadata: ["secret": "\(secret)", "reason": "\(error)"])
    }
  }

  private func configUnavailable(_ error: any Error) -> RPCError {
    logger.warning("config service", metadata: ["reason": "\(error)"])
    return RPCError(
      .unavailable, reason: "CONFIG_UNAVAILABLE",
      "the config service, which keeps kubeconfigs, did not do its part; try again")
  }

  /// Another one with every kubeconfig, so that a change of it is one of the cluster's row.
  private static func newSecret(of cluster: String) -> String {
    "\(secretPrefix)\(cluster).\(PostgresUUID.random())"
  }

  // MARK: Requests

  func asAdministrator<R>(
    _ cluster: String, _ context: ServerContext, _ body: () async throws -> R
  ) async throws -> R {
    guard try context.caller().isAdministrator else {
      throw RPCError(
        .permissionDenied, reason: "ADMINISTRATORS_ONLY", "only administrators see to clusters")
    }
    return try await answering("cluster", cluster, logger: logger, body)
  }

  private func requireFree(_ name: String, _ context: ServerContext) async throws {
    let clusters = try await catalog.list(deadline: context.databaseDeadline)
    if clusters.contains(where: { $0.name == name }) { throw ClusterRefusal.exists }
    if clusters.count >= ClusterCatalog.clustersMax { throw ClusterRefusal.tooMany }
  }

  private static func requireGood(_ findings: [ClusterFinding]) throws(ClusterRefusal) {
    if !findings.failures.isEmpty { throw .checksFailed(findings.failures) }
  }

  private static func draft(
    _ request: ProvisionerV1.RegisterClusterRequest
  ) throws(InvalidField) -> ClusterDraft {
    try ClusterName.check(request.name)
    try ClusterLabels.check(request.labels)
    try DomainSuffix.check(request.domainSuffix)
    return ClusterDraft(
      name: request.name, labels: request.labels,
      storesMax: try storesMax(request.storesMax).flatMap { $0 == 0 ? nil : $0 }, server: "",
      access: ClusterAccess(ingressAddress: try ingress(request.ingressAddress) ?? ""),
      domainSuffix: request.domainSuffix)
  }

  private static func change(
    _ request: ProvisionerV1.UpdateClusterRequest
  ) throws(InvalidField) -> ClusterChange {
    var change = ClusterChange()
    try ClusterLabels.check(request.labels)
    change.labels = request.labels
    change.removedLabels = request.removeLabels
    change.storesMax = try storesMax(request.storesMax)
    change.schedule =
      switch request.schedule {
      case .unspecified: nil
      case .open: .open
      case .cordoned: .cordoned
      case .draining: .draining
      case .unrecognized:
        throw InvalidField(
          "schedule", "give one of SCHEDULE_OPEN, SCHEDULE_CORDONED, SCHEDULE_DRAINING")
      }
    if let suffix = request.domainSuffix { try DomainSuffix.check(suffix) }
    change.domainSuffix = request.domainSuffix
    change.ingressAddress = try ingress(request.ingressAddress)
    if let uid = request.kubernetesUid { try ClusterUID.check(uid) }
    change.uid = request.kubernetesUid
    return change
  }

  private static func storesMax(_ count: Int32?) throws(InvalidField) -> Int? {
    guard let count else { return nil }
    if count < 0 { throw InvalidField("stores_max", "is negative; give 0 for no limit") }
    return Int(count)
  }

  private static func ingress(_ address: String?) throws(InvalidField) -> String? {
    guard let address, !address.isEmpty else { return address }
    guard HostPort(address) != nil else {
      throw InvalidField("ingress_address", "is no HOST:PORT")
    }
    return address
  }

  func log(_ message: Logger.Message, _ cluster: ClusterRecord) {
    onChange()
    logger.notice(
      message,
      metadata: [
        "cluster": "\(cluster.name)", "server": "\(cluster.server)",
        "schedule": "\(cluster.schedule.rawValue)",
      ])
  }
}
