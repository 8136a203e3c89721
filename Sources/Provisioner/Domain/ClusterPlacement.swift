/// Which work a cluster takes.
package enum ClusterSchedule: String, CaseIterable, Sendable {
  case open
  /// No new stores.
  case cordoned
  /// No new stores, and none that is there is made anew, brought further or started again.
  case draining
}

/// Where a store is to go, as far as its tenant cares.
package struct ClusterWish: Equatable, Sendable {
  /// A cluster's name; nil for any.
  package var cluster: String?
  /// Labels that the cluster must have.
  package var labels: [String: String]

  package init(cluster: String? = nil, labels: [String: String] = [:]) {
    self.cluster = cluster
    self.labels = labels
  }
}

/// Decides where a new store goes.
package enum ClusterPlacement: Equatable, Sendable {
  case place(String)
  case refuse(Refusal)

  /// A cluster, as far as placement is concerned.
  package struct Candidate: Equatable, Sendable {
    package var name: String
    package var labels: [String: String]
    /// Nil: no limit.
    package var storesMax: Int?
    package var stores: Int
    package var schedule: ClusterSchedule
    /// Whether its last checks let stores be placed there.
    package var isReady: Bool
    /// Whether it answers, as far as is known here.
    package var isReachable: Bool
    /// Whether it was given up as lost.
    package var isAbandoned: Bool

    package init(
      name: String, labels: [String: String] = [:], storesMax: Int? = nil, stores: Int = 0,
      schedule: ClusterSchedule = .open, isReady: Bool = true, isReachable: Bool = true,
      isAbandoned: Bool = false
    ) {
      self.name = name
      self.labels = labels
      self.storesMax = storesMax
      self.stores = stores
      self.schedule = schedule
      self.isReady = isReady
      self.isReachable = isReachable
      self.isAbandoned = isAbandoned
    }
  }

  /// Why a store can go nowhere: what is true of every cluster that it may go to.
  package enum Refusal: Equatable, Sendable {
    /// There is no cluster of the name that was asked for.
    case noSuchCluster(String)
    /// None has the labels that were asked for.
    case noSuchLabels
    /// All have as many stores as they may.
    case full
    /// Those that are not full take no new stores, because somebody asked for that.
    case closed
    /// As `closed`, and for good: they were given up.
    case abandoned
    /// Those that are left fail their checks.
    case notReady
  }

  /// The cluster with the largest share of its stores free; of equal ones that with the fewest stores,
  /// then the first by name. One without a limit counts as all free. One that does not answer is taken
  /// only where no other is left: the store waits for it.
  package static func decide(_ wish: ClusterWish, among clusters: [Candidate]) -> ClusterPlacement {
    var left = clusters
    if let name = wish.cluster {
      left = left.filter { $0.name == name }
      if left.isEmpty { return .refuse(.noSuchCluster(name)) }
    }
    left = left.filter { cluster in
      wish.labels.allSatisfy { cluster.labels[$0.key] == $0.value }
    }
    if left.isEmpty { return .refuse(.noSuchLabels) }
    left = left.filter { $0.free > 0 }
    if left.isEmpty { return .refuse(.full) }
    let isLost = left.allSatisfy(\.isAbandoned)
    left = left.filter { $0.schedule == .open }
    if left.isEmpty { return .refuse(isLost ? .abandoned : .closed) }
    left = left.filter(\.isReady)
    if left.contains(where: \.isReachable) { left = left.filter(\.isReachable) }
    guard let best = left.min(by: isBetter) else { return .refuse(.notReady) }
    return .place(best.name)
  }

  private static func isBetter(_ one: Candidate, _ other: Candidate) -> Bool {
    // Shares as fractions, compared without rounding.
    let (left, right) = (one.free * other.whole, other.free * one.whole)
    if left != right { return left > right }
    return (one.stores, one.name) < (other.stores, other.name)
  }
}

extension ClusterPlacement.Candidate {
  fileprivate var whole: Int { storesMax ?? 1 }
  fileprivate var free: Int { storesMax.map { $0 - stores } ?? 1 }
}

extension ClusterPlacement.Refusal {
  /// Of programs; never renamed.
  package var code: String {
    switch self {
    case .noSuchCluster: "CLUSTER_UNKNOWN"
    case .noSuchLabels: "CLUSTER_LABELS_UNKNOWN"
    case .full: "CLUSTERS_FULL"
    case .closed, .abandoned: "CLUSTERS_CLOSED"
    case .notReady: "CLUSTERS_NOT_READY"
    }
  }

  /// Whether the cause lies in what the tenant asked for.
  package var isUserFault: Bool {
    switch self {
    case .noSuchCluster, .noSuchLabels: true
    case .full, .closed, .abandoned, .notReady: false
    }
  }

  /// What the caller is told, with what would help.
  package var message: String {
    switch self {
    case .noSuchCluster(let name):
      "there is no cluster '\(name)'; name another, or leave it to the platform"
    case .noSuchLabels: "no cluster has all of these labels; ask for fewer"
    case .full:
      "every cluster that the store may go to has as many stores as it may; delete a store, or have "
        + "an operator add a cluster or raise a cluster's stores_max"
    case .closed:
      "the clusters with room for the store take no new stores for now; try later, or have an "
        + "operator uncordon one"
    case .abandoned:
      "the cluster that the store may go to was given up as lost; name another, or leave it to the "
        + "platform"
    case .notReady:
      "the clusters with room for the store fail their checks; an operator must see to what they "
        + "found (storectl clusters list)"
    }
  }
}
