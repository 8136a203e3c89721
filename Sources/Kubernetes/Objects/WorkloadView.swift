import JSON

/// The parts of a Deployment or StatefulSet that tell how its rollout goes.
package struct WorkloadView: Sendable {
  package let object: KubernetesObject

  package init(_ object: KubernetesObject) { self.object = object }

  /// "Deployment/wordpress".
  package var reference: String { "\(object.kind)/\(object.name)" }

  package var wantedReplicas: Int64 { object["spec", "replicas"]?.int64 ?? 1 }
  package var readyReplicas: Int64 { object["status", "readyReplicas"]?.int64 ?? 0 }
  package var updatedReplicas: Int64 { object["status", "updatedReplicas"]?.int64 ?? 0 }
  /// Pods of any revision that there are, ready or not.
  package var allReplicas: Int64 { object["status", "replicas"]?.int64 ?? 0 }

  /// Whether the controller has seen the latest specification: before, the status is of an older one.
  package var isObserved: Bool {
    (object["status", "observedGeneration"]?.int64 ?? 0) >= object.generation
  }

  /// All replicas are of the latest specification and ready, and no older one is left.
  package var isReady: Bool {
    if wantedReplicas == 0 { return isObserved && allReplicas == 0 }
    guard isObserved, readyReplicas >= wantedReplicas else { return false }
    if object.kind == "StatefulSet" {
      let current = object["status", "currentRevision"]?.string
      let updated = object["status", "updateRevision"]?.string
      return current == updated || updatedReplicas >= wantedReplicas
    }
    let available = object["status", "availableReplicas"]?.int64 ?? 0
    return updatedReplicas >= wantedReplicas && allReplicas <= updatedReplicas
      && available >= wantedReplicas
  }

  /// The Deployment's own deadline has passed.
  package var progressDeadlineExceeded: Bool {
    guard isObserved, let progressing = object.condition("Progressing") else { return false }
    return progressing.isFalse && progressing.reason == "ProgressDeadlineExceeded"
  }

  /// Why pods cannot be created: quota, admission, a missing service account.
  package var replicaFailure: String? {
    guard let failure = object.condition("ReplicaFailure"), failure.isTrue else { return nil }
    return failure.message
  }
}
