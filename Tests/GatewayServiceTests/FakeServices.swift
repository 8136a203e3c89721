import Contracts
import RPC
import RPCCore
import Reactor
import ServiceRuntime

/// What a fake service saw of its callers. Confined to its reactor.
final class Sightings {
  var requestIDs: [String?] = []
  var traceparents: [String?] = []
  var callers: [Caller?] = []
  var authorizations: [String?] = []
  var cancelled = 0
  var deadlines: [Duration] = []

  func see(_ context: ServerContext) {
    requestIDs.append(context.metadata["x-request-id"])
    traceparents.append(context.metadata["traceparent"])
    authorizations.append(context.metadata["authorization"])
    callers.append(context[Caller.self])
    deadlines.append(context.deadline - .now())
  }

  func waitForCancellation() async throws {
    let (never, _) = AsyncStream.makeStream(of: Void.self)
    var iterator = never.makeAsyncIterator()
    _ = await iterator.next(isolation: #isolation)
    cancelled += 1
    throw CancellationError()
  }
}

/// A provisioner without stores: the name of a store says what becomes of a call.
final class FakeProvisioner: ProvisionerV1.StoreServiceHandler {
  let sightings = Sightings()
  private(set) var created: [ProvisionerV1.CreateStoreRequest] = []
  /// The tenants of the stores created, by the stores' names.
  private var owners: [String: String] = [:]

  func createStore(
    _ request: ProvisionerV1.CreateStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    sightings.see(context)
    let tenant = try context.tenant()
    if request.name == "taken" { throw RPCError.alreadyExists("store", "taken") }
    if request.name == "lost" {
      throw RPCError(.unavailable, reason: "OUTCOME_UNKNOWN", "the change may have been made")
    }
    if request.name == "endless" { try await sightings.waitForCancellation() }
    if request.parameters?.adminEmail == "nobody" {
      throw RPCError.invalidArgument(
        field: "parameters.admin_email", description: "is no mail address")
    }
    created.append(request)
    owners[request.name] = tenant
    return ProvisionerV1.Operation(id: "op-\(created.count)", store: request.name)
  }

  func getStore(
    _ request: ProvisionerV1.GetStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Store {
    sightings.see(context)
    let tenant = try context.tenant()
    switch request.store {
    case "absent": throw RPCError.notFound("store", request.store)
    case "slow": try await sightings.waitForCancellation()
    case "crash": throw Crash()
    case "private":
      if owners["private"] != tenant { throw RPCError.notFound("store", "private") }
    default: break
    }
    return ProvisionerV1.Store(
      id: "id-1", name: request.store, tenant: tenant, engine: .woocommerce, state: .ready,
      revision: 3)
  }

  struct Crash: Error {}

  func listStores(
    _ request: ProvisionerV1.ListStoresRequest, context: ServerContext
  ) async throws -> ProvisionerV1.ListStoresResponse {
    sightings.see(context)
    guard request.pageToken.isEmpty else {
      throw RPCError.invalidArgument(field: "page_token", description: "is none of this list's")
    }
    return ProvisionerV1.ListStoresResponse(
      stores: request.states.map { ProvisionerV1.Store(name: "\($0.rawValue)", state: $0) },
      nextPageToken: "\(request.pageSize)")
  }

  func watchStore(
    _ request: ProvisionerV1.WatchStoreRequest, responses: ResponseWriter<ProvisionerV1.Store>,
    context: ServerContext
  ) async throws {
    sightings.see(context)
    if request.store == "absent" { throw RPCError.notFound("store", request.store) }
    if request.store != "silent" {
      try await responses.write(ProvisionerV1.Store(name: request.store, state: .provisioning))
    }
    switch request.store {
    case "silent", "endless": try await sightings.waitForCancellation()
    case "broken": throw RPCError(.aborted, reason: "BROKEN", "the stream broke")
    default: break
    }
    try await responses.write(ProvisionerV1.Store(name: request.store, state: .ready))
  }

  func retryStore(
    _ request: ProvisionerV1.RetryStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    sightings.see(context)
    return ProvisionerV1.Operation(id: "retry", store: request.store)
  }

  func updateStore(
    _ request: ProvisionerV1.UpdateStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Store {
    sightings.see(context)
    return ProvisionerV1.Store(id: request.store, driftPolicy: request.driftPolicy)
  }

  func upgradeStore(
    _ request: ProvisionerV1.UpgradeStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    sightings.see(context)
    return ProvisionerV1.Operation(id: "upgrade", store: request.store)
  }

  func rollbackStore(
    _ request: ProvisionerV1.RollbackStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    sightings.see(context)
    return ProvisionerV1.Operation(id: "rollback", store: request.store)
  }

  func suspendStore(
    _ request: ProvisionerV1.SuspendStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    sightings.see(context)
    return ProvisionerV1.Operation(id: "suspend", store: request.store)
  }

  func resumeStore(
    _ request: ProvisionerV1.ResumeStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    sightings.see(context)
    return ProvisionerV1.Operation(id: "resume", store: request.store)
  }

  func backupStore(
    _ request: ProvisionerV1.BackupStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    sightings.see(context)
    return ProvisionerV1.Operation(id: "backup", store: request.store)
  }

  func restoreStore(
    _ request: ProvisionerV1.RestoreStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    sightings.see(context)
    return ProvisionerV1.Operation(id: request.backup, store: request.store)
  }

  func listReleases(
    _ request: ProvisionerV1.ListReleasesRequest, context: ServerContext
  ) async throws -> ProvisionerV1.ListReleasesResponse {
    sightings.see(context)
    return ProvisionerV1.ListReleasesResponse(releases: [.init(number: 1, current: true)])
  }

  func deleteStore(
    _ request: ProvisionerV1.DeleteStoreRequest, context: ServerContext
  ) async throws -> ProvisionerV1.Operation {
    sightings.see(context)
    return ProvisionerV1.Operation(id: request.etag, store: request.store)
  }
}

/// Settings that come back as they were sent.
final class FakeSettings: ConfigV1.SettingsServiceHandler {
  let sightings = Sightings()

  func getSettings(
    _ request: ConfigV1.GetSettingsRequest, context: ServerContext
  ) async throws -> ConfigV1.Settings {
    sightings.see(context)
    return ConfigV1.Settings(values: ["colour": "blue"], etag: "1")
  }

  func updateSettings(
    _ request: ConfigV1.UpdateSettingsRequest, context: ServerContext
  ) async throws -> ConfigV1.Settings {
    sightings.see(context)
    if request.settings?.etag == "old" {
      throw RPCError.invalidArgument(field: "settings.etag", description: "is old")
    }
    var settings = request.settings ?? ConfigV1.Settings()
    settings.etag = request.paths.joined(separator: "+")
    return settings
  }
}
