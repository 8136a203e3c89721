import Glibc
import JSON
import Reactor
import Testing

@testable import Kubernetes

/// The classification on what a real cluster says.
@Suite(.enabled(if: LiveCluster.isThere), .serialized) struct LiveRolloutTests {
  /// Applies a deployment and follows it until it is ready or failed.
  private func outcome(
    _ client: KubernetesClient, _ namespace: String, _ pod: JSON,
    _ patience: RolloutPatience = RolloutPatience(), minReadySeconds: Int64 = 0
  ) async throws -> RolloutState {
    let started = Int64(time(nil))
    try await client.apply(
      .deployments, namespace: namespace, name: "web",
      LiveCluster.deployment("web", pod, minReadySeconds: minReadySeconds), deadline: .soon)
    let deployments = try client.watch(.deployments, namespace: namespace)
    let pods = try client.watch(.pods, namespace: namespace)
    let claims = try client.watch(.persistentVolumeClaims, namespace: namespace)
    let events = try client.watch(.events, namespace: namespace)
    let subscriptions = try [deployments, pods, claims, events].map { try $0.subscribe() }
    defer { for subscription in subscriptions { subscription.cancel() } }
    // One reader a subscription; any of them makes the snapshot worth another look.
    let deadline = Instant.eventually
    while Instant.now() < deadline {
      let snapshot = RolloutSnapshot(
        workloads: deployments.objects(), pods: pods.objects(), claims: claims.objects(),
        events: events.objects(), startedAt: started - 1, now: Int64(time(nil)))
      let state = snapshot.state(patience)
      if case .progressing = state {} else { return state }
      for subscription in subscriptions {
        _ = await failure { try await subscription.next(until: .now() + .milliseconds(100)) }
      }
    }
    Issue.record("the rollout came to no end")
    return .ready
  }

  @Test func becomesReady() async throws {
    try await LiveCluster.withNamespace { _, client, namespace in
      let pod = LiveCluster.podSpecification(command: ["sleep", "1000"])
      let state = try await outcome(client, namespace, pod)
      #expect(state == .ready)
    }
  }

  @Test func failsForAnImage() async throws {
    try await LiveCluster.withNamespace { _, client, namespace in
      let pod = LiveCluster.podSpecification(
        command: ["true"], image: "localhost/no/such:1", policy: "Never")
      guard case .failed(let failure) = try await outcome(client, namespace, pod) else {
        Issue.record("not failed")
        return
      }
      #expect(failure.code == .imagePull)
    }
  }

  @Test func failsForACrashAndShowsTheLog() async throws {
    try await LiveCluster.withNamespace { _, client, namespace in
      let pod = LiveCluster.podSpecification(
        command: ["sh", "-c", "echo boom hunter2; exit 3"])
      var patience = RolloutPatience()
      patience.restartsMax = 1
      // Without it the container would count as ready for the moment that it runs.
      let state = try await outcome(client, namespace, pod, patience, minReadySeconds: 30)
      guard case .failed(let failure) = state else {
        Issue.record("not failed")
        return
      }
      #expect(failure.code == .crashLoop)
      var explained = failure
      // While the container is made anew there may be no log for a moment.
      for _ in 0..<100 where explained.logTail == nil {
        explained = await client.withLogTail(
          failure, namespace: namespace, redacting: ["hunter2"], deadline: .soon)
      }
      #expect(explained.logTail == "boom [secret]\n")
    }
  }

  @Test func failsForAQuota() async throws {
    try await LiveCluster.withNamespace { _, client, namespace in
      try await client.apply(
        .resourceQuotas, namespace: namespace, name: "q", ["spec": ["hard": ["pods": "0"]]],
        deadline: .soon)
      let pod = LiveCluster.podSpecification(command: ["sleep", "1000"])
      guard case .failed(let failure) = try await outcome(client, namespace, pod) else {
        Issue.record("not failed")
        return
      }
      #expect(failure.code == .quotaExceeded)
    }
  }
}
