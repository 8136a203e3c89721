import Kubernetes
import ProvisionerService
import Reactor

/// StatefulSets of which a release changes a field that Kubernetes lets nobody change.
///
/// Kubernetes' own remedy is to delete the StatefulSet without its pods, which serve on, and to make it anew:
/// it takes them up by their labels.
enum ImmutableStatefulSets {
  private static let requestTimeout = Duration.seconds(20)
  /// For one to go once its pods are let go.
  private static let timeout = Duration.seconds(30)
  private static let lookInterval = Duration.milliseconds(250)

  /// Does what Helm is to do; again, where Helm fails for such StatefulSets of the store, without them. Each
  /// goes once.
  static func replaced(
    of site: StoreSite, _ kubernetes: KubernetesClient,
    _ release: () async throws(ProvisionFailure) -> InstalledRelease
  ) async throws(ProvisionFailure) -> InstalledRelease {
    // Of an earlier attempt: Helm would take one that is still there, and lose it.
    try await awaitThoseThatGo(of: site, kubernetes)
    var replaced: Set<String> = []
    while true {
      do throws(ProvisionFailure) {
        return try await release()
      } catch {
        let names = names(in: error).subtracting(replaced)
        if names.isEmpty { throw error }
        for name in names.sorted() {
          guard try await orphan(name, of: site, kubernetes) else { throw error }
        }
        replaced.formUnion(names)
      }
    }
  }

  /// Those that Helm names.
  static func names(in failure: ProvisionFailure) -> Set<String> {
    guard failure.code == .fieldImmutable else { return [] }
    let refusal =
      /StatefulSet\.apps "([^"]+)" is invalid: spec: Forbidden: updates to statefulset spec/
    return Set(failure.detail.matches(of: refusal).map { String($0.1) })
  }

  /// Deletes one without its pods, and returns when it is gone: a new one of that name could not be made.
  ///
  /// - Returns: false where it is not the chart's.
  private static func orphan(
    _ name: String, of site: StoreSite, _ kubernetes: KubernetesClient
  ) async throws(ProvisionFailure) -> Bool {
    do throws(KubernetesError) {
      let deadline = Instant.now() + timeout
      let found = try await kubernetes.get(
        .statefulSets, namespace: site.namespace, name: name, deadline: deadline)
      guard found.labels["app.kubernetes.io/part-of"] == "ecommerce-store" else { return false }
      try await kubernetes.delete(
        .statefulSets, namespace: site.namespace, name: name,
        DeleteOptions(propagation: .orphan, uid: found.uid), deadline: deadline)
    } catch {
      if error.kind != .notFound { throw ProvisionFailure(error) }
    }
    try await awaitThoseThatGo(of: site, kubernetes)
    return true
  }

  private static func awaitThoseThatGo(
    of site: StoreSite, _ kubernetes: KubernetesClient
  ) async throws(ProvisionFailure) {
    let limit = Instant.now() + timeout
    let ours = ObjectSelection(
      namespace: site.namespace, labelSelector: StoreRollout.labelSelector)
    while let going = try await beingDeleted(ours, kubernetes) {
      if Instant.now() > limit {
        // The API server answers: nothing is held against it.
        throw ProvisionFailure(
          .stepTimedOut, "StatefulSet \(going.name) is being deleted and does not go",
          verdict: .inconclusive)
      }
      await pause(lookInterval, on: kubernetes.reactor)
      if Task.isCancelled { throw ProvisionFailure(.cancelled) }
    }
  }

  private static func beingDeleted(
    _ selection: ObjectSelection, _ kubernetes: KubernetesClient
  ) async throws(ProvisionFailure) -> KubernetesObject? {
    do throws(KubernetesError) {
      return try await kubernetes.listAll(
        .statefulSets, selection, deadline: .now() + requestTimeout
      ).objects.first(where: \.isBeingDeleted)
    } catch {
      throw ProvisionFailure(error)
    }
  }
}
