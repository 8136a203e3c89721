package import Contracts
import JSON
import Logging
import Postgres
package import RPC
import RPCCore
import Reactor
import ServiceRuntime

/// What is asked of ready stores.
extension StoreHandler {
  package func upgradeStore(
    _ request: ProvisionerV1.UpgradeStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    try await change(request.store, request.requestID, etag: request.etag, context) {
      let patch = try JSONObject(request.values ?? GoogleProtobuf.Struct(), path: "values")
      return .upgrade(patch: patch)
    }
  }

  package func rollbackStore(
    _ request: ProvisionerV1.RollbackStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    try await change(request.store, request.requestID, context) {
      guard request.release >= 0 else {
        throw InvalidField("release", "is negative; give a release's number, or 0")
      }
      return .rollback(release: request.release == 0 ? nil : Int(request.release))
    }
  }

  package func suspendStore(
    _ request: ProvisionerV1.SuspendStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    try await change(request.store, request.requestID, context) { .suspend }
  }

  package func resumeStore(
    _ request: ProvisionerV1.ResumeStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    try await change(request.store, request.requestID, context) { .resume }
  }

  package func updateStore(
    _ request: ProvisionerV1.UpdateStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Store {
    let tenant = try context.tenant()
    let origin = try context.changeOrigin()
    return try await answering("store", request.store, logger: logger) {
      let care = StoreCare(
        driftPolicy: try request.driftPolicy.domain(),
        backupSchedule: try request.backupSchedule?.domain())
      guard care != StoreCare() else {
        throw InvalidField("drift_policy", "give a drift_policy or a backup_schedule")
      }
      let store = try await self.catalog.update(
        try Self.reference(request.store), care, version: try EntityTag.version(request.etag),
        tenant: tenant, origin: origin, deadline: context.databaseDeadline)
      self.logger.info(
        "store updated",
        metadata: [
          "store": "\(store.id)", "drift_policy": "\(store.driftPolicy)",
          "backup_schedule": "\(store.backupSchedule)",
        ])
      return ProvisionerV1.Store(store, address: self.address)
    }
  }

  package func backupStore(
    _ request: ProvisionerV1.BackupStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    try await change(request.store, request.requestID, context) { .backup }
  }

  package func restoreStore(
    _ request: ProvisionerV1.RestoreStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    try await change(request.store, request.requestID, context) {
      .restore(from: try BackupHandler.id(request.backup, field: "backup"))
    }
  }

  package func listReleases(
    _ request: ProvisionerV1.ListReleasesRequest, context: ServerContext
  ) async throws -> ProvisionerV1.ListReleasesResponse {
    let tenant = try context.tenant()
    return try await answering("store", request.store, logger: logger) {
      let (store, releases) = try await self.catalog.releases(
        of: try Self.reference(request.store), tenant: tenant, deadline: context.databaseDeadline)
      return ProvisionerV1.ListReleasesResponse(
        releases: releases.map { .init($0, isCurrent: $0.number == store.release) })
    }
  }

  private func change(
    _ store: String, _ requestID: String, etag: String = "", _ context: ServerContext,
    _ change: () throws -> StoreChange
  ) async throws -> ProvisionerV1.Operation {
    let tenant = try context.tenant()
    let origin = try context.changeOrigin()
    return try await answering("store", store, logger: logger) {
      let operation = try await self.catalog.change(
        try Self.reference(store), try change(), version: try EntityTag.version(etag),
        key: try Self.key(requestID), tenant: tenant, origin: origin,
        deadline: context.databaseDeadline)
      self.log("work on a store asked for", operation)
      return ProvisionerV1.Operation(operation)
    }
  }
}
