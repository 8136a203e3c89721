package import Postgres

/// An operation that was claimed: who works on it, by which token.
package struct Claim: Equatable, Sendable {
  package let operation: PostgresUUID
  package let tenant: String
  package let store: String
  package let kind: OperationKind
  /// Goes into every update; a later claim has a greater one, and only the latest counts.
  package let fence: Int64
  /// The holder before it died, or lost touch.
  package let wasInterrupted: Bool
  /// Nobody asked for it.
  package let isScheduled: Bool
}

/// What the holder of a claim works from.
package struct OperationTask: Sendable {
  package let store: StoreRecord
  package let operation: OperationRecord
  /// The release that the store is brought back to, else the one that it runs.
  package let release: StoreReleaseRecord?
  package let clusterAccess: ClusterAccess
  /// Whether the cluster was given up: nothing is done there any more.
  package let isAbandoned: Bool
  /// The backup that it makes, or takes the data from.
  package let backup: StoreBackup?
}

/// How an operation ends.
package enum OperationOutcome: Equatable, Sendable {
  case succeeded
  case failed(StoreProblem)
  case cancelled(StoreProblem)
}

extension OperationOutcome {
  var state: OperationState {
    switch self {
    case .succeeded: .succeeded
    case .failed: .failed
    case .cancelled: .cancelled
    }
  }

  /// What the operation itself failed of: a cancelled one did not.
  var failure: StoreProblem? {
    if case .failed(let problem) = self { problem } else { nil }
  }
}
