import JSON
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
  package let checkedAt: PostgresTimestamp?
  /// The address of its API server; empty for the provisioner's own.
  package let server: String
  package let access: ClusterAccess
  package let domainSuffix: String
  package let createdAt: PostgresTimestamp
  package let updatedAt: PostgresTimestamp

  static let columns = """
    name, labels, stores_max, stores, schedule, ready, findings, checked_at, server, secret,
    domain_suffix, ingress_address, created_at, updated_at
    """

  init(_ row: PostgresRow) throws(PostgresError) {
    name = try row.decode("name")
    labels = try Self.labels(stored: row.decode("labels"))
    storesMax = try row.decode("stores_max")
    stores = try row.decode("stores")
    schedule = try row.decodeCase("schedule")
    isReady = try row.decode("ready")
    findings = try [ClusterFinding](stored: row.decode("findings"))
    checkedAt = try row.decode("checked_at")
    server = try row.decode("server")
    access = try ClusterAccess(row)
    domainSuffix = try row.decode("domain_suffix")
    createdAt = try row.decode("created_at")
    updatedAt = try row.decode("updated_at")
  }

  func candidate(isReachable: Bool) -> ClusterPlacement.Candidate {
    .init(
      name: name, labels: labels, storesMax: storesMax, stores: stores, schedule: schedule,
      isReady: isReady, isReachable: isReachable)
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

  package init(secret: String? = nil, ingressAddress: String = "") {
    self.secret = secret
    self.ingressAddress = ingressAddress
  }

  /// Of the cluster of a store.
  static func find(
    _ cluster: String, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> ClusterAccess {
    let rows = try await transaction.query(
      "SELECT secret, ingress_address FROM clusters WHERE name = $1", [.text(cluster)])
    guard let row = rows.first else {
      throw PostgresError(.badValue, "the cluster '\(cluster)' of a store is not registered")
    }
    return try ClusterAccess(row)
  }

  init(_ row: PostgresRow) throws(PostgresError) {
    secret = try row.decode("secret")
    ingressAddress = try row.decode("ingress_address")
  }
}

extension [ClusterFinding] {
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
  /// What it lacks for stores to be made there.
  case checksFailed([ClusterFinding])
}
