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

  @Test(arguments: [KubernetesError.Kind.transport, .timeout, .unavailable, .configuration])
  func whereAClusterIsIsToldToNobody(kind: KubernetesError.Kind) {
    let error = KubernetesError(kind, "GET https://192.0.2.7:6443/version: refused", code: 503)
    let failure = ProvisionFailure(error)
    #expect(failure.code == .clusterUnreachable && !failure.problem.message.contains("192.0.2.7"))
    // But in the log.
    #expect("\(failure)".contains("https://192.0.2.7:6443/version: refused"))
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
    ("Get \"https://192.0.2.7:6443/version\": EOF", .clusterUnreachable),
    ("dial tcp 192.0.2.7:6443: connect: network is unreachable", .clusterUnreachable),
    ("x509: certificate signed by unknown authority", .clusterUnreachable),
    ("http: server gave HTTP response to HTTPS client", .clusterUnreachable),
    ("values don't meet the specifications of the schema(s) in the chart(s)", .chartInvalid),
    ("execution error at (store/templates/x.yaml:1:1): store.host is required", .chartInvalid),
    ("something else", .helmFailed),
  ])
  func ofHelmInItsWords(message: String, code: FailureCode) {
    // With details: Helm has said it, not the way to it.
    let failure = ProvisionFailure(helm: RPCError(.unavailable, message, details: [1]))
    #expect(failure.code == code)
    if code == .clusterUnreachable {
      #expect(failure.detail.isEmpty && failure.diagnosis == message)
    } else {
      #expect(failure.detail == message && failure.diagnosis.isEmpty)
    }
  }

  @Test(arguments: [
    RPCError(.internal, "Get \"https://192.0.2.7:6443/api\": odd", details: [1]),
    RPCError(.unavailable, "dial tcp 192.0.2.7:6443: odd", details: [1]),
    RPCError(.aborted, "Get \"http://192.0.2.7/api\": odd"),
  ])
  func whereAClusterIsIsToldToNobodyByHelm(error: RPCError) {
    let failure = ProvisionFailure(helm: error)
    #expect(!failure.problem.message.contains("192.0.2.7") && failure.diagnosis == error.message)
  }

  @Test(arguments: [
    (RPCError(.invalidArgument, "nil pointer evaluating", details: [1]), FailureCode.chartInvalid),
    (RPCError(.aborted, "another call is at work"), .releaseLocked),
    (RPCError(.unavailable, "the channel is closed"), .helmUnavailable),
    (RPCError(.deadlineExceeded, ""), .stepTimedOut),
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
    #expect(failure.verdict == .inconclusive)
  }

  @Test func aWorkerThatCannotBeStartedIsAFailureOfHelm() {
    let failure = ProvisionFailure(helm: HelmWorkerError(description: "ended with exit code 1"))
    #expect(failure.code == .helmUnavailable && failure.verdict == .failed)
  }

  @Test(arguments: [
    (RolloutFailure.Code.imagePull, FailureCode.imagePullFailed), (.crashLoop, .crashLoop),
    (.outOfMemory, .outOfMemory), (.containerConfiguration, .containerConfigInvalid),
    (.quotaExceeded, .quotaExceeded), (.admissionDenied, .admissionDenied),
    (.claimPending, .volumePending), (.claimLost, .volumePending),
    (.unschedulable, .unschedulable), (.progressDeadlineExceeded, .rolloutTimedOut),
  ])
  func ofARollout(code: RolloutFailure.Code, expected: FailureCode) {
    let failure = ProvisionFailure(RolloutFailure(code, "pod a: words"))
    #expect(failure.code == expected && failure.detail == "pod a: words")
  }

  @Test func aLogIsShownToItsEnd() {
    var failure = RolloutFailure(.crashLoop, "pod a ended")
    failure.logTail = String(repeating: "x", count: 4_000) + "the reason"
    let detail = ProvisionFailure(failure).detail
    #expect(detail.hasPrefix("pod a ended; the end of its log:"))
    #expect(detail.hasSuffix("the reason") && detail.utf8.count < 1_400)
  }
}
