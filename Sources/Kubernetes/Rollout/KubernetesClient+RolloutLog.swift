package import Reactor

extension KubernetesClient {
  /// How the kubelet, with a status of success, says that there is no log.
  private static let kubeletExcuses = [
    "unable to retrieve container logs", "failed to try resolving symlinks",
  ]

  /// The failure with the end of its container's log, where it names one and the log can be had.
  ///
  /// - Parameter redacting: secrets that the container may have printed.
  package func withLogTail(
    _ failure: RolloutFailure, namespace: String, redacting secrets: [String] = [],
    deadline: Instant
  ) async -> RolloutFailure {
    guard let container = failure.container else { return failure }
    var explained = failure
    // The last run's log is the telling one; there is none yet after a first crash.
    // Where the runtime has removed it, the kubelet says so as if it were a log.
    for previous in [true, false] {
      let tail = try? await logTail(
        namespace: namespace, pod: container.pod, container: container.container,
        previous: previous, redacting: secrets, deadline: deadline)
      if let tail, !tail.isEmpty, !Self.kubeletExcuses.contains(where: tail.hasPrefix) {
        explained.logTail = tail
        return explained
      }
    }
    return explained
  }
}
