/// A step of an operation; its raw value is its name in the database and for people.
package enum OperationStep: String, CaseIterable, Sendable {
  // Of provisioning.
  case namespace, credentials, release, rollout, setup, verify
  // Of deletion.
  case uninstall
  case namespaceRemoval = "namespace-removal"
  case gone
  case credentialsRemoval = "credentials-removal"
  // Of work on a ready store, beside steps of provisioning.
  case rollback, check
  // Of backups and what is made from them.
  case backup = "backup-job"
  case backupCheck = "backup-check"
  case backupTest = "test-job"
  case restore = "restore-job"
  case start
  case jobRemoval = "job-removal"
}

extension OperationKind {
  /// The steps of the work, in order.
  package var steps: [OperationStep] { steps(withBackup: false) }

  /// - Parameter withBackup: of a provisioning, from a backup; of a deletion, after a last one.
  package func steps(withBackup: Bool) -> [OperationStep] {
    switch self {
    case .provision:
      [.namespace, .credentials, .release, .rollout]
        + (withBackup ? [.restore, .start, .jobRemoval] : []) + [.setup, .verify]
    // What opens the store's data goes last, when there is nothing left to open.
    case .delete:
      (withBackup ? [.backup, .backupCheck] : [])
        + [.uninstall, .namespaceRemoval, .gone, .credentialsRemoval]
    // The present chart may want credentials that the one before did not.
    case .upgrade: [.credentials, .release, .rollout, .check]
    case .rollback, .resume: [.rollback, .rollout, .check]
    case .suspend: [.release, .rollout]
    case .backup: [.backup, .backupCheck, .jobRemoval]
    case .restore: [.restore, .start, .jobRemoval, .check]
    case .backupTest: [.backupTest, .jobRemoval]
    }
  }

  /// How much of the work is done, 0 to 100, once the steps before `step` are and `fraction` (0 to 1)
  /// of it.
  package func progressPercent(
    at step: OperationStep, fraction: Double, withBackup: Bool = false
  ) -> Int {
    let steps = steps(withBackup: withBackup)
    let earlier = steps.prefix { $0 != step }.reduce(0) { $0 + $1.weight }
    let done = Double(earlier) + Double(step.weight) * min(max(fraction, 0), 1)
    return Int(done * 100 / Double(steps.reduce(0) { $0 + $1.weight }))
  }
}

/// What a step calls: each has a circuit breaker in each cluster.
package enum Dependency: String, CaseIterable, Sendable {
  case kubernetes, helm
}

extension OperationStep {
  /// The part of the whole, by what steps usually take.
  var weight: Int {
    switch self {
    case .namespace, .credentials: 5
    case .release, .rollback: 20
    case .rollout: 45
    case .setup: 15
    case .verify, .check: 10
    case .uninstall: 30
    case .namespaceRemoval: 10
    case .gone: 55
    case .credentialsRemoval: 5
    case .backup, .restore, .backupTest: 60
    case .start: 30
    case .backupCheck, .jobRemoval: 5
    }
  }

  /// The breaker that a call of the step passes first; nil where it calls neither.
  package var dependency: Dependency? {
    switch self {
    case .namespace, .credentials, .rollout, .setup, .namespaceRemoval, .gone, .backup, .restore,
      .backupTest, .start, .jobRemoval:
      .kubernetes
    case .release, .rollback, .uninstall: .helm
    case .verify, .check, .credentialsRemoval, .backupCheck: nil
    }
  }

  /// Whether it has nothing to do for a deletion where the cluster is lost.
  package var isOnCluster: Bool { self != .credentialsRemoval }

  /// Whether it makes a revision of the store's Helm release.
  package var makesRevision: Bool { self == .release || self == .rollback }

  /// Whether it has the store's pods started anew.
  package var startsPods: Bool { makesRevision || self == .start }

  /// The longest that one attempt may take: longer than its parts may together, each of which says
  /// better what went wrong.
  package var timeout: Duration {
    switch self {
    case .credentials, .credentialsRemoval: .seconds(30)
    case .namespace, .namespaceRemoval, .backupCheck: .seconds(60)
    case .verify, .check: .seconds(80)
    case .jobRemoval: .seconds(100)
    case .uninstall: .seconds(280)
    case .setup: .seconds(300)
    case .release, .rollback: .seconds(400)
    case .rollout, .gone, .start: .seconds(600)
    case .backup, .backupTest: .seconds(1_980)
    case .restore: .seconds(2_220)
    }
  }

  /// The failure that a timeout of the step is.
  package var timeoutCode: FailureCode {
    switch self {
    case .rollout, .start: .rolloutTimedOut
    case .backup, .restore, .backupTest: .jobTimedOut
    case .gone: .removalTimedOut
    default: .stepTimedOut
    }
  }
}
