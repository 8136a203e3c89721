import JSON
package import Kubernetes
package import ProvisionerService

/// How far the removal of a namespace is, in the words of its controller.
package struct NamespaceRemoval {
  /// The conditions that tell what is left or in the way, the most telling first.
  private static let telling = [
    "NamespaceDeletionDiscoveryFailure", "NamespaceDeletionGroupVersionParsingFailure",
    contentFailure, "NamespaceFinalizersRemaining", "NamespaceContentRemaining",
  ]

  private static let contentFailure = "NamespaceDeletionContentFailure"

  private let namespace: KubernetesObject

  package init(_ namespace: KubernetesObject) { self.namespace = namespace }

  /// What is left, with the finalizers that hold it.
  package var words: String {
    guard namespace.isBeingDeleted else { return "waits for the removal to begin" }
    let held = Self.telling.filter { namespace.condition($0)?.isTrue == true }
    // That not all could be deleted at once is said again, and better, by what remains.
    let told = held.count > 1 ? held.filter { $0 != Self.contentFailure } : held
    let messages = told.compactMap { namespace.condition($0)?.message }
    return messages.isEmpty ? "the namespace is being emptied" : messages.joined(separator: "; ")
  }

  package var progress: BackendProgress {
    BackendProgress(
      isDone: false, fraction: namespace.isBeingDeleted ? 0.5 : 0, detail: words)
  }

  /// - Parameters:
  ///   - now: seconds since 1970.
  ///   - patience: how many seconds finalizers or a failing part of the API may hold the removal up.
  package func isStuck(at now: Int64, patience: Int64) -> Bool {
    guard
      let begun = namespace["metadata", "deletionTimestamp"]?.string.flatMap(
        KubernetesTime.seconds),
      now - begun > patience
    else { return false }
    // Content that is left without a finalizer is pods that still end.
    return Self.telling.dropLast().contains { namespace.condition($0)?.isTrue == true }
  }
}
