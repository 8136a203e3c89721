import JSON

/// The parts of a Pod that tell whether it runs, and if not, why.
package struct PodView: Sendable {
  package let object: KubernetesObject

  package init(_ object: KubernetesObject) { self.object = object }

  package var name: String { object.name }
  package var phase: String { object["status", "phase"]?.string ?? "" }
  package var isReady: Bool { !object.isBeingDeleted && object.condition("Ready")?.isTrue == true }

  /// The scheduler's words where no node takes the pod.
  package var unschedulableReason: String? {
    guard let scheduled = object.condition("PodScheduled"), scheduled.isFalse,
      scheduled.reason == "Unschedulable"
    else { return nil }
    return scheduled.message
  }

  /// Init containers first, in their order.
  package var containers: [Container] {
    let initial = object["status", "initContainerStatuses"]?.array ?? []
    let main = object["status", "containerStatuses"]?.array ?? []
    return initial.map { Container($0, isInitial: true) } + main.map { Container($0) }
  }

  /// Names of the claims that it mounts.
  package var claims: [String] {
    object["spec", "volumes"]?.array?.compactMap {
      $0["persistentVolumeClaim", "claimName"]?.string
    } ?? []
  }

  package struct Container: Sendable, Equatable {
    package let name: String
    package let isInitial: Bool
    package let image: String
    package let isReady: Bool
    package let restarts: Int64
    /// Seconds since 1970; nil for one that does not run.
    package let runningSince: Int64?
    /// Why it waits, such as "ImagePullBackOff"; nil for one that runs or has ended.
    package let waitingReason: String?
    package let waitingMessage: String
    /// How its last run ended, such as "OOMKilled" or "Error".
    package let lastEndReason: String?
    package let lastExitCode: Int64?

    init(_ json: JSON, isInitial: Bool = false) {
      name = json["name"]?.string ?? ""
      self.isInitial = isInitial
      image = json["image"]?.string ?? ""
      isReady = json["ready"]?.bool ?? false
      restarts = json["restartCount"]?.int64 ?? 0
      runningSince = json["state", "running", "startedAt"]?.string.flatMap(KubernetesTime.seconds)
      waitingReason = json["state", "waiting", "reason"]?.string
      waitingMessage = json["state", "waiting", "message"]?.string ?? ""
      let ended = json["state", "terminated"] ?? json["lastState", "terminated"]
      lastEndReason = ended?["reason"]?.string
      lastExitCode = ended?["exitCode"]?.int64
    }
  }
}
