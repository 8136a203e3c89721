import ProvisionerService

/// The scripts of jobs, which reach their pods in the job's Secret.
enum JobScripts {
  static func files(for engine: StoreEngine) -> [(name: String, text: String)] {
    let own: [(String, [UInt8])] =
      switch engine {
      case .woocommerce:
        [
          ("dump-mariadb.sh", PackageResources.dump_mariadb_sh),
          ("load-mariadb.sh", PackageResources.load_mariadb_sh),
          ("try-mariadb.sh", PackageResources.try_mariadb_sh),
          ("transfer.php", PackageResources.transfer_php),
        ]
      case .medusa:
        [
          ("dump-postgres.sh", PackageResources.dump_postgres_sh),
          ("load-postgres.sh", PackageResources.load_postgres_sh),
          ("try-postgres.sh", PackageResources.try_postgres_sh),
          ("transfer.js", PackageResources.transfer_js),
        ]
      }
    let common = [
      ("report.sh", PackageResources.report_sh), ("archive.sh", PackageResources.archive_sh),
      ("fetch.sh", PackageResources.fetch_sh), ("files.sh", PackageResources.files_sh),
    ]
    return (own + common).map { ($0.0, String(decoding: $0.1, as: UTF8.self)) }
  }
}
