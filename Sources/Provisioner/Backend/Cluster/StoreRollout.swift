import Glibc
import JSON
import Kubernetes
import ProvisionerService
import Reactor

/// Follows the pods of stores by watches that all stores of the cluster share. Confined to its reactor.
final class StoreRollout {
  /// On everything that the chart makes.
  static let labelSelector = "app.kubernetes.io/part-of=ecommerce-store"
  private static let requestTimeout = Duration.seconds(25)
  /// Between looks at the events, and at what only the time changes.
  private static let lookInterval = Duration.seconds(3)
  /// Longer than any container of the chart is given to end.
  static let endingWait = Duration.seconds(65)
  /// Our clock may be ahead of the cluster's by as much.
  private static let clockToleranceSeconds: Int64 = 10

  private let kubernetes: KubernetesClient
  private let credentials: StoreCredentials
  private let patience: RolloutPatience
  /// By namespace, since when each rollout under way is looked at, in seconds since 1970.
  private var followedSince: [String: Int64] = [:]

  init(_ kubernetes: KubernetesClient, credentials: StoreCredentials, patience: RolloutPatience) {
    self.kubernetes = kubernetes
    self.credentials = credentials
    self.patience = patience
  }

  /// At once when the state differs from `previous`, else when it does.
  func status(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    if previous == nil { followedSince[site.namespace] = Int64(time(nil)) }
    let outcome: Outcome
    do throws(KubernetesError) {
      outcome = try await follow(site, after: previous)
    } catch {
      throw ProvisionFailure(error)
    }
    switch outcome {
    case .progress(let progress):
      if progress.isDone { followedSince[site.namespace] = nil }
      return progress
    case .failed(let failure):
      followedSince[site.namespace] = nil
      throw ProvisionFailure(await withLog(failure, of: site))
    }
  }

  /// Waits until no pod is left of a release that was removed, at most `endingWait`. The controller of
  /// namespaces goes through all kinds of objects each time it looks at one that is to go, and looks
  /// again, ever later, while there are pods that still end.
  func waitForEnd(of site: StoreSite) async throws(ProvisionFailure) {
    followedSince[site.namespace] = nil
    let deadline = Instant.now() + Self.endingWait
    do throws(KubernetesError) {
      let watch = try kubernetes.watch(.pods, labelSelector: Self.labelSelector)
      try await watch.waitUntilSynced(deadline: deadline)
      let changes = try watch.subscribe(namespace: site.namespace)
      defer { changes.cancel() }
      while !watch.objects(namespace: site.namespace).isEmpty {
        guard try await changes.next(until: deadline) != nil else { return }
      }
    } catch {
      // It would only have been quicker.
      if error.kind == .cancelled { throw ProvisionFailure(error) }
    }
  }

  /// The failure with the end of its container's log; without, where the secrets that may stand in it
  /// cannot be had.
  private func withLog(_ failure: RolloutFailure, of site: StoreSite) async -> RolloutFailure {
    guard failure.container != nil, let known = try? await credentials.ensure(site) else {
      return failure
    }
    return await kubernetes.withLogTail(
      failure, namespace: site.namespace, redacting: known.secrets, deadline: deadline)
  }

  private enum Outcome {
    case progress(BackendProgress)
    case failed(RolloutFailure)
  }

  private var deadline: Instant { Instant.now() + Self.requestTimeout }

  private func follow(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(KubernetesError) -> Outcome {
    let watches = try Self.kinds.map { kind throws(KubernetesError) in
      try kubernetes.watch(kind, labelSelector: Self.labelSelector)
    }
    for watch in watches { try await watch.waitUntilSynced(deadline: deadline) }
    let changes = try AnyChange(of: watches, in: site.namespace, on: kubernetes.reactor)
    defer { changes.cancel() }
    while true {
      if Task.isCancelled { throw KubernetesError(.cancelled, "") }
      let events = try await kubernetes.listAll(
        .events, ObjectSelection(namespace: site.namespace), deadline: deadline)
      let parts = watches.map { $0.objects(namespace: site.namespace) }
      try await StuckPods.remove(workloads: parts[1], pods: parts[2], kubernetes)
      switch snapshot(site, parts, events: events.objects).state(patience) {
      case .ready:
        if try await isReady(site) {
          return .progress(BackendProgress(isDone: true, fraction: 1, detail: "all pods are ready"))
        }
      case .failed(let failure): return .failed(failure)
      case .progressing(let words, let ready, let wanted):
        let fraction = wanted > 0 ? Double(ready) / Double(wanted) : 0
        let progress = BackendProgress(isDone: false, fraction: fraction, detail: words)
        if progress != previous { return .progress(progress) }
      }
      await changes.next(until: Instant.now() + Self.lookInterval)
    }
  }

  private static let kinds: [ResourceKind] = [
    .deployments, .statefulSets, .pods, .persistentVolumeClaims,
  ]

  private func snapshot(
    _ site: StoreSite, _ parts: [[KubernetesObject]], events: [KubernetesObject]
  ) -> RolloutSnapshot {
    // What events tell of before the release is of an earlier operation.
    let startedAt = (site.releasedAt ?? 0) - Self.clockToleranceSeconds
    return RolloutSnapshot(
      workloads: parts[0] + parts[1], pods: parts[2].filter { !Self.isOfJob($0) },
      claims: parts[3], events: events, startedAt: startedAt, releasedAt: site.releasedAt,
      followedSince: followedSince[site.namespace], now: Int64(time(nil)))
  }

  /// Jobs are no part of a rollout: they come and go.
  private static func isOfJob(_ pod: KubernetesObject) -> Bool {
    pod["metadata", "ownerReferences"]?.array?.contains { $0["kind"]?.string == "Job" } ?? false
  }

  /// Asked for, not watched: a watch may not have heard yet of what Helm has just changed.
  private func isReady(_ site: StoreSite) async throws(KubernetesError) -> Bool {
    let selection = ObjectSelection(
      namespace: site.namespace, labelSelector: Self.labelSelector)
    var workloads: [KubernetesObject] = []
    for kind in [ResourceKind.deployments, .statefulSets] {
      workloads += try await kubernetes.listAll(kind, selection, deadline: deadline).objects
    }
    return !workloads.isEmpty && workloads.allSatisfy { WorkloadView($0).isReady }
  }
}
