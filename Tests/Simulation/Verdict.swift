import Contracts
import ProvisionerService

/// What must be so once a run has come to rest.
struct Verdict {
  let simulation: Simulation
  let admin: ServerSession
  var found: [String] = []

  init(_ simulation: Simulation) {
    self.simulation = simulation
    admin = simulation.environment.database.admin
  }

  func violations() throws -> [String] {
    var verdict = self
    try verdict.checkWatchmen()
    try verdict.checkStores()
    try verdict.checkTransitions()
    try verdict.checkOperations()
    try verdict.checkEvents()
    try verdict.checkBackups()
    try verdict.checkClusters()
    return verdict.found
  }

  private mutating func checkWatchmen() throws {
    found += try admin.query("SELECT what FROM violations ORDER BY number LIMIT 20")
      .compactMap(\.first).compactMap(\.self)
  }

  /// The world is as the database says.
  private mutating func checkStores() throws {
    let rows = try admin.query(
      """
      SELECT s.id, s.name, s.state, s.suspended, s.parameters->'values',
        coalesce((SELECT (c->>'is_true')::boolean FROM jsonb_array_elements(s.conditions) c
          WHERE c->>'type' = 'Released'), true), s.release, r.helm_revision, o.state, s.cluster, s.drift_corrections
      FROM stores s LEFT JOIN store_releases r ON r.store = s.id AND r.number = s.release
        LEFT JOIN operations o ON o.id = s.operation
      ORDER BY s.id
      """)
    for row in rows {
      let words = row.map { $0 ?? "" }
      let store = simulation.world[words[0]]
      let name = "\(words[1]) (\(words[0]))"
      simulation.coverage.count("end \(words[2])")
      if !store.cluster.isEmpty, store.cluster != words[9] {
        found.append("\(name) is in \(words[9]), and was made in \(store.cluster)")
      }
      if words[10] != "0" { simulation.coverage.count("drift corrected") }
      if words[8].isEmpty { found.append("\(name): its operation is not there") }
      switch words[2] {
      case "deleted":
        // What is on a cluster that is lost is nobody's any more.
        let isLost = simulation.world.isLost(uid: store.clusterUID)
        if isLost ? store.hasCredentials : !store.isEmpty {
          found.append("\(name) is deleted and has \(store)")
        }
      case "failed": break
      case "ready":
        // After a restoration that failed nothing is served, and that is what the condition says.
        let isRunning = words[5] != "t" || (store.podsReadyAt != nil && store.isSetUp)
        if !store.hasNamespace || !store.hasSecret || !store.hasCredentials || !isRunning {
          found.append("\(name) is ready and has \(store)")
        }
        try checkRelease(words, store, name)
      default: found.append("\(name) came to rest \(words[2])")
      }
    }
    let known = Set(rows.compactMap(\.first).compactMap(\.self))
    for (id, store) in simulation.world.stores where !known.contains(id) && !store.isEmpty {
      found.append("\(store.name) (\(id)) is of no store: \(store)")
    }
  }

  private mutating func checkRelease(
    _ words: [String], _ store: World.Store, _ name: String
  ) throws {
    guard words[5] == "t", let last = store.revisions.last else { return }
    if last.isSuspended != (words[3] == "t") {
      found.append("\(name) is suspended: \(words[3]), and in the world: \(last.isSuspended)")
    }
    guard let number = Int(words[7]), store.revisions.indices.contains(number - 1) else {
      return found.append("\(name): Helm has no record \(words[7]) of release \(words[6])")
    }
    if store.revisions[number - 1].parameters.values != last.parameters.values {
      found.append("\(name) runs other values than its release has")
    }
  }

  /// Each store went by the arrows that there are, each transition follows the one before.
  private mutating func checkTransitions() throws {
    let rows = try admin.query(
      """
      SELECT t.store, t.revision, t.previous_state, t.state, s.revision, s.state
      FROM store_transitions t JOIN stores s ON s.id = t.store ORDER BY t.store, t.revision
      """)
    var last: (store: String, revision: Int, state: String)?
    for row in rows {
      let words = row.map { $0 ?? "" }
      let revision = Int(words[1]) ?? 0
      if let last, last.store == words[0] {
        let targets = StoreState(rawValue: words[2]).flatMap { StoreState.transitions[$0] }
        let isLegal = targets?.values.contains { $0.rawValue == words[3] } ?? false
        if revision != last.revision + 1 || words[2] != last.state || !isLegal {
          found.append("\(words[0]): transition \(words) follows \(last)")
        }
      } else if revision != 1 || words[3] != "requested" {
        found.append("\(words[0]) began as \(words)")
      }
      last = (words[0], revision, words[3])
      simulation.coverage.count("transition \(words[2])-\(words[3])")
      if words[1] == words[4], words[3] != words[5] {
        found.append("\(words[0]) is \(words[5]) after \(words[3])")
      }
    }
  }

  /// What has ended, has ended in order.
  private mutating func checkOperations() throws {
    let rows = try admin.query(
      """
      SELECT o.kind, o.state, string_agg(p.state, ' ' ORDER BY p.position),
        max(p.attempts), bool_and(p.failures <= p.attempts), o.error_code, o.holder,
        o.kind = 'delete' AND EXISTS (SELECT FROM given_up g WHERE g.store = o.store), o.scheduled
      FROM operations o JOIN operation_steps p ON p.operation = o.id
      GROUP BY o.id ORDER BY o.created_at, o.id
      """)
    for row in rows {
      let words = row.map { $0 ?? "" }
      simulation.coverage.count("outcome \(words[0]) \(words[1]) \(words[5])")
      if words[8] == "t" { simulation.coverage.count("scheduled \(words[0]) \(words[1])") }
      // Of a cluster that was given up nothing is removed.
      let isLost = words[7] == "t"
      if isLost, words[2].hasPrefix("skipped") { simulation.coverage.count("given up skipped") }
      let steps = words[2].split(separator: " ").drop {
        $0 == "succeeded" || (isLost && $0 == "skipped")
      }
      let isInOrder =
        switch words[1] {
        case "succeeded": steps.isEmpty
        case "failed":
          steps.first == "failed" && steps.dropFirst().allSatisfy { $0 == "skipped" }
        case "cancelled": steps.allSatisfy { $0 == "skipped" }
        default: false
        }
      if !isInOrder || Int(words[3]) ?? 99 > 10 || words[4] != "t" || !words[6].isEmpty {
        found.append("an operation ended out of order: \(words)")
      }
    }
  }

  /// What can be restored is there, and no file is that nobody knows of.
  private mutating func checkBackups() throws {
    let rows = try admin.query(
      """
      SELECT b.id, b.store, b.state, o.state FROM backups b LEFT JOIN operations o ON o.id = b.operation
      ORDER BY b.id
      """)
    var known: Set<String> = []
    for row in rows {
      let words = row.map { $0 ?? "" }
      known.insert(words[0])
      simulation.coverage.count("end backup \(words[2])")
      let isThere = simulation.world[words[1]].backups.contains(words[0])
      if words[2] == "available", !isThere { found.append("the backup \(words[0]) has no file") }
      if words[2] == "creating" {
        found.append("the backup \(words[0]) is made by an operation that is \(words[3])")
      }
    }
    for (id, store) in simulation.world.stores {
      for backup in store.backups where !known.contains(backup) {
        found.append("\(store.name) (\(id)) has a file of an unknown backup \(backup)")
      }
    }
  }

  /// Each transition has one event, each beginning and end of other work too.
  private mutating func checkEvents() throws {
    let rows = try admin.query(
      "SELECT store, revision, coalesce(previous_state, ''), state FROM store_transitions")
    let expected = rows.map { $0.map { $0 ?? "" }.joined(separator: " ") }.sorted()
    let events = simulation.audit.order.compactMap { simulation.audit.events[$0] }
    let told = events.filter { $0.action == "store.transition" }
      .map { "\($0.store) \($0.revision) \($0.previousState) \($0.newState)" }.sorted()
    if told != expected {
      let missing = Set(expected).subtracting(told).sorted().prefix(5)
      let extra = Set(told).subtracting(expected).sorted().prefix(5)
      found.append(
        "of \(expected.count) transitions \(told.count) were told: missing \(missing), too many \(extra)"
      )
    }
    let operations = try admin.query(
      "SELECT id FROM operations WHERE kind NOT IN ('provision', 'delete') ORDER BY id"
    )
    .compactMap(\.first).compactMap(\.self)
    for action in ["operation.begin", "operation.end"] {
      let told = events.filter { $0.action == action }.map(\.operation).sorted()
      if told != operations {
        found.append("\(action): \(told.count) were told of \(operations.count)")
      }
    }
  }
}
