/// Why a call to the Kubernetes API did not do what it was asked to.
package struct KubernetesError: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Kind: String, Sendable, CaseIterable {
    // The API's answers.
    case notFound
    /// A precondition or another owner of a field: read again and decide again.
    case conflict
    case alreadyExists
    case unauthorized
    case forbidden
    case invalid
    /// The namespace is being deleted; nothing can be created in it.
    case namespaceTerminating
    case quotaExceeded
    case admissionDenied
    /// 429: the server or its priority level is busy. Honour `retryAfter`.
    case throttled
    /// 410: the resource version is too old; list again.
    case expired
    /// Another 4xx.
    case rejected
    /// 500 and other 5xx.
    case serverFailure
    /// 503.
    case unavailable
    // What became of the call.
    case timeout
    /// No connection, or it broke.
    case transport
    case cancelled
    /// The answer is not what the API promises.
    case badAnswer
    /// A named limit of ours was reached.
    case limitReached
    /// The cluster's configuration or credential.
    case configuration
    /// A command in a pod ended with a failure of its own.
    case commandFailed
    /// A command's end was not seen: it may run on, and may have done its work.
    case commandInterrupted
  }

  package var kind: Kind
  /// The HTTP status, where there was one.
  package var code: Int?
  /// The Status object's reason, such as "NotFound"; empty without one.
  package var reason: String
  package var message: String
  /// The fields that the server found wrong, where it said so.
  package var fields: [String] = []
  /// How long the server asked us to wait.
  package var retryAfter: Duration?
  /// The exit code of a command that failed.
  package var exitCode: Int?

  package init(
    _ kind: Kind, _ message: String, code: Int? = nil, reason: String = "",
    retryAfter: Duration? = nil
  ) {
    self.kind = kind
    self.code = code
    self.reason = reason
    self.message = message
    self.retryAfter = retryAfter
  }

  /// Whether the same step, done again later from its beginning, may succeed without anyone changing
  /// anything.
  package var isRetryable: Bool {
    switch kind {
    case .conflict, .namespaceTerminating, .throttled, .expired, .serverFailure, .unavailable,
      .timeout, .transport, .commandInterrupted:
      true
    case .notFound, .alreadyExists, .unauthorized, .forbidden, .invalid, .quotaExceeded,
      .admissionDenied, .rejected, .cancelled, .badAnswer, .limitReached, .configuration,
      .commandFailed:
      false
    }
  }

  /// Whether it says that the cluster is broken, which a circuit breaker counts. The request's own
  /// faults do not, and neither does throttling: a busy server is not a broken one.
  package var isClusterFailure: Bool {
    switch kind {
    case .serverFailure, .unavailable, .timeout, .transport: true
    default: false
    }
  }

  package var description: String {
    let status = code.map { " (HTTP \($0)\(reason.isEmpty ? "" : " \(reason)"))" } ?? ""
    return message + status
  }
}

extension KubernetesError {
  static func timeout(_ what: String) -> KubernetesError {
    KubernetesError(.timeout, "\(what): no answer before the deadline")
  }

  init(_ error: ClusterConfigurationError) {
    self.init(.configuration, error.description)
  }

  /// Whatever was thrown, as one of ours.
  static func wrap(_ error: any Error, _ what: String) -> KubernetesError {
    switch error {
    case let error as KubernetesError: error
    case let error as ClusterConfigurationError: KubernetesError(error)
    case is CancellationError: KubernetesError(.cancelled, "\(what): cancelled")
    default: KubernetesError(.transport, "\(what): \(error)")
    }
  }
}
