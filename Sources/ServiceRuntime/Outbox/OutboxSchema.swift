package import Postgres

/// The outbox of a service's schema: the table `outbox` and the functions by which the worker role
/// delivers from it. The script is the same in every schema, since its roles are those of the schema
/// that it runs in.
package enum OutboxSchema {
  /// The script as one of the service's migrations, `v0002_outbox` for version 2.
  package static func migration(version: Int) throws(PostgresError) -> Migration {
    let digits = String(version)
    let zeros = String(repeating: "0", count: max(0, 4 - digits.count))
    return try Migration(
      file: "v\(zeros)\(digits)_outbox.sql", contents: PackageResources.outbox_sql)
  }

  /// What a writer notifies and a delivery listens to, in the schema `schema`.
  static func channel(schema: String) -> String { schema + "_outbox" }
}
