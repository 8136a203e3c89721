import Contracts

// What must be so of clusters.
extension Verdict {
  /// Clusters count their stores, lead where they should, and of those that were given up nothing is left.
  mutating func checkClusters() throws {
    let rows = try admin.query(
      """
      SELECT c.name, c.stores, count(s.id) FROM clusters c
        LEFT JOIN stores s ON s.cluster = c.name AND s.state <> 'deleted'
      GROUP BY c.name HAVING c.stores <> count(s.id) ORDER BY c.name
      """)
    for row in rows { found.append("a cluster counts wrong: \(row.compactMap(\.self))") }
    let homeless = try admin.query(
      """
      SELECT s.name, s.cluster, s.state FROM stores s WHERE s.state <> 'deleted' AND (
        s.id IN (SELECT store FROM given_up) OR s.cluster NOT IN (SELECT name FROM clusters))
      ORDER BY s.id
      """)
    for row in homeless { found.append("a store is left behind: \(row.compactMap(\.self))") }
    try checkAccess()
    try checkClusterEvents()
  }

  private mutating func checkAccess() throws {
    for row in try admin.query("SELECT name, uid, secret FROM clusters ORDER BY name") {
      let name = row[0] ?? ""
      let uid = simulation.world.uid(of: name)
      // One that took the place of another is known once it was checked.
      if let known = row[1], known != uid { found.append("\(name) is \(uid), not \(known)") }
      if simulation.world.isLost(uid: uid) { found.append("\(name) is lost, and still there") }
      if let secret = row[2], simulation.world.kubeconfigs[secret] != name {
        found.append("\(name) has lost its kubeconfig \(secret)")
      }
    }
  }

  /// Each is in the trail once.
  private mutating func checkClusterEvents() throws {
    let changes = try admin.query("SELECT what FROM cluster_changes").compactMap(\.first)
    let events = simulation.audit.events.values.map(\.action)
    for what in ["ready again", "not ready"] where changes.contains(what) {
      simulation.coverage.count("cluster \(what)")
    }
    for what in ["abandon", "unregister", "end"] {
      let count = changes.count { $0 == what }
      if count > 0 { simulation.coverage.count("given up \(what)", by: count) }
      let told = events.count { $0 == "cluster.\(what)" }
      if what != "end", told != count {
        found.append("cluster.\(what) was told \(told) times of \(count)")
      }
    }
  }
}
