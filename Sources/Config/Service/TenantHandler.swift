import Contracts
import Postgres
import RPC
import RPCCore
import ServiceRuntime

/// Serves tenants: an administrator sees all and makes them, anybody else sees its own.
struct TenantHandler: ConfigV1.TenantServiceHandler {
  let database: ConfigDatabase
  private let tenants = TenantStore()

  init(database: ConfigDatabase) { self.database = database }

  func listTenants(
    _ request: ConfigV1.ListTenantsRequest, context: ServerContext
  ) async throws -> ConfigV1.ListTenantsResponse {
    let caller = try context.caller()
    let (count, token, after) = try validated {
      let token = PageToken(
        listing: ["tenants", caller.isAdministrator ? "*" : caller.tenant ?? ""])
      return (
        try ConfigLimits.pageSize(request.pageSize), token, try token.name(request.pageToken)
      )
    }
    // One more than fits says whether another page follows.
    let found = try await list(caller, after: after, count: count + 1, context)
    let page = found.prefix(count)
    return ConfigV1.ListTenantsResponse(
      tenants: page.map(ConfigV1.Tenant.init),
      nextPageToken: found.count > count ? page.last.map { token.encode(after: [$0.id]) } ?? "" : ""
    )
  }

  private func list(
    _ caller: Caller, after: String, count: Int, _ context: ServerContext
  ) async throws -> [TenantRecord] {
    if caller.isAdministrator {
      return try await database.answering {
        try await self.tenants.listAll(
          after: after, count: count, by: self.database.worker,
          deadline: context.databaseDeadline)
      }
    }
    let tenant = try caller.scope()
    return try await database.transaction(of: tenant, context) { transaction in
      try await self.tenants.list(after: after, count: count, in: transaction.postgres)
    }
  }

  func createTenant(
    _ request: ConfigV1.CreateTenantRequest, context: ServerContext
  ) async throws -> ConfigV1.Tenant {
    guard try context.caller().isAdministrator else {
      throw RPCError(
        .permissionDenied, reason: "ADMINISTRATORS_ONLY", "only administrators create tenants")
    }
    let (id, displayName, requestID) = try validated {
      let id = try TenantID(request.tenant)
      return (
        id, try DisplayName(request.displayName, of: id), try self.requestID(request.requestID)
      )
    }
    return try await database.transaction(of: id, context) { transaction in
      let creation = try await self.tenants.create(
        id, displayName, requestID: requestID, in: transaction.postgres)
      switch creation {
      case .repeated(let tenant): return ConfigV1.Tenant(tenant)
      case .created(let tenant):
        try await transaction.record(
          "tenant.create", tenant: id, details: ["display_name": .init(displayName.text)])
        return ConfigV1.Tenant(tenant)
      }
    }
  }

  private func requestID(_ text: String) throws(ConfigError) -> PostgresUUID? {
    if text.isEmpty { return nil }
    guard let id = PostgresUUID(text) else {
      throw .invalid(field: "request_id", description: "it is no UUID")
    }
    return id
  }

  func getTenant(
    _ request: ConfigV1.GetTenantRequest, context: ServerContext
  ) async throws -> ConfigV1.Tenant {
    let caller = try context.caller()
    let id = try validated { try TenantID(request.tenant) }
    // Nobody but an administrator gets into another scope than its own, where others do not exist.
    let scope = try caller.isAdministrator ? id : caller.scope()
    return try await database.transaction(of: scope, context) { transaction in
      ConfigV1.Tenant(try await self.tenants.get(id, in: transaction.postgres))
    }
  }
}

extension Caller {
  /// The tenant whose rows the caller sees.
  func scope() throws(RPCError) -> TenantID {
    guard let tenant else {
      throw RPCError(
        .failedPrecondition, reason: "NO_TENANT",
        "the caller belongs to no tenant; choose one first")
    }
    do {
      return try TenantID(tenant)
    } catch {
      throw RPCError(.unauthenticated, "the caller token names a tenant that cannot be: \(error)")
    }
  }
}

extension ConfigV1.Tenant {
  init(_ record: TenantRecord) {
    self.init(
      id: record.id, displayName: record.displayName, createTime: .init(record.createdAt),
      updateTime: .init(record.updatedAt), etag: EntityTag(revision: record.revision).text)
  }
}

extension GoogleProtobuf.Timestamp {
  init(_ timestamp: PostgresTimestamp) {
    self.init(microsecondsSince1970: timestamp.microseconds)
  }
}
