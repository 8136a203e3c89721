package import Postgres

/// Why the store layer does not do what it was asked.
package enum StoreRefusal: Error, Equatable, Sendable {
  /// It is not there, or belongs to another tenant.
  case notFound
  /// Creating it conflicts with one of that name.
  case conflict(StoreCreation.Conflict)
  /// The key of the request stands for another one.
  case requestKeyReused
  /// The store is not in a state in which that can happen.
  case wrongState(StoreState, String)
  /// Other work on the store goes on, which may be cancelled or not.
  case busy(OperationKind, PostgresUUID, isCancellable: Bool = true)
  /// The operation cannot be stopped, and why.
  case notCancellable(String)
  /// The platform keeps no backups.
  case noBackups
  /// The store has as many backups as it may (`StoreBackups.countMax`).
  case tooManyBackups
  /// The backup is not in a state in which that can happen, and why.
  case backupNotUsable(String)
  /// The store has changed since the caller read it.
  case etagMismatch
  /// The change was made from a state that is not the store's any more.
  case stale
  /// The lease under which a change was tried is over: somebody else may hold the operation.
  case leaseLost
  /// The tenant has as many stores as it may (`StoreCatalog.storesPerTenantMax`).
  case tooManyStores
  /// There is no cluster to place the store on.
  case noCluster(ClusterPlacement.Refusal)
  /// The store is on a cluster that is being emptied.
  case clusterDraining(String)
  /// The store is on a cluster that was given up, and goes with it.
  case clusterAbandoned(String)
  /// Neither host of the store is free.
  case noFreeHost
}

extension StoreRefusal {
  static func busy(_ operation: OperationRecord) -> StoreRefusal {
    .busy(operation.kind, operation.id, isCancellable: operation.isCancellable)
  }
}
