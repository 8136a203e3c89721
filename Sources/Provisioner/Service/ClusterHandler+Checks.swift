package import Contracts
import Logging
package import RPC
import Reactor
import ServiceRuntime

// Whether clusters are fit for stores: found out when it is asked for, and by itself now and then.
extension ClusterHandler {
  /// The longest between two questions for clusters that are due.
  package static let questionInterval: Duration = .seconds(30)
  /// Between two checks of a cluster, about; of one that is not ready, or of which it is not known which
  /// it is, so that it is found again soon.
  package static let checkInterval: Duration = .seconds(600)
  package static let recoveryInterval: Duration = .seconds(60)

  package func checkCluster(
    _ request: ProvisionerV1.CheckClusterRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Cluster {
    try await asAdministrator(request.cluster, context) {
      let cluster = try await self.catalog.find(
        request.cluster, deadline: context.databaseDeadline)
      let (findings, uid) = try await self.findings(about: cluster)
      let checked = try await self.catalog.recordCheck(
        of: cluster, findings, uid: uid, isReady: findings.failures.isEmpty,
        keepsForced: false, orSooner: self.recoveryInterval, deadline: context.databaseDeadline)
      self.log(checked.isReady ? "cluster is ready" : "cluster is not ready", checked)
      return ProvisionerV1.Cluster(checked)
    }
  }

  /// Checks the provisioner's own cluster at its start.
  package func checkOwn() async {
    do {
      try await check(catalog.find(ClusterName.own, deadline: .now() + Self.secretTimeout))
    } catch {
      logger.warning("own cluster not checked", metadata: ["reason": "\(error)"])
    }
  }

  /// Checks the clusters that are due. Replicas share them.
  package func checkDue() async {
    // However long it takes, it is one at a time.
    if isChecking { return }
    isChecking = true
    defer { isChecking = false }
    do {
      while let cluster = try await catalog.claimCheck(
        every: checkInterval, orSooner: recoveryInterval,
        deadline: .now() + Self.secretTimeout)
      {
        do {
          try await check(cluster)
        } catch ClusterRefusal.notFound, ClusterRefusal.changedMeanwhile {
          // The next check is of what it is by then.
        } catch {
          logger.warning(
            "cluster not checked",
            metadata: ["cluster": "\(cluster.name)", "reason": "\(error)"])
        }
      }
    } catch {
      logger.warning("clusters not checked", metadata: ["reason": "\(error)"])
    }
  }

  private func check(_ cluster: ClusterRecord) async throws {
    let (findings, uid) = try await findings(about: cluster)
    let checked = try await catalog.recordCheck(
      of: cluster, findings, uid: uid, isReady: cluster.readiness(by: findings),
      orSooner: recoveryInterval, deadline: .now() + Self.secretTimeout)
    for finding in findings where finding.outcome != .passed && !cluster.findings.contains(finding)
    {
      logger.notice(
        "cluster checked",
        metadata: [
          "cluster": "\(cluster.name)", "check": "\(finding.check.rawValue)",
          "outcome": "\(finding.outcome.rawValue)", "found": "\(finding.message)",
          "remedy": "\(finding.remedy)",
        ])
    }
    if checked.isReady != cluster.isReady {
      log(checked.isReady ? "cluster is ready" : "cluster is not ready", checked)
    }
  }

  private func findings(
    about cluster: ClusterRecord
  ) async throws -> ([ClusterFinding], uid: String?) {
    let inspection = try await inspector.inspect(
      try await kubeconfig(of: cluster), timeout: Self.inspectionTimeout)
    return (inspection.findings(expecting: cluster.access.uid), inspection.uid)
  }
}

extension ClusterRecord {
  /// Whether stores may be placed there after a check that nobody asked for; nil: as before. What an
  /// administrator has forced is no reason against it, and an installation of one cluster goes on as
  /// it is.
  func readiness(by findings: [ClusterFinding]) -> Bool? {
    if findings.failures.allSatisfy({ forced.contains($0.check.rawValue) }) { return true }
    return access.secret == nil ? nil : false
  }
}
