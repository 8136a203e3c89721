import JSON
package import Observability
package import Postgres

/// A row of `clusters`.
package struct ClusterRecord: Equatable, Sendable {
  package let name: String
  package let labels: [String: String]
  /// Nil: no limit.
  package let storesMax: Int?
  package let stores: Int
  package let schedule: ClusterSchedule
  /// Whether the last checks let stores be placed there.
  package let isReady: Bool
  package let findings: [ClusterFinding]
  /// The checks whose failures an administrator has put up with.
  package let forced: Set<String>
  package let checkedAt: PostgresTimestamp?
  /// The address of its API server; empty for the provisioner's own.
  package let server: String
  package let access: ClusterAccess
  package let domainSuffix: String
  /// Nil unless it was given up.
  package let abandonment: Abandonment?
  package let createdAt: PostgresTimestamp
  package let updatedAt: PostgresTimestamp

  /// That a cluster is lost, and its stores with it.
  package struct Abandonment: Equatable, Sendable {
    package let time: PostgresTimestamp
    package let request: StoredRequestContext

    init?(_ row: PostgresRow) throws(PostgresError) {
      guard let time = try row.decode("abandoned_at", as: PostgresTimestamp?.self) else {
        return nil
      }
      self.time = time
      request = StoredRequestContext(
        requestID: try row.decode("abandon_request_id"), tenant: try row.decode("abandon_tenant"),
        principal: try row.decode("abandon_principal"))
    }
  }

  static let columns = """
    name, labels, stores_max, stores, schedule, ready, findings, forced, checked_at, server, secret,
    domain_suffix, ingress_address, uid, created_at, updated_at,
    abandoned_at, abandon_request_id, abandon_tenant, abandon_principal
    """

  init(_ row: PostgresRow) throws(PostgresError) {
    name = try row.decode("name")
    labels = try Self.labels(stored: row.decode("labels"))
    storesMax = try row.decode("stores_max")
    stores = try row.decode("stores")
    schedule = try row.decodeCase("schedule")
    isReady = try row.decode("ready")
    findings = try [ClusterFinding](stored: row.decode("findings"))
    forced = Set(try row.decode("forced", as: [String].self))
    checkedAt = try row.decode("checked_at")
    server = try row.decode("server")
    access = try ClusterAccess(row)
    domainSuffix = try row.decode("domain_suffix")
    abandonment = try Abandonment(row)
    createdAt = try row.decode("created_at")
    updatedAt = try row.decode("updated_at")
  }

  /// Whether another cluster was found in its place, or it cannot tell any more which it is.
  package var isAnother: Bool { findings.failures.contains { $0.check == .identity } }

  func candidate(isReachable: Bool) -> ClusterPlacement.Candidate {
    .init(
      name: name, labels: labels, storesMax: storesMax, stores: stores, schedule: schedule,
      isReady: isReady, isReachable: isReachable, isAbandoned: abandonment != nil)
  }

  private static func labels(stored text: String) throws(PostgresError) -> [String: String] {
    guard let object = try? JSON(parsing: text).object else {
      throw PostgresError(.badValue, "the labels of a cluster are no JSON object")
    }
    var labels: [String: String] = [:]
    for member in object.members { labels[member.key] = member.value.string ?? "" }
    return labels
  }

  static func stored(_ labels: [String: String]) -> String {
    var object = JSONObject()
    for (key, value) in labels.sorted(by: { $0.key < $1.key }) { object[key] = .string(value) }
    return JSON.object(object).serializedText()
  }
}

/// How a cluster is reached; another value, another connection.
package struct ClusterAccess: Equatable, Sendable {
  /// The name of its kubeconfig among the platform's secrets; nil for the cluster that the provisioner
  /// was started with.
  package var secret: String?
  /// Where its stores are verified, HOST:PORT; empty for what is said of all.
  package var ingressAddress: String
  /// Of its namespace `kube-system`, which tells it from any other cluster; nil until it is known.
  package var uid: String?

  package init(secret: String? = nil, ingressAddress: String = "", uid: String? = nil) {
    self.secret = secret
    self.ingressAddress = ingressAddress
    self.uid = uid
  }

  /// Of the cluster of a store, with whether that was given up.
  static func find(
    _ cluster: String, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> (access: ClusterAccess, isAbandoned: Bool) {
    let rows = try await transaction.query(
      """
      SELECT secret, ingress_address, uid, abandoned_at IS NOT NULL AS is_abandoned
      FROM clusters WHERE name = $1
      """, [.text(cluster)])
    guard let row = rows.first else {
      throw PostgresError(.badValue, "the cluster '\(cluster)' of a store is not registered")
    }
    return (try ClusterAccess(row), try row.decode("is_abandoned"))
  }

  init(_ row: PostgresRow) throws(PostgresError) {
    secret = try row.decode("secret")
    ingressAddress = try row.decode("ingress_address")
    uid = try row.decode("uid")
  }
}

extension ClusterAccess {
  /// Whether a connection that was made by this serves one who does not know yet which cluster it is.
  package func serves(_ other: ClusterAccess) -> Bool {
    var known = other
    known.uid = other.uid ?? uid
    return self == known
  }
}

extension [ClusterFinding] {
  /// What is put up with by one who makes a cluster's use go on with these. That it is another cluster
  /// is nothing to put up with.
  var forced: [String] {
    failures.map(\.check).filter { $0 != .identity }.map(\.rawValue)
  }

  /// As they are kept: a JSON array.
  var stored: String {
    let values = map { finding -> JSON in
      [
        "check": .string(finding.check.rawValue), "outcome": .string(finding.outcome.rawValue),
        "message": .string(finding.message), "remedy": .string(finding.remedy),
      ]
    }
    return JSON.array(values).serializedText()
  }

  init(stored text: String) throws(PostgresError) {
    guard let values = try? JSON(parsing: text).array else {
      throw PostgresError(.badValue, "the findings about a cluster are no JSON array")
    }
    // A check or an outcome that is not known is a newer version's.
    self = values.compactMap { value in
      guard let check = value["check"]?.string.flatMap(ClusterFinding.Check.init(rawValue:)),
        let outcome = value["outcome"]?.string.flatMap(ClusterFinding.Outcome.init(rawValue:))
      else { return nil }
      return ClusterFinding(
        check, outcome, value["message"]?.string ?? "", remedy: value["remedy"]?.string ?? "")
    }
  }
}

/// A store as those see it who look after its cluster.
package struct ClusterStoreRecord: Equatable, Sendable {
  package let id: String
  package let tenant: String
  package let name: String
  package let state: StoreState
  package let namespace: String

  init(_ row: PostgresRow) throws(PostgresError) {
    id = try row.decode("id")
    tenant = try row.decode("tenant")
    name = try row.decode("name")
    state = try row.decodeCase("state")
    namespace = try row.decode("namespace")
  }
}

/// Why the register of clusters does not do what it was asked.
package enum ClusterRefusal: Error, Equatable, Sendable {
  case notFound
  case exists
  /// So many stores are on it.
  case hasStores(Int)
  /// It is the cluster that the provisioner was started with.
  case isOwn(String)
  /// There are as many as there may be (`ClusterCatalog.clustersMax`).
  case tooMany
  /// It is reached in another way by now, or another cluster is the right one.
  case changedMeanwhile
  /// Its checks cannot be made, for a reason that is not the cluster's.
  case cannotCheck(String)
  /// What it lacks for stores to be made there.
  case checksFailed([ClusterFinding])
  /// What a kubeconfig leads to has this uid, and not that of the cluster.
  case isAnother(found: String, expected: String)
  /// Only one that is being emptied can be given up.
  case notDraining
  /// It was given up, for good.
  case isAbandoned
}

extension ClusterRefusal {
  /// - Throws: `isAnother`, where both are known.
  static func requireSame(
    _ found: String?, as expected: String?
  ) throws(ClusterRefusal) {
    if let found, let expected, found != expected {
      throw .isAnother(found: found, expected: expected)
    }
  }
}
