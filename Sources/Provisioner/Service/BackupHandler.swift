package import Contracts
package import Logging
import Postgres
package import RPC
import RPCCore
import Reactor
import ServiceRuntime

/// Serves the backups of the caller's tenant.
package final class BackupHandler: ProvisionerV1.BackupServiceHandler {
  private let catalog: StoreCatalog
  private let onDeletion: () -> Void
  private let logger: Logger

  /// - Parameter onDeletion: called when there is a file to be removed.
  package init(
    catalog: StoreCatalog, logger: Logger, onDeletion: @escaping () -> Void = {}
  ) {
    self.catalog = catalog
    self.logger = logger
    self.onDeletion = onDeletion
  }

  package func getBackup(
    _ request: ProvisionerV1.GetBackupRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Backup {
    let tenant = try context.tenant()
    return try await answering("backup", request.backup, logger: logger) {
      ProvisionerV1.Backup(
        try await self.catalog.findBackup(
          try Self.id(request.backup, field: "backup"), tenant: tenant,
          deadline: context.databaseDeadline))
    }
  }

  package func listBackups(
    _ request: ProvisionerV1.ListBackupsRequest, context: ServerContext
  ) async throws -> ProvisionerV1.ListBackupsResponse {
    let tenant = try context.tenant()
    return try await answering("store", request.store, logger: logger) {
      let store = request.store.isEmpty ? nil : try StoreHandler.reference(request.store)
      let count = try PageSize.check(request.pageSize)
      let token = PageToken(listing: ["backups", tenant, request.store])
      let page = try await self.catalog.listBackups(
        of: store, after: try token.position(request.pageToken), count: count, tenant: tenant,
        deadline: context.databaseDeadline)
      return ProvisionerV1.ListBackupsResponse(
        backups: page.items.map { ProvisionerV1.Backup($0) },
        nextPageToken: token.encode(page.next))
    }
  }

  package func deleteBackup(
    _ request: ProvisionerV1.DeleteBackupRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Backup {
    let tenant = try context.tenant()
    let origin = try context.changeOrigin()
    return try await answering("backup", request.backup, logger: logger) {
      let backup = try await self.catalog.deleteBackup(
        try Self.id(request.backup, field: "backup"), tenant: tenant, origin: origin,
        deadline: context.databaseDeadline)
      self.logger.info(
        "backup to be deleted", metadata: ["store": "\(backup.store)", "backup": "\(backup.id)"])
      self.onDeletion()
      return ProvisionerV1.Backup(backup)
    }
  }

  package func testBackup(
    _ request: ProvisionerV1.TestBackupRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    let tenant = try context.tenant()
    let origin = try context.changeOrigin()
    let backup = try await answering("backup", request.backup, logger: logger) {
      try await self.catalog.findBackup(
        try Self.id(request.backup, field: "backup"), tenant: tenant,
        deadline: context.databaseDeadline)
    }
    return try await answering("store", backup.storeName, logger: logger) {
      let operation = try await self.catalog.change(
        .id(backup.store), .backupTest(of: backup.id), key: try StoreHandler.key(request.requestID),
        tenant: tenant, origin: origin, deadline: context.databaseDeadline)
      self.logger.info(
        "test of a backup asked for",
        metadata: ["store": "\(backup.store)", "operation": "\(operation.id)"])
      return ProvisionerV1.Operation(operation)
    }
  }

  static func id(_ text: String, field: String) throws(InvalidField) -> PostgresUUID {
    guard let id = PostgresUUID(text) else {
      throw InvalidField(field, "is no id of a backup: give a UUID, as the list of backups has it")
    }
    return id
  }
}
