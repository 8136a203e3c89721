package import Configuration
package import Contracts
package import Logging
import Observability
import Postgres
package import RPC
import RPCCore
import Reactor
import ServiceRuntime

/// Serves the stores of the caller's tenant.
package final class StoreHandler: ProvisionerV1.StoreServiceHandler {
  let catalog: StoreCatalog
  private let feed: ChangeFeed
  let address: HostURLTemplate
  let logger: Logger

  /// - Parameter address: of the stores' front pages.
  package init(
    catalog: StoreCatalog, feed: ChangeFeed, address: HostURLTemplate, logger: Logger
  ) {
    self.catalog = catalog
    self.feed = feed
    self.address = address
    self.logger = logger
  }

  // MARK: Changes

  package func createStore(
    _ request: ProvisionerV1.CreateStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    let tenant = try context.tenant()
    let origin = try context.changeOrigin()
    return try await answering("store", request.name, logger: logger) {
      let draft = try Self.draft(request)
      let key = try Self.key(request.requestID)
      if request.validateOnly { return ProvisionerV1.Operation() }
      let operation = try await self.catalog.create(
        draft, key: key, tenant: tenant, origin: origin, deadline: context.databaseDeadline)
      self.log("store asked for", operation)
      return ProvisionerV1.Operation(operation)
    }
  }

  private static func draft(
    _ request: ProvisionerV1.CreateStoreRequest
  ) throws -> StoreDraft {
    try StoreName.check(request.name)
    let engine: StoreEngine
    switch request.engine {
    case .woocommerce: engine = .woocommerce
    case .medusa: engine = .medusa
    case .unspecified, .unrecognized:
      throw InvalidField("engine", "give one of ENGINE_WOOCOMMERCE, ENGINE_MEDUSA")
    }
    let parameters = try StoreParameters(request.parameters ?? ProvisionerV1.StoreParameters())
    try parameters.check()
    let backup =
      request.fromBackup.isEmpty
      ? nil : try BackupHandler.id(request.fromBackup, field: "from_backup")
    return StoreDraft(
      name: request.name, engine: engine, parameters: parameters,
      driftPolicy: try request.driftPolicy.domain(),
      backupSchedule: try request.backupSchedule?.domain(), wish: try wish(request), backup: backup)
  }

  private static func wish(
    _ request: ProvisionerV1.CreateStoreRequest
  ) throws(InvalidField) -> ClusterWish {
    try ClusterLabels.check(request.clusterLabels, field: "cluster_labels")
    if request.cluster.isEmpty { return ClusterWish(labels: request.clusterLabels) }
    try ClusterName.check(request.cluster, field: "cluster")
    return ClusterWish(cluster: request.cluster, labels: request.clusterLabels)
  }

  static func key(_ requestID: String) throws(InvalidField) -> PostgresUUID? {
    if requestID.isEmpty { return nil }
    guard let key = PostgresUUID(requestID) else { throw InvalidField("request_id", "is no UUID") }
    return key
  }

  package func retryStore(
    _ request: ProvisionerV1.RetryStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    let tenant = try context.tenant()
    let origin = try context.changeOrigin()
    return try await answering("store", request.store, logger: logger) {
      let operation = try await self.catalog.retry(
        try Self.reference(request.store), key: try Self.key(request.requestID), tenant: tenant,
        origin: origin, deadline: context.databaseDeadline)
      self.log("store retried", operation)
      return ProvisionerV1.Operation(operation)
    }
  }

  package func deleteStore(
    _ request: ProvisionerV1.DeleteStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    let tenant = try context.tenant()
    let origin = try context.changeOrigin()
    return try await answering("store", request.store, logger: logger) {
      // Asking again is safe without it; what is no key is told all the same.
      _ = try Self.key(request.requestID)
      let operation = try await self.catalog.delete(
        try Self.reference(request.store), version: try EntityTag.version(request.etag),
        finalBackup: request.finalBackup, tenant: tenant, origin: origin,
        deadline: context.databaseDeadline)
      self.log("store to be deleted", operation)
      return ProvisionerV1.Operation(operation)
    }
  }

  // MARK: Reading

  package func getStore(
    _ request: ProvisionerV1.GetStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Store {
    let tenant = try context.tenant()
    return try await answering("store", request.store, logger: logger) {
      let store = try await self.find(request.store, tenant, context)
      return ProvisionerV1.Store(store, address: self.address)
    }
  }

  package func listStores(
    _ request: ProvisionerV1.ListStoresRequest, context: ServerContext
  ) async throws -> ProvisionerV1.ListStoresResponse {
    let tenant = try context.tenant()
    return try await answering("store", "", logger: logger) {
      var states: Set<StoreState> = []
      for (index, state) in request.states.enumerated() {
        states.insert(try state.domain("states[\(index)]"))
      }
      let count = try PageSize.check(request.pageSize)
      let token = PageToken(
        listing: ["stores", tenant] + states.map(\.rawValue).sorted())
      let page = try await self.catalog.list(
        states: states, after: try token.position(request.pageToken), count: count, tenant: tenant,
        deadline: context.databaseDeadline)
      return ProvisionerV1.ListStoresResponse(
        stores: page.items.map { ProvisionerV1.Store($0, address: self.address) },
        nextPageToken: token.encode(page.next))
    }
  }

  /// Sends the store as it is, then as it was after each transition, none left out, and as it is
  /// whenever it changed otherwise, until it is deleted.
  package func watchStore(
    _ request: ProvisionerV1.WatchStoreRequest,
    responses: ResponseWriter<ProvisionerV1.Store>, context: ServerContext
  ) async throws {
    let tenant = try context.tenant()
    try await answering("store", request.store, logger: logger) {
      let found = try await self.find(request.store, tenant, context)
      let watch = try self.feed.watch(.store(found.id))
      defer { self.feed.end(watch) }
      var sent = StoreCursor()
      while await watch.next() {
        guard
          let (store, transitions) = try await self.catalog.history(
            found.id, after: sent.revision ?? .max, tenant: tenant,
            deadline: context.databaseDeadline)
        else { throw StoreRefusal.notFound }
        for message in sent.advance(to: store, transitions, address: self.address) {
          try await responses.write(message)
        }
        if sent.isLast { return }
      }
      throw RPCError(.unavailable, reason: "WATCH_ENDED", "the service stops; watch again")
    }
  }

  private func find(
    _ text: String, _ tenant: String, _ context: ServerContext
  ) async throws -> StoreRecord {
    let store = try await catalog.find(
      try Self.reference(text), tenant: tenant, deadline: context.databaseDeadline)
    guard let store else { throw StoreRefusal.notFound }
    return store
  }

  static func reference(
    _ text: String, field: String = "store"
  ) throws(InvalidField) -> StoreReference {
    guard !text.isEmpty else { throw InvalidField(field, "give the id or the name of a store") }
    guard text.utf8.count <= StoreName.bytesMax, !text.utf8.contains(0) else {
      throw InvalidField(field, "is no id and no name of a store")
    }
    return StoreReference(text)
  }

  func log(_ message: Logger.Message, _ operation: OperationRecord) {
    logger.info(
      message, metadata: ["store": "\(operation.store)", "operation": "\(operation.id)"])
  }
}

/// How much of a store's history a watcher has seen.
private struct StoreCursor {
  /// Of the last transition that was sent; nil before the first message.
  private(set) var revision: Int64?
  private var version: Int64 = 0
  private(set) var isLast = false

  /// The messages that bring the watcher up to date.
  mutating func advance(
    to store: StoreRecord, _ transitions: [StoreTransitionRecord], address: HostURLTemplate
  ) -> [ProvisionerV1.Store] {
    var messages: [ProvisionerV1.Store] = []
    for transition in transitions {
      messages.append(ProvisionerV1.Store(store, at: transition, address: address))
      revision = transition.revision
      version = max(version, transition.version)
    }
    // At first, and after a change that was no transition.
    if store.version > version {
      messages.append(ProvisionerV1.Store(store, address: address))
      version = store.version
      revision = max(revision ?? 0, store.revision)
    }
    isLast = messages.last?.state == .deleted
    return messages
  }
}
