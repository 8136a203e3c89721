import Observability
package import Postgres
package import Reactor

/// A store on a cluster that was given up.
package struct AbandonedStore: Equatable, Sendable {
  package let id: String
  package let tenant: String
  package let cluster: String
}

// Clusters that are lost, with all stores on them. That one is given up is written in its row, so that
// whoever lives goes on with what follows from it.
extension ClusterCatalog {
  /// Gives a cluster up. Asked again, it changes nothing.
  ///
  /// - Throws: `ClusterRefusal.notFound`, `.notDraining`.
  package func abandon(
    _ name: String, by origin: ChangeOrigin, deadline: Instant
  ) async throws -> ClusterRecord {
    try await change(by: origin, deadline: deadline) { transaction in
      let before = try await Self.lock(name, in: transaction)
      if before.abandonment != nil { return (before, nil) }
      guard before.schedule == .draining else { throw ClusterRefusal.notDraining }
      let rows = try await transaction.query(
        """
        UPDATE clusters SET abandoned_at = clock_timestamp(), updated_at = clock_timestamp(),
          abandon_request_id = $2, abandon_tenant = $3, abandon_principal = $4
        WHERE name = $1 RETURNING \(ClusterRecord.columns)
        """,
        [
          .text(name), .text(origin.request.requestID), .text(origin.request.tenant),
          .text(origin.request.principal),
        ])
      let cluster = try ClusterRecord(rows[0])
      return (cluster, ClusterEventMessage.abandoned(cluster, origin))
    }
  }

  /// Stores on such clusters, by id, that are not being deleted yet, whosever they are.
  package func abandonedStores(
    after id: String, count: Int, deadline: Instant
  ) async throws(PostgresError) -> [AbandonedStore] {
    let rows = try await worker.query(
      scope: .worker, "SELECT * FROM abandoned_stores($1, $2::int)",
      [.text(id), .int8(Int64(count))], deadline: deadline)
    var stores: [AbandonedStore] = []
    for row in rows {
      stores.append(
        AbandonedStore(
          id: try row.decode("id"), tenant: try row.decode("tenant"),
          cluster: try row.decode("cluster")))
    }
    return stores
  }

  /// Forgets a cluster that was given up, once no store is on it. The own one stays, and whatever cluster
  /// the next check finds is it from then on.
  ///
  /// - Returns: what it was; nil where it is not to be forgotten, or was by somebody else.
  package func endAbandonment(
    of cluster: ClusterRecord, deadline: Instant
  ) async throws -> ClusterRecord? {
    guard let abandonment = cluster.abandonment else { return nil }
    let origin = ChangeOrigin.principal(of: abandonment.request)
    return try await change(by: origin, deadline: deadline) { transaction in
      let rows = try await transaction.query(
        """
        SELECT \(ClusterRecord.columns) FROM clusters
        WHERE name = $1 AND abandoned_at = $2 AND stores = 0 FOR UPDATE
        """, [.text(cluster.name), .timestamp(abandonment.time)])
      guard let row = rows.first else { return (nil, nil) }
      let before = try ClusterRecord(row)
      if before.access.secret != nil {
        try await transaction.query("DELETE FROM clusters WHERE name = $1", [.text(before.name)])
        return (before, ClusterEventMessage.unregistered(before, origin))
      }
      let changed = try await transaction.query(
        """
        UPDATE clusters SET abandoned_at = NULL, abandon_request_id = NULL, abandon_tenant = NULL,
          abandon_principal = NULL, uid = NULL, forced = '{}', check_at = now(),
          updated_at = clock_timestamp()
        WHERE name = $1 RETURNING \(ClusterRecord.columns)
        """, [.text(before.name)])
      let after = try ClusterRecord(changed[0])
      return (before, ClusterEventMessage.updated(after, from: before, origin))
    }
  }
}
