import Glibc
import JSON
import Kubernetes
import ProvisionerService
import Reactor

/// The namespace of each store. Confined to its reactor.
final class StoreNamespace {
  /// On every namespace of ours.
  static let ownerLabel = (key: "app.kubernetes.io/managed-by", value: "storeplane")
  static let storeLabel = "storeplane.dev/store-id"
  static let tenantLabel = "storeplane.dev/tenant"
  /// The token of the last lease under which the namespace was asked for.
  static let fenceAnnotation = "storeplane.dev/fence"

  /// What there is under a store's namespace's name.
  enum Presence {
    case absent
    case ours(KubernetesObject)
    /// Somebody else's.
    case foreign
  }

  static let requestTimeout = Duration.seconds(25)
  /// Between looks where no change is told.
  private static let lookInterval = Duration.seconds(5)

  private let kubernetes: KubernetesClient
  private let removalPatienceSeconds: Int64
  private let cluster: ClusterIdentity

  /// - Parameter clusterUID: nil where it is not known yet.
  init(
    _ kubernetes: KubernetesClient, clusterUID: String? = nil,
    removalPatienceSeconds: Int64 = BackendSettings.removalPatienceSeconds
  ) {
    self.kubernetes = kubernetes
    self.removalPatienceSeconds = removalPatienceSeconds
    cluster = ClusterIdentity(kubernetes: kubernetes, expected: clusterUID)
  }

  private var deadline: Instant { Instant.now() + Self.requestTimeout }

  func presence(_ site: StoreSite) async throws(ProvisionFailure) -> Presence {
    do throws(KubernetesError) {
      let found = try await kubernetes.get(.namespaces, name: site.namespace, deadline: deadline)
      return Self.isOurs(found, site) ? .ours(found) : .foreign
    } catch {
      if error.kind == .notFound { return .absent }
      throw ProvisionFailure(error)
    }
  }

  private static func isOurs(_ namespace: KubernetesObject, _ site: StoreSite) -> Bool {
    let labels = namespace.labels
    return labels[ownerLabel.key] == ownerLabel.value && labels[storeLabel] == site.store
  }

  // MARK: Making

  func ensure(_ site: StoreSite) async throws(ProvisionFailure) {
    switch try await presence(site) {
    case .absent: break
    case .foreign:
      throw ProvisionFailure(
        .namespaceForeign, "\(site.namespace) has no label \(Self.storeLabel)=\(site.store)")
    case .ours(let namespace):
      if NamespaceView(namespace).isTerminating {
        throw ProvisionFailure(.namespaceTerminating, namespace.name)
      }
      let fence = namespace.annotations[Self.fenceAnnotation].flatMap { Int64($0) } ?? 0
      guard fence <= site.fence else {
        throw ProvisionFailure(.interrupted, "a later holder of the lease was here already")
      }
    }
    do throws(KubernetesError) {
      let made = try await kubernetes.apply(
        .namespaces, name: site.namespace, Self.manifest(site), deadline: deadline)
      if NamespaceView(made).isTerminating {
        throw KubernetesError(.namespaceTerminating, made.name)
      }
    } catch {
      throw ProvisionFailure(error)
    }
  }

  private static func manifest(_ site: StoreSite) -> JSON {
    var labels = JSONObject()
    labels[ownerLabel.key] = .string(ownerLabel.value)
    labels[storeLabel] = .string(site.store)
    labels[tenantLabel] = .string(site.tenant)
    var annotations = JSONObject()
    annotations[fenceAnnotation] = .string(String(site.fence))
    return ["metadata": ["labels": .object(labels), "annotations": .object(annotations)]]
  }

  // MARK: Removing

  func delete(_ site: StoreSite) async throws(ProvisionFailure) {
    guard case .ours(let namespace) = try await presence(site) else { return }
    if namespace.isBeingDeleted { return }
    do throws(KubernetesError) {
      try await kubernetes.delete(
        .namespaces, name: site.namespace, DeleteOptions(uid: namespace.uid), deadline: deadline)
    } catch {
      // Gone, or on its way, as it was asked for.
      if error.kind != .notFound && error.kind != .conflict { throw ProvisionFailure(error) }
    }
  }

  func removal(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    let outcome: Removal
    do throws(KubernetesError) {
      outcome = try await followRemoval(of: site, after: previous)
    } catch {
      throw ProvisionFailure(error)
    }
    switch outcome {
    case .progress(let progress):
      // Nothing is there of any store where another cluster answers, and then its data would be out of
      // sight for good.
      if progress.isDone { try await cluster.require() }
      return progress
    case .stuck(let culprit): throw ProvisionFailure(.namespaceStuck, culprit)
    }
  }

  private enum Removal {
    case progress(BackendProgress)
    case stuck(String)
  }

  private func followRemoval(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(KubernetesError) -> Removal {
    let watch = try kubernetes.watch(
      .namespaces, labelSelector: "\(Self.ownerLabel.key)=\(Self.ownerLabel.value)")
    try await watch.waitUntilSynced(deadline: deadline)
    let name = site.namespace
    let subscription = try watch.subscribe(where: { $0.name == name })
    defer { subscription.cancel() }
    while true {
      if let namespace = watch.object(name: name), Self.isOurs(namespace, site) {
        let state = NamespaceRemoval(namespace)
        if state.isStuck(at: Int64(time(nil)), patience: removalPatienceSeconds) {
          return .stuck(state.words)
        }
        if state.progress != previous { return .progress(state.progress) }
      } else if try await isGone(site) {
        // Asked for, since what the watch has heard of may be older than the namespace.
        return .progress(
          BackendProgress(isDone: true, fraction: 1, detail: "the namespace is gone"))
      }
      try await Self.nextLook(subscription)
    }
  }

  private func isGone(_ site: StoreSite) async throws(KubernetesError) -> Bool {
    do throws(KubernetesError) {
      let found = try await kubernetes.get(.namespaces, name: site.namespace, deadline: deadline)
      return !Self.isOurs(found, site)
    } catch {
      if error.kind == .notFound { return true }
      throw error
    }
  }

  private static func nextLook(_ subscription: WatchSubscription) async throws(KubernetesError) {
    do throws(KubernetesError) {
      _ = try await subscription.next(until: Instant.now() + lookInterval)
    } catch {
      if error.kind != .timeout { throw error }
    }
  }
}
