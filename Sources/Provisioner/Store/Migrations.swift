package import Postgres
import ServiceRuntime

/// The changes of the provisioner's schema, in order.
package enum ProvisionerMigrations {
  package static func all() throws(PostgresError) -> [Migration] {
    [
      try Migration(file: "v0001_init.sql", contents: PackageResources.v0001_init_sql),
      try OutboxSchema.migration(version: 2),
      try Migration(file: "v0003_limits.sql", contents: PackageResources.v0003_limits_sql),
      try Migration(file: "v0004_changes.sql", contents: PackageResources.v0004_changes_sql),
      try Migration(file: "v0005_drift.sql", contents: PackageResources.v0005_drift_sql),
      try Migration(file: "v0006_backups.sql", contents: PackageResources.v0006_backups_sql),
      try Migration(file: "v0007_clusters.sql", contents: PackageResources.v0007_clusters_sql),
      try Migration(
        file: "v0008_lost_clusters.sql", contents: PackageResources.v0008_lost_clusters_sql),
      try Migration(
        file: "v0009_backup_schedules.sql", contents: PackageResources.v0009_backup_schedules_sql),
    ]
  }
}
