package import Postgres

/// A row of `store_releases`: a chart and values that a store was brought to.
package struct StoreReleaseRecord: Equatable, Sendable {
  /// Counts the releases of the store, from 1.
  package let number: Int
  /// The chart's name and version.
  package let chart: String
  package let parameters: StoreParameters
  /// Helm's latest record of it.
  package let helmRevision: Int
  package let operation: PostgresUUID
  package let createdAt: PostgresTimestamp

  static let columns = "number, chart, parameters, helm_revision, operation, created_at"

  init(_ row: PostgresRow) throws(PostgresError) {
    number = try row.decode("number")
    chart = try row.decode("chart")
    parameters = try StoreParameters(stored: row.decode("parameters"))
    helmRevision = try row.decode("helm_revision")
    operation = try row.decode("operation")
    createdAt = try row.decode("created_at")
  }
}

/// The releases that stores can go back to.
package enum StoreReleases {
  /// Kept of each store.
  package static let countMax = 10
  /// Records that Helm keeps of each store: suspensions and what failed leave some too. A release whose
  /// record is gone goes as well.
  package static let revisionsMax = 25

  /// The releases of a store, the newest first.
  static func all(
    of store: String, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> [StoreReleaseRecord] {
    let rows = try await transaction.query(
      "SELECT \(StoreReleaseRecord.columns) FROM store_releases WHERE store = $1 ORDER BY number DESC",
      [.text(store)])
    var releases: [StoreReleaseRecord] = []
    for row in rows { releases.append(try StoreReleaseRecord(row)) }
    return releases
  }

  static func find(
    _ number: Int, of store: String, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> StoreReleaseRecord? {
    let rows = try await transaction.query(
      "SELECT \(StoreReleaseRecord.columns) FROM store_releases WHERE store = $1 AND number = $2",
      [.text(store), .int8(Int64(number))])
    guard let row = rows.first else { return nil }
    return try StoreReleaseRecord(row)
  }

  /// Adds what an operation has made; its number.
  static func add(
    _ installed: InstalledRelease, _ parameters: StoreParameters, by operation: PostgresUUID,
    to store: StoreRecord, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> Int {
    let rows = try await transaction.query(
      """
      INSERT INTO store_releases
        (store, number, tenant, chart, parameters, helm_revision, operation)
      SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6
      FROM store_releases WHERE store = $1
      RETURNING number
      """,
      [
        .text(store.id), .text(store.tenant), .text(installed.chart), .jsonb(parameters.stored),
        .int8(Int64(installed.revision)), .uuid(operation),
      ])
    return try rows[0].decode(0)
  }

  /// Forgets what a store cannot go back to any more, after Helm has made a further record.
  static func prune(
    _ store: String, keeping current: Int?, _ installed: InstalledRelease,
    in transaction: PostgresTransaction
  ) async throws(PostgresError) {
    try await transaction.query(
      """
      DELETE FROM store_releases WHERE store = $1 AND number <> $2
        AND (number <= $2 - $3::int OR helm_revision <= $4)
      """,
      [
        .text(store), .int8(Int64(current ?? 0)), .text(String(countMax)),
        .int8(Int64(installed.revision - revisionsMax)),
      ])
  }

  /// The store goes, and all that it could go back to.
  static func forget(
    _ store: String, in transaction: PostgresTransaction
  ) async throws(PostgresError) {
    try await transaction.query("DELETE FROM store_releases WHERE store = $1", [.text(store)])
  }

  /// A release was made anew: Helm has a later record of it.
  static func renew(
    _ number: Int, of store: String, _ installed: InstalledRelease,
    in transaction: PostgresTransaction
  ) async throws(PostgresError) {
    try await transaction.query(
      "UPDATE store_releases SET helm_revision = $3 WHERE store = $1 AND number = $2",
      [.text(store), .int8(Int64(number)), .int8(Int64(installed.revision))])
  }
}
