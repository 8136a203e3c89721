package import Contracts
package import Logging
import Postgres
package import RPC
import RPCCore
import Reactor
import ServiceRuntime

/// Serves the operations on the stores of the caller's tenant.
package final class OperationHandler: ProvisionerV1.OperationServiceHandler {
  private let catalog: StoreCatalog
  private let feed: ChangeFeed
  private let logger: Logger

  package init(catalog: StoreCatalog, feed: ChangeFeed, logger: Logger) {
    self.catalog = catalog
    self.feed = feed
    self.logger = logger
  }

  package func getOperation(
    _ request: ProvisionerV1.GetOperationRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    let tenant = try context.tenant()
    return try await answering("operation", request.operation, logger: logger) {
      ProvisionerV1.Operation(try await self.find(request.operation, tenant, context))
    }
  }

  package func listOperations(
    _ request: ProvisionerV1.ListOperationsRequest, context: ServerContext
  ) async throws -> ProvisionerV1.ListOperationsResponse {
    let tenant = try context.tenant()
    return try await answering("store", request.store, logger: logger) {
      var states: Set<OperationState> = []
      for (index, state) in request.states.enumerated() {
        states.insert(try state.domain("states[\(index)]"))
      }
      let store = request.store.isEmpty ? nil : try StoreHandler.reference(request.store)
      let count = try PageSize.check(request.pageSize)
      let token = PageToken(
        listing: ["operations", tenant, request.store] + states.map(\.rawValue).sorted())
      let page = try await self.catalog.listOperations(
        of: store, states: states, after: try token.position(request.pageToken), count: count,
        tenant: tenant, deadline: context.databaseDeadline)
      return ProvisionerV1.ListOperationsResponse(
        operations: page.items.map { ProvisionerV1.Operation($0) },
        nextPageToken: token.encode(page.next))
    }
  }

  /// Sends the operation as it is and then after each change, several at once as one, until it is done.
  package func watchOperation(
    _ request: ProvisionerV1.WatchOperationRequest,
    responses: ResponseWriter<ProvisionerV1.Operation>, context: ServerContext
  ) async throws {
    let tenant = try context.tenant()
    try await answering("operation", request.operation, logger: logger) {
      let id = try await self.find(request.operation, tenant, context).id
      let watch = try self.feed.watch(.operation(id))
      defer { self.feed.end(watch) }
      var revision: Int64 = 0
      while await watch.next() {
        let operation = try await self.find(request.operation, tenant, context)
        guard operation.revision > revision else { continue }
        revision = operation.revision
        try await responses.write(ProvisionerV1.Operation(operation))
        if operation.state.isDone { return }
      }
      throw RPCError(.unavailable, reason: "WATCH_ENDED", "the service stops; watch again")
    }
  }

  package func cancelOperation(
    _ request: ProvisionerV1.CancelOperationRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    let tenant = try context.tenant()
    let origin = try context.changeOrigin()
    return try await answering("operation", request.operation, logger: logger) {
      let operation = try await self.catalog.cancel(
        try Self.id(request.operation), tenant: tenant, origin: origin,
        deadline: context.databaseDeadline)
      self.logger.info(
        "operation to be cancelled",
        metadata: ["store": "\(operation.store)", "operation": "\(operation.id)"])
      return ProvisionerV1.Operation(operation)
    }
  }

  private static func id(_ text: String) throws(InvalidField) -> PostgresUUID {
    guard let id = PostgresUUID(text) else {
      throw InvalidField("operation", "is no id of an operation: they are UUIDs")
    }
    return id
  }

  private func find(
    _ text: String, _ tenant: String, _ context: ServerContext
  ) async throws -> OperationRecord {
    guard
      let operation = try await catalog.findOperation(
        try Self.id(text), tenant: tenant, deadline: context.databaseDeadline)
    else { throw StoreRefusal.notFound }
    return operation
  }
}
