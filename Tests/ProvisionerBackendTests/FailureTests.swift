import Contracts
import Kubernetes
import Protobuf
import ProvisionerService
import RPCCore
import Testing

@testable import ProvisionerBackend

/// What failures of the cluster, of Helm and of pods mean to the engine.
@Suite struct FailureTests {
  @Test(arguments: [
    (KubernetesError.Kind.transport, FailureCode.clusterUnreachable, DependencyVerdict.failed),
    (.timeout, .clusterUnreachable, .failed),
    (.unavailable, .clusterUnreachable, .failed),
    (.serverFailure, .clusterUnreachable, .failed),
    (.throttled, .clusterThrottled, .inconclusive),
    (.forbidden, .clusterForbidden, .answered),
    (.unauthorized, .clusterForbidden, .answered),
    (.quotaExceeded, .quotaExceeded, .answered),
    (.admissionDenied, .admissionDenied, .answered),
    (.namespaceTerminating, .namespaceTerminating, .answered),
    (.commandFailed, .setupFailed, .answered),
    (.commandInterrupted, .setupInterrupted, .answered),
    (.cancelled, .cancelled, .inconclusive),
    (.limitReached, .unexpected, .inconclusive),
    (.notFound, .unexpected, .answered),
  ])
  func ofTheCluster(kind: KubernetesError.Kind, code: FailureCode, verdict: DependencyVerdict) {
    let failure = ProvisionFailure(KubernetesError(kind, "words"))
    #expect(failure.code == code && failure.verdict == verdict)
  }

  @Test func aBusyClusterSaysWhenToComeAgain() {
    let failure = ProvisionFailure(
      KubernetesError(.throttled, "too many", code: 429, retryAfter: .seconds(7)))
    #expect(failure.retryAfter == .seconds(7) && failure.code.isRetryable)
  }

  @Test func aWebhookThatDoesNotAnswerIsNotTheCluster() {
    let failure = ProvisionFailure(
      KubernetesError(.serverFailure, "failed calling webhook \"w\": timeout", code: 500))
    #expect(failure.code == .admissionTimedOut && failure.verdict == .answered)
  }

  @Test(arguments: [
    ("pods \"x\" is forbidden: exceeded quota: store", FailureCode.quotaExceeded),
    ("host \"a.example\" and path \"/\" is already defined in ingress b/c", .hostConflict),
    ("admission webhook \"w\" denied the request: no", .admissionDenied),
    ("failed calling webhook \"w\": context deadline exceeded", .admissionTimedOut),
    ("Service \"x\": spec.clusterIP: field is immutable", .fieldImmutable),
    ("Forbidden: updates to statefulset spec for fields other than", .fieldImmutable),
    (
      "persistentvolumeclaims \"data\" is forbidden: only dynamically provisioned pvc can be resized",
      .fieldImmutable
    ),
    ("data: Too long: must have at most 1048576 bytes", .releaseTooLarge),
    ("another operation (install/upgrade/rollback) is in progress", .releaseLocked),
    ("unable to create new content because it is being terminated", .namespaceTerminating),
    ("secrets is forbidden: User \"x\" cannot list", .clusterForbidden),
    ("Kubernetes cluster unreachable: dial tcp: connection refused", .clusterUnreachable),
    ("the server is currently unable to handle the request", .clusterUnreachable),
    ("values don't meet the specifications of the schema(s) in the chart(s)", .chartInvalid),
    ("execution error at (store/templates/x.yaml:1:1): store.host is required", .chartInvalid),
    ("something else", .helmFailed),
  ])
  func ofHelmInItsWords(message: String, code: FailureCode) {
    // With details: Helm has said it, not the way to it.
    let failure = ProvisionFailure(helm: RPCError(.unavailable, message, details: [1]))
    #expect(failure.code == code && failure.detail == message)
  }

  @Test(arguments: [
    (RPCError(.invalidArgument, "nil pointer evaluating", details: [1]), FailureCode.chartInvalid),
    (RPCError(.aborted, "another call is at work"), .releaseLocked),
    (RPCError(.unavailable, "the channel is closed"), .helmUnavailable),
    (RPCError(.deadlineExceeded, ""), .helmFailed),
    (RPCError(.internal, "panic", details: [1]), .helmFailed),
    (RPCError(.resourceExhausted, "the queue is full"), .helmUnavailable),
    (RPCError(.cancelled, ""), .cancelled),
  ])
  func ofHelmByStatus(error: RPCError, code: FailureCode) {
    #expect(ProvisionFailure(helm: error).code == code)
  }

  @Test func aWorkerThatIsStartedAgainSaysWhen() {
    let failure = ProvisionFailure(
      helm: HelmWorkerError(description: "ended", retryAfter: .seconds(2)))
    #expect(failure.code == .helmUnavailable && failure.retryAfter == .seconds(2))
    #expect(failure.verdict == .failed)
  }

  @Test(arguments: [
    (RolloutFailure.Code.imagePull, FailureCode.imagePullFailed), (.crashLoop, .crashLoop),
    (.outOfMemory, .outOfMemory), (.containerConfiguration, .containerConfigInvalid),
    (.quotaExceeded, .quotaExceeded), (.admissionDenied, .admissionDenied),
    (.claimPending, .volumePending), (.claimLost, .volumePending),
    (.unschedulable, .unschedulable), (.progressDeadlineExceeded, .rolloutTimedOut),
  ])
  func ofARollout(code: RolloutFailure.Code, expected: FailureCode) {
    let failure = ProvisionFailure(RolloutFailure(code, "pod a: words", isRetryable: true))
    #expect(failure.code == expected && failure.detail == "pod a: words")
  }

  @Test func aLogIsShownToItsEnd() {
    var failure = RolloutFailure(.crashLoop, "pod a ended", isRetryable: true)
    failure.logTail = String(repeating: "x", count: 4_000) + "the reason"
    let detail = ProvisionFailure(failure).detail
    #expect(detail.hasPrefix("pod a ended; the end of its log:"))
    #expect(detail.hasSuffix("the reason") && detail.utf8.count < 1_400)
  }
}
