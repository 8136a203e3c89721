import Contracts
package import Postgres
package import Reactor
import ServiceRuntime

/// A cluster that is to be registered.
package struct ClusterDraft: Sendable {
  package var name: String
  package var labels: [String: String]
  package var storesMax: Int?
  package var server: String
  package var access: ClusterAccess
  package var domainSuffix: String
  package var findings: [ClusterFinding]

  package init(
    name: String, labels: [String: String] = [:], storesMax: Int? = nil, server: String,
    access: ClusterAccess, domainSuffix: String = "", findings: [ClusterFinding] = []
  ) {
    self.name = name
    self.labels = labels
    self.storesMax = storesMax
    self.server = server
    self.access = access
    self.domainSuffix = domainSuffix
    self.findings = findings
  }
}

/// What is to change of a cluster; nil leaves a thing as it is.
package struct ClusterChange: Sendable {
  package var labels: [String: String] = [:]
  package var removedLabels: [String] = []
  /// 0: no limit.
  package var storesMax: Int?
  package var schedule: ClusterSchedule?
  package var domainSuffix: String?
  package var ingressAddress: String?
  /// Of another cluster that is the right one from now on.
  package var uid: String?
  /// Another kubeconfig, with what was found by it.
  package var connection: Connection?

  package struct Connection: Sendable {
    package var secret: String
    package var server: String
    package var uid: String?
    package var findings: [ClusterFinding]

    package init(
      secret: String, server: String, uid: String? = nil, findings: [ClusterFinding]
    ) {
      self.secret = secret
      self.server = server
      self.uid = uid
      self.findings = findings
    }
  }

  package init() {}
}

/// The clusters that stores are placed on. They belong to no tenant: who may see and change them is the
/// caller's business.
package final class ClusterCatalog {
  /// Clusters that are registered at once.
  package static let clustersMax = 64

  let pool: PostgresPool
  let worker: PostgresPool

  /// - Parameters:
  ///   - pool: of the application role.
  ///   - worker: of the worker role: a cluster's stores are those of all tenants.
  package init(pool: PostgresPool, worker: PostgresPool) {
    self.pool = pool
    self.worker = worker
  }

  // MARK: Reading

  /// All of them, by name.
  package func list(deadline: Instant) async throws(PostgresError) -> [ClusterRecord] {
    let rows = try await pool.query(
      scope: .none, "SELECT \(ClusterRecord.columns) FROM clusters ORDER BY name",
      deadline: deadline)
    var clusters: [ClusterRecord] = []
    for row in rows { clusters.append(try ClusterRecord(row)) }
    return clusters
  }

  /// - Throws: `ClusterRefusal.notFound`.
  package func find(_ name: String, deadline: Instant) async throws -> ClusterRecord {
    let rows = try await pool.query(
      scope: .none, "SELECT \(ClusterRecord.columns) FROM clusters WHERE name = $1", [.text(name)],
      deadline: deadline)
    guard let row = rows.first else { throw ClusterRefusal.notFound }
    return try ClusterRecord(row)
  }

  /// The stores on a cluster that are not deleted, by id, whosever they are.
  package func stores(
    on name: String, after id: String, count: Int, deadline: Instant
  ) async throws(PostgresError) -> [ClusterStoreRecord] {
    let rows = try await worker.query(
      scope: .worker, "SELECT * FROM cluster_stores($1, $2, $3::int)",
      [.text(name), .text(id), .int8(Int64(count))], deadline: deadline)
    var stores: [ClusterStoreRecord] = []
    for row in rows { stores.append(try ClusterStoreRecord(row)) }
    return stores
  }

  // MARK: Changes

  /// - Throws: `ClusterRefusal.exists`, `.tooMany`.
  package func register(
    _ draft: ClusterDraft, by origin: ChangeOrigin, deadline: Instant
  ) async throws -> ClusterRecord {
    try await change(by: origin, deadline: deadline) { transaction in
      // One after another: two at once would both take the last place.
      try await transaction.query(
        "SELECT pg_advisory_xact_lock(hashtextextended('storeplane-clusters', 0))")
      let count: Int = try await transaction.query("SELECT count(*) FROM clusters")[0].decode(0)
      let rows = try await transaction.query(
        """
        INSERT INTO clusters
          (name, labels, stores_max, server, secret, ingress_address, domain_suffix, findings,
           uid, forced, checked_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp())
        ON CONFLICT (name) DO NOTHING RETURNING \(ClusterRecord.columns)
        """,
        [
          .text(draft.name), .jsonb(ClusterRecord.stored(draft.labels)),
          .int8(draft.storesMax.map(Int64.init)), .text(draft.server), .text(draft.access.secret),
          .text(draft.access.ingressAddress), .text(draft.domainSuffix),
          .jsonb(draft.findings.stored), .text(draft.access.uid),
          .textArray(draft.findings.forced),
        ])
      guard let row = rows.first else { throw ClusterRefusal.exists }
      if count >= Self.clustersMax { throw ClusterRefusal.tooMany }
      let cluster = try ClusterRecord(row)
      return (cluster, ClusterEventMessage.registered(cluster, origin))
    }
  }

  /// Changes a cluster; how it was, and how it is.
  ///
  /// - Throws: `ClusterRefusal.notFound`, `.isOwn`, `.isAnother`, `.isAbandoned`; `InvalidField` for
  ///   labels that become too many.
  package func update(
    _ name: String, _ change: ClusterChange, by origin: ChangeOrigin, deadline: Instant
  ) async throws -> (before: ClusterRecord, after: ClusterRecord) {
    try await self.change(by: origin, deadline: deadline) { transaction in
      let before = try await Self.lock(name, in: transaction)
      if change.connection != nil, before.access.secret == nil {
        throw ClusterRefusal.isOwn("its kubeconfig is the provisioner's own setting, KUBECONFIG")
      }
      if before.abandonment != nil, change.schedule ?? .draining != .draining {
        throw ClusterRefusal.isAbandoned
      }
      let uid = change.uid ?? before.access.uid
      try ClusterRefusal.requireSame(change.connection?.uid, as: uid)
      var labels = before.labels.merging(change.labels) { $1 }
      for key in change.removedLabels { labels[key] = nil }
      try ClusterLabels.check(labels)
      let storesMax = change.storesMax.map { $0 == 0 ? nil : $0 } ?? before.storesMax
      let rows = try await transaction.query(
        """
        UPDATE clusters SET labels = $2, stores_max = $3, schedule = $4, domain_suffix = $5,
          ingress_address = $6, secret = $7, server = $8, findings = coalesce($9, findings),
          uid = $10, check_at = CASE WHEN $10 IS DISTINCT FROM uid THEN now() ELSE check_at END,
          ready = ready OR $9 IS NOT NULL,
          forced = CASE WHEN $9 IS NULL THEN forced ELSE $11 END,
          checked_at = CASE WHEN $9 IS NULL THEN checked_at ELSE clock_timestamp() END,
          updated_at = clock_timestamp()
        WHERE name = $1 RETURNING \(ClusterRecord.columns)
        """,
        [
          .text(name), .jsonb(ClusterRecord.stored(labels)), .int8(storesMax.map(Int64.init)),
          .text((change.schedule ?? before.schedule).rawValue),
          .text(change.domainSuffix ?? before.domainSuffix),
          .text(change.ingressAddress ?? before.access.ingressAddress),
          .text(change.connection?.secret ?? before.access.secret),
          .text(change.connection?.server ?? before.server),
          .jsonb(change.connection?.findings.stored), .text(uid ?? change.connection?.uid),
          .textArray(change.connection?.findings.forced ?? []),
        ])
      let after = try ClusterRecord(rows[0])
      return ((before, after), ClusterEventMessage.updated(after, from: before, origin))
    }
  }

  /// Forgets a cluster; what it was.
  ///
  /// - Throws: `ClusterRefusal.notFound`, `.isOwn`, `.hasStores`.
  package func unregister(
    _ name: String, by origin: ChangeOrigin, deadline: Instant
  ) async throws -> ClusterRecord {
    try await change(by: origin, deadline: deadline) { transaction in
      let cluster = try await Self.lock(name, in: transaction)
      if cluster.access.secret == nil {
        throw ClusterRefusal.isOwn("the provisioner is started with it")
      }
      if cluster.stores > 0 { throw ClusterRefusal.hasStores(cluster.stores) }
      try await transaction.query("DELETE FROM clusters WHERE name = $1", [.text(name)])
      return (cluster, ClusterEventMessage.unregistered(cluster, origin))
    }
  }

  /// Writes down what checks of a cluster found, unless another kubeconfig or another cluster is the
  /// right one by now.
  ///
  /// - Parameters:
  ///   - uid: what it was found to have.
  ///   - isReady: whether stores may be placed there; nil leaves that as it is.
  ///   - keepsForced: whether failures that were put up with still are.
  ///   - recovery: until the next check, about, of one that is not ready, or of which it is not known which
  ///     it is.
  /// - Throws: `ClusterRefusal.notFound`, `.changedMeanwhile`.
  @discardableResult
  package func recordCheck(
    of cluster: ClusterRecord, _ findings: [ClusterFinding], uid: String? = nil, isReady: Bool?,
    keepsForced: Bool = true, orSooner recovery: Duration = ClusterHandler.recoveryInterval,
    deadline: Instant
  ) async throws -> ClusterRecord {
    let rows = try await pool.query(
      scope: .none,
      """
      UPDATE clusters SET findings = $3, ready = coalesce($4, ready), checked_at = clock_timestamp(),
        uid = coalesce(uid, $6), forced = CASE WHEN $7 THEN forced ELSE '{}' END,
        check_at = CASE WHEN $8 OR NOT coalesce($4, ready) OR coalesce(uid, $6) IS NULL
          THEN least(check_at, clock_timestamp() + $9::interval * (0.75 + random() / 2))
          ELSE check_at END
      WHERE name = $1 AND secret IS NOT DISTINCT FROM $2
        AND (uid IS NOT DISTINCT FROM $5 OR ($5 IS NULL AND ($6::text IS NULL OR uid = $6)))
      RETURNING \(ClusterRecord.columns)
      """,
      [
        .text(cluster.name), .text(cluster.access.secret), .jsonb(findings.stored), .bool(isReady),
        .text(cluster.access.uid), .text(uid), .bool(keepsForced),
        .bool(findings.failures.contains { $0.check == .identity }),
        .text(recovery.interval),
      ], deadline: deadline)
    guard let row = rows.first else {
      _ = try await find(cluster.name, deadline: deadline)
      throw ClusterRefusal.changedMeanwhile
    }
    return try ClusterRecord(row)
  }

  /// Takes a cluster whose check is due, and says when the next one is.
  ///
  /// - Parameters:
  ///   - interval: until then, about: it is drawn from half of it around.
  ///   - recovery: the same for one that is not ready, or of which it is not known which it is.
  package func claimCheck(
    every interval: Duration, orSooner recovery: Duration, deadline: Instant
  ) async throws(PostgresError) -> ClusterRecord? {
    let rows = try await pool.query(
      scope: .none,
      """
      UPDATE clusters SET check_at = clock_timestamp()
        + CASE WHEN ready AND uid IS NOT NULL
              AND NOT findings @> '[{"check": "identity", "outcome": "failed"}]'
            THEN $1::interval ELSE $2::interval END * (0.75 + random() / 2)
      WHERE name = (
        SELECT name FROM clusters WHERE check_at <= clock_timestamp() AND abandoned_at IS NULL
        ORDER BY check_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
      RETURNING \(ClusterRecord.columns)
      """, [.text(interval.interval), .text(recovery.interval)], deadline: deadline)
    guard let row = rows.first else { return nil }
    return try ClusterRecord(row)
  }

  static func lock(
    _ name: String, in transaction: PostgresTransaction
  ) async throws -> ClusterRecord {
    let rows = try await transaction.query(
      "SELECT \(ClusterRecord.columns) FROM clusters WHERE name = $1 FOR UPDATE", [.text(name)])
    guard let row = rows.first else { throw ClusterRefusal.notFound }
    return try ClusterRecord(row)
  }

  /// Makes a change and records its event, where there is one, in one transaction.
  func change<R>(
    by origin: ChangeOrigin, deadline: Instant,
    _ body: (PostgresTransaction) async throws -> (R, AuditV1.Event?)
  ) async throws -> R {
    let tenant = ClusterEventMessage.tenant(of: origin)
    return try await pool.withTransaction(scope: .tenant(tenant), deadline: deadline) {
      let (result, event) = try await body($0)
      if let event { try await OutboxWriter().append(event, in: $0) }
      return result
    }
  }
}
