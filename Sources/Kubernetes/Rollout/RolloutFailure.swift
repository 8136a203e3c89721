/// Why a rollout will not come to its end by itself.
package struct RolloutFailure: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Code: String, Sendable, CaseIterable {
    case imagePull = "IMAGE_PULL"
    case crashLoop = "CRASH_LOOP"
    case outOfMemory = "OUT_OF_MEMORY"
    case containerConfiguration = "CONTAINER_CONFIGURATION"
    case quotaExceeded = "QUOTA_EXCEEDED"
    case admissionDenied = "ADMISSION_DENIED"
    case claimPending = "CLAIM_PENDING"
    case claimLost = "CLAIM_LOST"
    case unschedulable = "UNSCHEDULABLE"
    case progressDeadlineExceeded = "PROGRESS_DEADLINE_EXCEEDED"
  }

  package struct ContainerReference: Sendable, Equatable {
    package let pod: String
    package let container: String
  }

  package let code: Code
  package let message: String
  /// The container whose last run's log says more.
  package var container: ContainerReference?
  /// The end of that log, where it was fetched.
  package var logTail: String?

  package init(
    _ code: Code, _ message: String, container: ContainerReference? = nil
  ) {
    self.code = code
    self.message = message
    self.container = container
  }

  package var description: String { "\(code.rawValue): \(message)" }
}

/// What a look at a rollout says.
package enum RolloutState: Sendable, Equatable {
  case ready
  /// In words for the user, and how much is done.
  case progressing(String, readyReplicas: Int64, wantedReplicas: Int64)
  case failed(RolloutFailure)
}

/// How patient the classification is. All in seconds since the pod or claim was made.
package struct RolloutPatience: Sendable {
  /// A failed pull that may be the registry's or the network's passing fault.
  package var imagePullSeconds: Int64 = 120
  /// A container that lacks a Secret or ConfigMap, which may yet come.
  package var containerConfigurationSeconds: Int64 = 60
  /// A pod that no node takes.
  package var unschedulableSeconds: Int64 = 300
  /// A claim that is not bound, without its provisioner saying why.
  package var claimPendingSeconds: Int64 = 300
  /// Restarts of a container after which it is a crash loop.
  package var restartsMax: Int64 = 3
  /// How long a container that has ended runs before it counts as ready: one that ends again and again
  /// is so for a moment each time. Less than the first pause between restarts, which is 10 s.
  package var steadySeconds: Int64 = 8

  /// How long a pod of before the rollout may still be there, with what is wrong with it, once the release is
  /// applied.
  package var replacementSeconds: Int64 = 30

  package init() {}
}
