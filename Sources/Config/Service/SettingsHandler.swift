import Contracts
import JSON
import RPC
import RPCCore
import ServiceRuntime

/// Serves the settings of the caller's tenant.
struct SettingsHandler: ConfigV1.SettingsServiceHandler {
  let database: ConfigDatabase
  private let settings = SettingsStore()

  init(database: ConfigDatabase) { self.database = database }

  func getSettings(
    _ request: ConfigV1.GetSettingsRequest, context: ServerContext
  ) async throws -> ConfigV1.Settings {
    let tenant = try context.caller().scope()
    return try await database.transaction(of: tenant, context) { transaction in
      ConfigV1.Settings(try await self.settings.get(tenant, in: transaction.postgres))
    }
  }

  func updateSettings(
    _ request: ConfigV1.UpdateSettingsRequest, context: ServerContext
  ) async throws -> ConfigV1.Settings {
    let tenant = try context.caller().scope()
    let change = try validated { try SettingsChange(request) }
    return try await database.transaction(of: tenant, context) { transaction in
      let current = try await self.settings.getForUpdate(tenant, in: transaction.postgres)
      guard EntityTag(revision: current.revision).satisfies(change.etag) else {
        throw ConfigError.etagMismatch
      }
      let tree = try current.tree.patched(with: change.values, paths: change.paths)
      if tree == current.tree { return ConfigV1.Settings(current) }
      let changed = try await self.settings.set(tenant, tree, in: transaction.postgres)
      try await transaction.record(
        "settings.update", tenant: tenant,
        details: [
          "revision": .init(kind: .numberValue(Double(changed.revision))),
          "changed": .init(
            kind: .listValue(
              .init(values: tree.membersChanged(from: current.tree).map { .init($0) }))),
        ])
      return ConfigV1.Settings(changed)
    }
  }
}

/// A request to change settings, checked.
private struct SettingsChange {
  let values: JSONObject
  let paths: [SettingsPath]
  let etag: String

  init(_ request: ConfigV1.UpdateSettingsRequest) throws {
    guard let settings = request.settings else {
      throw FieldViolation("settings", "it is missing")
    }
    values = try JSONObject(settings.values ?? GoogleProtobuf.Struct(), path: "settings.values")
    paths = try [SettingsPath](request.paths)
    etag = settings.etag
  }
}

extension SettingsTree {
  /// Bytes of the keys that are told in an event, as JSON: audit refuses events with too many. The
  /// values are never told.
  private static let membersToldBytesMax = 8 * 1024

  /// The top-level keys in which two trees differ, in their order.
  fileprivate func membersChanged(from previous: SettingsTree) -> [String] {
    let keys = Set(root.keys).union(previous.root.keys).filter { root[$0] != previous.root[$0] }
    var bytes = 0
    return Array(
      keys.sorted().prefix { key in
        bytes += JSON.string(key).serializedText().utf8.count
        return bytes <= Self.membersToldBytesMax
      })
  }
}

extension ConfigV1.Settings {
  init(_ record: SettingsRecord) {
    self.init(
      values: GoogleProtobuf.Struct(record.tree.root),
      etag: EntityTag(revision: record.revision).text,
      updateTime: record.updatedAt.map { .init($0) })
  }
}
