package import Postgres
import ServiceRuntime

/// The scripts that make and change the service's schema, in their order.
package enum ConfigMigrations {
  package static func all() throws(PostgresError) -> [Migration] {
    [
      try Migration(file: "v0001_init.sql", contents: PackageResources.v0001_init_sql),
      try OutboxSchema.migration(version: 2),
      try Migration(file: "v0003_platform.sql", contents: PackageResources.v0003_platform_sql),
    ]
  }
}
