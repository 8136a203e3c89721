package import Kubernetes
package import ProvisionerService

extension ProvisionFailure {
  /// What it means that a call to the Kubernetes API failed. Only what says that the cluster is broken
  /// counts for its breaker.
  package init(_ error: KubernetesError) {
    let code = Self.code(error)
    let verdict: DependencyVerdict? =
      switch error.kind {
      case .cancelled: .inconclusive
      case .configuration, .limitReached: .inconclusive
      case .throttled: .inconclusive
      default: error.isClusterFailure && code == .clusterUnreachable ? .failed : .answered
      }
    if code == .clusterUnreachable {
      // The words have the cluster's address in them, which is no tenant's business.
      self.init(
        code, Self.words(error), diagnosis: error.description, retryAfter: error.retryAfter,
        verdict: verdict)
    } else {
      self.init(
        code, error.kind == .cancelled ? "" : error.description, retryAfter: error.retryAfter,
        verdict: verdict)
    }
  }

  private static func words(_ error: KubernetesError) -> String {
    switch error.kind {
    case .timeout: "no answer in time"
    case .configuration: "it is not configured as it should be"
    default: error.code.map { "it answered HTTP \($0)" } ?? "no connection, or it broke"
    }
  }

  private static func code(_ error: KubernetesError) -> FailureCode {
    switch error.kind {
    case .serverFailure, .unavailable, .timeout, .transport:
      // The API server is well; what it must ask is not.
      error.message.contains("failed calling webhook") ? .admissionTimedOut : .clusterUnreachable
    case .configuration: .clusterUnreachable
    case .throttled: .clusterThrottled
    case .unauthorized, .forbidden: .clusterForbidden
    case .quotaExceeded: .quotaExceeded
    case .admissionDenied: .admissionDenied
    case .namespaceTerminating: .namespaceTerminating
    case .commandFailed: .setupFailed
    case .commandInterrupted: .setupInterrupted
    case .cancelled: .cancelled
    case .notFound, .conflict, .alreadyExists, .invalid, .expired, .rejected, .badAnswer,
      .limitReached:
      .unexpected
    }
  }

  /// What it means that a rollout will not end well.
  package init(_ failure: RolloutFailure) {
    let code: FailureCode =
      switch failure.code {
      case .imagePull:
        failure.message.contains("InvalidImageName") || failure.message.contains("parse image name")
          || failure.message.contains("invalid reference format")
          ? .imageNameInvalid : .imagePullFailed
      case .crashLoop: .crashLoop
      case .outOfMemory: .outOfMemory
      case .containerConfiguration: .containerConfigInvalid
      case .quotaExceeded: .quotaExceeded
      case .admissionDenied: .admissionDenied
      case .claimPending, .claimLost: .volumePending
      case .unschedulable: .unschedulable
      case .progressDeadlineExceeded: .rolloutTimedOut
      }
    let log = failure.logTail.map { "; the end of its log:\n\($0.suffix(Self.logCharactersMax))" }
    self.init(code, failure.message + (log ?? ""))
  }

  /// Of a container's log.
  private static let logCharactersMax = 1_200
}
