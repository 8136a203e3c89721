import JSON
import Postgres

/// The settings of a tenant as they are stored.
struct SettingsRecord: Equatable {
  let tree: SettingsTree
  /// 0 when nothing was ever set.
  let revision: Int64
  let updatedAt: PostgresTimestamp?

  static let unset = SettingsRecord(tree: .empty, revision: 0, updatedAt: nil)

  /// As the database's constraint has it: it writes numbers out, and so may need more than the
  /// document did.
  static let storedBytesMax = 1024 * 1024

  init(tree: SettingsTree, revision: Int64, updatedAt: PostgresTimestamp?) {
    self.tree = tree
    self.revision = revision
    self.updatedAt = updatedAt
  }

  init(_ row: PostgresRow) throws {
    var limits = JSONLimits()
    limits.bytesMax = Self.storedBytesMax
    let text = try row.decode("tree", as: String.self)
    guard case .object(let root) = try JSON(parsing: text, limits: limits) else {
      throw PostgresError(.badValue, "the settings are no object")
    }
    tree = SettingsTree(root: root)
    revision = try row.decode("revision")
    updatedAt = try row.decode("updated_at", as: PostgresTimestamp.self)
  }
}

struct SettingsStore {
  private static let columns = "tree, revision, updated_at"

  func get(_ tenant: TenantID, in transaction: PostgresTransaction) async throws -> SettingsRecord {
    let rows = try await transaction.query(
      "SELECT \(Self.columns) FROM settings WHERE tenant = $1", [.text(tenant.text)])
    return try rows.first.map { try SettingsRecord($0) } ?? .unset
  }

  /// The settings, with the tenant's turn taken: nobody else changes them until the commit.
  func getForUpdate(
    _ tenant: TenantID, in transaction: PostgresTransaction
  ) async throws -> SettingsRecord {
    let results = try await transaction.pipeline { pipeline in
      pipeline.takeTurn(of: tenant)
      pipeline.query(
        "SELECT \(Self.columns) FROM settings WHERE tenant = $1", [.text(tenant.text)])
    }
    guard !results[0].isEmpty else { throw ConfigError.tenantNotFound(tenant.text) }
    return try results[1].first.map { try SettingsRecord($0) } ?? .unset
  }

  func set(
    _ tenant: TenantID, _ tree: SettingsTree, in transaction: PostgresTransaction
  ) async throws -> SettingsRecord {
    do {
      let rows = try await transaction.query(
        """
        INSERT INTO settings (tenant, tree, revision) VALUES ($1, $2, 1)
        ON CONFLICT (tenant) DO UPDATE
          SET tree = excluded.tree, revision = settings.revision + 1, updated_at = now()
        RETURNING revision, updated_at
        """, [.text(tenant.text), .jsonb(JSON.object(tree.root).serializedText())])
      return SettingsRecord(
        tree: tree, revision: try rows[0].decode("revision"),
        updatedAt: try rows[0].decode("updated_at", as: PostgresTimestamp.self))
    } catch {
      guard error.constraint == "settings_tree_size" else { throw error }
      throw ConfigError.invalid(
        field: "settings.values",
        description:
          "with numbers written out they have more than \(SettingsRecord.storedBytesMax) "
          + "bytes")
    }
  }
}
