/// What an operation is for.
package enum OperationKind: String, CaseIterable, Sendable {
  case provision, delete
  // Of a store that is ready, and stays so.
  case upgrade, rollback, suspend, resume, backup, restore
  case backupTest = "backup-test"

  /// As people call it.
  package var noun: String {
    switch self {
    case .provision: "provisioning"
    case .delete: "deletion"
    case .upgrade: "upgrade"
    case .rollback: "rollback"
    case .suspend: "suspension"
    case .resume: "resumption"
    case .backup: "backup"
    case .restore: "restore"
    case .backupTest: "test of a backup"
    }
  }

  /// Whether it moves the store from one state to another.
  package var isTransition: Bool { self == .provision || self == .delete }

  /// Whether somebody may have it stopped who does not want the store deleted. What replaces or removes
  /// its data goes on to its end.
  package var isCancellable: Bool { self != .restore && self != .delete }

  /// Whether the store goes back to its release when the work does not succeed.
  package var isUndone: Bool { self == .upgrade || self == .suspend }
}

/// Where an operation stands.
package enum OperationState: String, CaseIterable, Sendable {
  /// Waits for its first worker.
  case pending
  /// A worker is on it, or will go on with it.
  case running
  case succeeded, failed, cancelled

  package var isDone: Bool { self == .succeeded || self == .failed || self == .cancelled }

  package static let transitions: [OperationState: Set<OperationState>] = [
    .pending: [.running, .cancelled],
    .running: [.succeeded, .failed, .cancelled],
    .succeeded: [], .failed: [], .cancelled: [],
  ]

  package func canBecome(_ next: OperationState) -> Bool {
    OperationState.transitions[self]?.contains(next) ?? false
  }
}

/// Where a step of an operation stands.
package enum StepState: String, CaseIterable, Sendable {
  case pending
  /// An attempt was begun, and nothing of its end is known.
  case running
  /// The last attempt failed, or none could be made; the next comes.
  case waiting
  case succeeded, failed
  /// Not needed any more.
  case skipped

  /// Whether the work goes on with the next one.
  package var isOver: Bool { self == .succeeded || self == .skipped }

  package static let transitions: [StepState: Set<StepState>] = [
    .pending: [.running, .waiting, .failed, .skipped],
    // Running again: the holder of the lease died, the next one begins another attempt.
    .running: [.running, .waiting, .succeeded, .failed, .skipped],
    .waiting: [.running, .waiting, .failed, .skipped],
    .succeeded: [], .failed: [], .skipped: [],
  ]

  package func canBecome(_ next: StepState) -> Bool {
    StepState.transitions[self]?.contains(next) ?? false
  }

  /// The states a step can come from, for the guard of an update.
  package static func sources(of next: StepState) -> [StepState] {
    allCases.filter { $0.canBecome(next) }
  }
}
