import Contracts
import Logging
import Observability
import Postgres
import RPC
import RPCCore
import ServiceRuntime

/// Runs what a handler does, and turns what it throws into what the caller is told.
///
/// - Parameters:
///   - type: what the request is about, such as `store`.
///   - name: as the request names it. A resource of another tenant gives the same answer as none.
func answering<R>(
  _ type: String, _ name: String, logger: Logger, _ body: () async throws -> R
) async throws -> R {
  do {
    return try await body()
  } catch let error as InvalidField {
    throw RPCError.invalidArgument(field: error.path, description: error.reason)
  } catch let violation as FieldViolation {
    throw RPCError.invalidArgument([violation])
  } catch let error as StoreRefusal {
    throw RPCError(error, type: type, name: name)
  } catch let error as ClusterRefusal {
    throw RPCError(error, name: name)
  } catch is ChangeFeedFull {
    throw RPCError.limitReached(
      "watchesMax", "too many watches are open (watchesMax = \(ChangeFeed.watchesMax)); try later")
  } catch let error as PostgresError {
    guard let answer = RPCError(database: error) else { throw error }
    logger.warning("database", metadata: ["reason": "\(error)"])
    throw answer
  }
}

extension RPCError {
  fileprivate init(_ refusal: StoreRefusal, type: String, name: String) {
    self =
      switch refusal {
      case .notFound: .notFound(type, name)
      case .conflict(let conflict):
        .about(
          type, name, .alreadyExists, reason: "ALREADY_EXISTS", conflict.message(name: name))
      case .requestKeyReused:
        .about(
          type, name, .alreadyExists, reason: "REQUEST_ID_REUSED",
          "the request id was used for another request; give each request an id of its own")
      case .wrongState(let state, let reason):
        .about(
          type, name, .failedPrecondition, reason: "WRONG_STATE",
          "the \(type) '\(name)' is \(state.rawValue): \(reason)",
          metadata: ["state": state.rawValue])
      case .busy(let kind, let operation, let isCancellable):
        .about(
          type, name, .failedPrecondition, reason: "OPERATION_UNDER_WAY",
          "the \(type) '\(name)' is busy with operation \(operation) (\(kind.rawValue)); wait for "
            + "its end" + (isCancellable ? ", or cancel it" : ""),
          metadata: ["operation": operation.description])
      case .notCancellable(let reason):
        .about(
          type, name, .failedPrecondition, reason: "NOT_CANCELLABLE",
          "the \(type) '\(name)' cannot be cancelled: \(reason)")
      case .noBackups:
        .about(
          type, name, .failedPrecondition, reason: "NO_BACKUPS",
          "the platform keeps no backups; its operator may give it an object store (BACKUP_S3_URL)")
      case .tooManyBackups:
        .limitReached(
          "backupsPerStoreMax",
          "the store has \(StoreBackups.countMax) backups (backupsPerStoreMax); delete one")
      case .backupNotUsable(let reason):
        .about(type, name, .failedPrecondition, reason: "BACKUP_NOT_USABLE", reason)
      case .etagMismatch:
        .about(
          type, name, .aborted, reason: "ETAG_MISMATCH",
          "the \(type) '\(name)' has changed since its etag was read; read it again")
      case .noCluster(let refusal): RPCError(refusal)
      case .clusterDraining(let cluster):
        .about(
          type, name, .failedPrecondition, reason: "CLUSTER_DRAINING",
          "the \(type) '\(name)' is on the cluster '\(cluster)', which is being emptied: it can be "
            + "suspended, rolled back or deleted, and an operator can uncordon the cluster",
          metadata: ["cluster": cluster])
      case .clusterAbandoned(let cluster):
        .about(
          type, name, .failedPrecondition, reason: "CLUSTER_ABANDONED",
          "the \(type) '\(name)' is on the cluster '\(cluster)', which was given up as lost with its "
            + "stores: it is being deleted; make it anew elsewhere, from a backup where there is one",
          metadata: ["cluster": cluster])
      case .tooManyStores:
        .limitReached(
          "storesPerTenantMax",
          "the tenant has \(StoreCatalog.storesPerTenantMax) stores (storesPerTenantMax); delete one"
        )
      case .stale, .leaseLost, .noFreeHost:
        .about(
          type, name, .aborted, reason: "CONFLICT",
          "the \(type) '\(name)' was changed by somebody else at the same time; try again")
      }
  }
}

extension RPCError {
  /// Bytes of the findings that a refusal tells: errors travel in bounded headers.
  private static let findingsBytesMax = 2 * 1024

  fileprivate init(_ refusal: ClusterPlacement.Refusal) {
    let code: StatusCode =
      switch refusal {
      case .noSuchCluster, .noSuchLabels: .invalidArgument
      case .full: .resourceExhausted
      case .closed, .abandoned, .notReady: .failedPrecondition
      }
    self.init(
      code, reason: refusal.code, refusal.message,
      metadata: ["user_fault": "\(refusal.isUserFault)"])
  }

  fileprivate init(_ refusal: ClusterRefusal, name: String) {
    self =
      switch refusal {
      case .notFound: .notFound("cluster", name)
      case .exists: .alreadyExists("cluster", name)
      case .hasStores(let count):
        .about(
          "cluster", name, .failedPrecondition, reason: "CLUSTER_HAS_STORES",
          "\(count == 1 ? "1 store is" : "\(count) stores are") on the cluster '\(name)'; drain it, and "
            + "delete them first, or, where it is lost, give it up with them (--abandon-stores)",
          metadata: ["stores": "\(count)"])
      case .isOwn(let reason):
        .about(
          "cluster", name, .failedPrecondition, reason: "CLUSTER_IS_OWN",
          "this cannot be done to the cluster '\(name)': \(reason)")
      case .tooMany:
        .limitReached(
          "clustersMax",
          "\(ClusterCatalog.clustersMax) clusters are registered (clustersMax); unregister one")
      case .checksFailed(let findings):
        .about(
          "cluster", name, .failedPrecondition, reason: "CLUSTER_CHECKS_FAILED",
          "stores cannot be made on the cluster '\(name)': " + Self.told(findings)
            + "; or register it by force",
          metadata: ["checks": findings.map(\.check.rawValue).joined(separator: ",")])
      case .changedMeanwhile:
        .about(
          "cluster", name, .aborted, reason: "CONFLICT",
          "the cluster '\(name)' was changed meanwhile; try again")
      case .cannotCheck(let reason):
        .about(
          "cluster", name, .failedPrecondition, reason: "CLUSTER_NOT_CHECKED",
          "the cluster '\(name)' cannot be checked: \(reason); correct that, and try again")
      case .notDraining:
        .about(
          "cluster", name, .failedPrecondition, reason: "CLUSTER_NOT_DRAINING",
          "the cluster '\(name)' is not being emptied; drain it before it is given up with its stores"
        )
      case .isAbandoned:
        .about(
          "cluster", name, .failedPrecondition, reason: "CLUSTER_ABANDONED",
          "the cluster '\(name)' was given up with its stores, which is not taken back")
      case .isAnother(let found, let expected):
        .about(
          "cluster", name, .failedPrecondition, reason: "CLUSTER_IS_ANOTHER",
          "the kubeconfig leads to another cluster than '\(name)': the uid of its kube-system is "
            + "\(found), and not \(expected); where that is the right one from now on, with the "
            + "stores on it, give its uid (kubernetes_uid)",
          metadata: ["kubernetes_uid": found])
      }
  }

  private static func told(_ findings: [ClusterFinding]) -> String {
    let text = findings.map { "\($0.check.rawValue): \($0.message) (\($0.remedy))" }
      .joined(separator: "; ")
    return text.utf8.count <= findingsBytesMax
      ? text : String(decoding: text.utf8.prefix(findingsBytesMax), as: UTF8.self) + "…"
  }
}

extension ServerContext {
  /// Who asks, and by which request.
  func changeOrigin() throws(RPCError) -> ChangeOrigin {
    var generator = SystemRandomNumberGenerator()
    var request = RequestContext.current ?? RequestContext(requestID: RequestID(using: &generator))
    let caller = try caller()
    request.principal = request.principal ?? "user:\(caller.subject)"
    return ChangeOrigin(actor: .user(caller), request: StoredRequestContext(request))
  }
}
