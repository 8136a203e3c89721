package import ProvisionerService
import RPCCore

extension ProvisionFailure {
  /// What it means that a Helm call threw `error`.
  package init(helm error: any Error) {
    switch error {
    case let error as HelmWorkerError:
      self.init(
        error.isCrash ? .helmCrashed : .helmUnavailable, error.description,
        retryAfter: error.retryAfter)
    case let error as RPCError: self.init(helmAnswer: error)
    default: self.init(.unexpected, "\(error)")
    }
  }

  private init(helmAnswer error: RPCError) {
    switch error.code {
    case .cancelled: self.init(.cancelled)
    // Helm waits for nothing but the API server's answers.
    case .deadlineExceeded: self.init(.stepTimedOut, "Helm did not end in time")
    case .aborted: self.init(.releaseLocked, ofHelm: error.message)
    case .resourceExhausted:
      self.init(.helmUnavailable, ofHelm: error.message, verdict: .inconclusive)
    case .unavailable where error.details.isEmpty:
      self.init(.helmUnavailable, error.message)
    case .internal: self.init(.helmFailed, ofHelm: error.message)
    default:
      self.init(
        Self.helmCode(error.message.lowercased()) ?? Self.helmCode(error.code),
        ofHelm: error.message)
    }
  }

  private init(
    _ code: FailureCode, ofHelm message: String, verdict: DependencyVerdict? = nil
  ) {
    // Helm names the cluster's address, which is no tenant's business.
    let isHidden =
      code == .clusterUnreachable
      || ["http://", "https://", "dial tcp"].contains { message.contains($0) }
    self.init(
      code, isHidden ? "" : message, diagnosis: isHidden ? message : "", verdict: verdict)
  }

  private static func helmCode(_ status: StatusCode) -> FailureCode {
    status == .invalidArgument ? .chartInvalid : .helmFailed
  }

  /// Helm tells causes apart in words only, most of them those of Kubernetes. The first that fits.
  private static func helmCode(_ message: String) -> FailureCode? {
    causes.first { cause in cause.words.contains { message.contains($0) } }?.code
  }

  private static let causes: [(code: FailureCode, words: [String])] = [
    (.quotaExceeded, ["exceeded quota", "failed quota"]),
    (
      .chartInvalid,
      [
        "don't meet the specifications of the schema", "execution error at", "parse error at",
        "error converting yaml to json", "chart.yaml file is missing",
      ]
    ),
    (.hostConflict, ["is already defined in ingress"]),
    (.admissionTimedOut, ["failed calling webhook"]),
    (.admissionDenied, ["admission webhook", "validatingadmissionpolicy"]),
    (
      .fieldImmutable,
      [
        "field is immutable", "updates to statefulset spec", "is immutable after creation",
        // Of a volume, which Kubernetes calls forbidden.
        "pvc can be resized", "field can not be less than previous value",
      ]
    ),
    (.releaseTooLarge, ["must have at most 1048576 bytes", "request is too large"]),
    (.releaseGone, ["release: not found", "release has no "]),
    (.releaseLocked, ["another operation", "pending-install", "pending-upgrade"]),
    (.namespaceTerminating, ["because it is being terminated"]),
    (.clusterThrottled, ["too many requests", "client rate limiter"]),
    (.clusterForbidden, ["is forbidden", "unauthorized", "must be logged in"]),
    (
      .clusterUnreachable,
      [
        "cluster unreachable", "connection refused", "connection reset", "no route to host",
        "i/o timeout", "tls handshake", "unexpected eof", "http2: ", "no such host",
        "network is unreachable", "x509:", ": eof", "server gave http response to https client",
        "server is currently unable", "service unavailable", "etcdserver", "deadline exceeded",
      ]
    ),
  ]
}
