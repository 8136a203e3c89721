/// What a check found out about a cluster.
package struct ClusterFinding: Equatable, Sendable {
  package enum Check: String, CaseIterable, Sendable {
    /// Whether its API server answers us at all; where it does not, nothing else is known.
    case connection
    /// Whether it is the cluster that was registered.
    case identity
    case version
    case permissions
    case storage
    case ingress
    case networkPolicy = "network-policy"
  }

  package enum Outcome: String, Sendable {
    case passed
    /// Stores can be made, and something is worth knowing.
    case warning
    /// Stores cannot be made.
    case failed
  }

  package let check: Check
  package let outcome: Outcome
  /// What was found.
  package let message: String
  /// What would help; empty where the check passed.
  package let remedy: String

  package init(_ check: Check, _ outcome: Outcome, _ message: String, remedy: String = "") {
    self.check = check
    self.outcome = outcome
    self.message = message
    self.remedy = remedy
  }
}

extension [ClusterFinding] {
  package var failures: [ClusterFinding] { filter { $0.outcome == .failed } }
}
