/// All that there is to see of one rollout at one moment; pure, so that every case can be tested.
package struct RolloutSnapshot: Sendable {
  /// Deployments and StatefulSets.
  package var workloads: [WorkloadView]
  package var pods: [PodView]
  package var claims: [ClaimView]
  package var events: [EventView]
  /// Seconds since 1970. Events from before `startedAt` are of an earlier attempt.
  package var startedAt: Int64
  /// When what is rolled out was asked for: pods from before are on their way out.
  package var releasedAt: Int64
  /// Since when its pods are looked at: later, by as long as the release took to be applied.
  package var followedSince: Int64
  package var now: Int64

  package init(
    workloads: [KubernetesObject], pods: [KubernetesObject], claims: [KubernetesObject] = [],
    events: [KubernetesObject] = [], startedAt: Int64, releasedAt: Int64? = nil,
    followedSince: Int64? = nil, now: Int64
  ) {
    self.workloads = workloads.map(WorkloadView.init)
    self.pods = pods.map(PodView.init).filter { !$0.object.isBeingDeleted }
    self.claims = claims.map(ClaimView.init)
    self.events = events.map(EventView.init).filter { ($0.lastSeen ?? now) >= startedAt }
    self.startedAt = startedAt
    self.releasedAt = releasedAt ?? startedAt
    self.followedSince = followedSince ?? self.releasedAt
    self.now = now
  }

  /// Ready, or failed for the first reason of: creation refused (quota, admission), claims, images,
  /// containers, scheduling, the Deployment's deadline; else progressing.
  package func state(_ patience: RolloutPatience = RolloutPatience()) -> RolloutState {
    let unsteady = unsteadyContainer(patience)
    if unsteady == nil, !workloads.isEmpty, workloads.allSatisfy(\.isReady) { return .ready }
    let failure =
      creationFailure() ?? claimFailure(patience) ?? podFailure(patience)
      ?? schedulingFailure(patience) ?? deadlineFailure()
    if let failure { return .failed(failure) }
    return .progressing(
      unsteady ?? words,
      readyReplicas: workloads.reduce(0) { $0 + min($1.readyReplicas, $1.wantedReplicas) },
      wantedReplicas: workloads.reduce(0) { $0 + $1.wantedReplicas })
  }

  // MARK: Pods that are not even made

  private func creationFailure() -> RolloutFailure? {
    for workload in workloads where !workload.isReady {
      // A StatefulSet has no condition for it, only events.
      let refusals = events.filter {
        $0.reason == "FailedCreate" && isAbout($0, workload) && workload.object.kind != "Deployment"
      }
      for message in [workload.replicaFailure].compactMap({ $0 }) + refusals.map(\.message) {
        if let failure = Self.refusal(message, workload.reference) { return failure }
      }
    }
    return nil
  }

  private func isAbout(_ event: EventView, _ workload: WorkloadView) -> Bool {
    let uid = workload.object.uid
    return event.aboutKind == workload.object.kind && event.aboutName == workload.object.name
      && (uid.isEmpty || event.aboutUID.isEmpty || event.aboutUID == uid)
  }

  private static func refusal(_ message: String, _ reference: String) -> RolloutFailure? {
    if message.contains("exceeded quota") || message.contains("failed quota") {
      return RolloutFailure(
        .quotaExceeded, "\(reference): \(message)")
    }
    if message.contains("admission webhook"), message.contains("denied") {
      return RolloutFailure(.admissionDenied, "\(reference): \(message)")
    }
    return nil
  }

  // MARK: Claims

  private func claimFailure(_ patience: RolloutPatience) -> RolloutFailure? {
    for claim in claims where !claim.isBound && !claim.object.isBeingDeleted {
      if claim.phase == "Lost" {
        return RolloutFailure(
          .claimLost, "volume claim \(claim.name) has lost its volume")
      }
      let about = events.filter {
        $0.aboutKind == "PersistentVolumeClaim" && $0.aboutName == claim.name
      }
      if let reason = about.first(where: Self.isHopeless)?.message {
        return RolloutFailure(
          .claimPending, "volume claim \(claim.name): \(reason)")
      }
      // WaitForFirstConsumer is how it should be until the pod is scheduled.
      if about.contains(where: { $0.reason == "WaitForFirstConsumer" }) { continue }
      if age(claim.object) > patience.claimPendingSeconds {
        let said = about.last.map { ": \($0.message)" } ?? ""
        return RolloutFailure(
          .claimPending,
          "volume claim \(claim.name) is not bound after \(age(claim.object)) s\(said)")
      }
    }
    return nil
  }

  private static func isHopeless(_ event: EventView) -> Bool {
    let message = event.message
    return message.contains("no storage class is set")
      || (message.contains("storageclass") && message.contains("not found"))
  }

  // MARK: Containers

  private func podFailure(_ patience: RolloutPatience) -> RolloutFailure? {
    for pod in pods where !pod.isReady && !isOfEarlierAttempt(pod, patience) {
      for container in pod.containers {
        if let failure = failure(of: container, in: pod, patience) { return failure }
      }
    }
    return nil
  }

  /// Whether what is wrong with the pod may be why it is about to be replaced.
  private func isOfEarlierAttempt(_ pod: PodView, _ patience: RolloutPatience) -> Bool {
    now - max(releasedAt, followedSince) <= patience.replacementSeconds
      && (pod.object.createdAt ?? now) < releasedAt
  }

  private func failure(
    of container: PodView.Container, in pod: PodView, _ patience: RolloutPatience
  ) -> RolloutFailure? {
    let place = "pod \(pod.name), container \(container.name)"
    switch container.waitingReason {
    case "InvalidImageName", "ErrImageNeverPull":
      return RolloutFailure(
        .imagePull,
        "\(place): image \"\(container.image)\" cannot be used: "
          + container.waitingMessage)
    case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable":
      return pullFailure(container, pod, place, patience)
    case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
      if age(pod.object) <= patience.containerConfigurationSeconds { return nil }
      return RolloutFailure(
        .containerConfiguration, "\(place): \(container.waitingMessage)")
    default: return crash(container, pod, place, patience)
    }
  }

  private func pullFailure(
    _ container: PodView.Container, _ pod: PodView, _ place: String, _ patience: RolloutPatience
  ) -> RolloutFailure? {
    // The back-off hides the reason, which the event still tells.
    let said = events.filter {
      $0.aboutKind == "Pod" && $0.aboutName == pod.name && $0.reason == "Failed"
        && $0.message.contains("pull")
    }
    let words = [container.waitingMessage] + said.map(\.message)
    let telling = words.first(where: Self.isFinalPullError)
    guard telling != nil || age(pod.object) > patience.imagePullSeconds else { return nil }
    return RolloutFailure(
      .imagePull,
      "\(place): image \"\(container.image)\" cannot be pulled: "
        + (telling ?? said.last?.message ?? container.waitingMessage))
  }

  /// A name or credentials that no waiting makes right.
  private static func isFinalPullError(_ message: String) -> Bool {
    let lower = message.lowercased()
    return [
      "not found", "manifest unknown", "repository does not exist", "name unknown",
      "unauthorized", "authentication required", "access denied", "authorization failed",
      "invalid reference format", "no match for platform",
    ].contains { lower.contains($0) }
  }

  private func crash(
    _ container: PodView.Container, _ pod: PodView, _ place: String, _ patience: RolloutPatience
  ) -> RolloutFailure? {
    guard container.restarts >= patience.restartsMax,
      container.waitingReason == "CrashLoopBackOff" || container.lastEndReason != nil
    else { return nil }
    let reference = RolloutFailure.ContainerReference(pod: pod.name, container: container.name)
    if container.lastEndReason == "OOMKilled" {
      return RolloutFailure(
        .outOfMemory,
        "\(place) was killed for want of memory, \(container.restarts) times: raise its limit",
        container: reference)
    }
    let code = container.lastExitCode.map { " with exit code \($0)" } ?? ""
    return RolloutFailure(
      .crashLoop, "\(place) ended\(code) and was restarted \(container.restarts) times",
      container: reference)
  }

  /// What is told of a container that was restarted and has not shown yet that it runs on.
  private func unsteadyContainer(_ patience: RolloutPatience) -> String? {
    for pod in pods {
      for container in pod.containers
      where !container.isInitial && container.restarts > 0 && container.lastExitCode ?? 0 != 0 {
        if let since = container.runningSince, now - since >= patience.steadySeconds { continue }
        return "container \(container.name) of pod \(pod.name) ended and was started again"
      }
    }
    return nil
  }

  // MARK: Scheduling and deadlines

  private func schedulingFailure(_ patience: RolloutPatience) -> RolloutFailure? {
    for pod in pods where age(pod.object) > patience.unschedulableSeconds {
      guard let reason = pod.unschedulableReason else { continue }
      return RolloutFailure(
        .unschedulable, "no node takes pod \(pod.name): \(reason)")
    }
    return nil
  }

  private func deadlineFailure() -> RolloutFailure? {
    guard let late = workloads.first(where: { !$0.isReady && $0.progressDeadlineExceeded }) else {
      return nil
    }
    let message = late.object.condition("Progressing")?.message ?? ""
    return RolloutFailure(
      .progressDeadlineExceeded, "\(late.reference) made no progress in time: \(message) \(words)")
  }

  private func age(_ object: KubernetesObject) -> Int64 { now - (object.createdAt ?? now) }

  // MARK: Words

  /// What is being waited for, for the user.
  private var words: String {
    if workloads.isEmpty { return "waiting for the workloads to be made" }
    let waiting = workloads.filter { !$0.isReady }
    let summary = waiting.map {
      "\($0.reference) \($0.readyReplicas)/\($0.wantedReplicas) ready"
    }.joined(separator: ", ")
    guard let pod = pods.first(where: { !$0.isReady }) else { return summary }
    return "\(summary); \(words(of: pod))"
  }

  private func words(of pod: PodView) -> String {
    if let reason = pod.unschedulableReason {
      if let claim = claims.first(where: { pod.claims.contains($0.name) && !$0.isBound }) {
        return "pod \(pod.name) waits for volume claim \(claim.name)"
      }
      return "pod \(pod.name) waits for a node: \(reason)"
    }
    for container in pod.containers where !container.isReady {
      if container.isInitial, container.lastExitCode == 0 { continue }
      switch container.waitingReason {
      case "ContainerCreating", "PodInitializing":
        return "pod \(pod.name) starts container \(container.name)"
      case "ErrImagePull", "ImagePullBackOff":
        return "pod \(pod.name) tries to pull image \(container.image) again"
      case "CrashLoopBackOff":
        return "container \(container.name) of pod \(pod.name) ended and is started again"
      case let reason?: return "container \(container.name) of pod \(pod.name): \(reason)"
      case nil: return "container \(container.name) of pod \(pod.name) runs and is not ready yet"
      }
    }
    return "pod \(pod.name) is \(pod.phase.isEmpty ? "new" : pod.phase.lowercased())"
  }
}
