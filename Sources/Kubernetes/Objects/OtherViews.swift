import JSON

/// The parts of a PersistentVolumeClaim that matter to a rollout.
package struct ClaimView: Sendable {
  package let object: KubernetesObject

  package init(_ object: KubernetesObject) { self.object = object }

  package var name: String { object.name }
  /// "Pending", "Bound" or "Lost".
  package var phase: String { object["status", "phase"]?.string ?? "" }
  package var isBound: Bool { phase == "Bound" }
  package var storageClass: String? { object["spec", "storageClassName"]?.string }
}

/// An Event: what a controller has to say about an object.
package struct EventView: Sendable {
  package let object: KubernetesObject

  package init(_ object: KubernetesObject) { self.object = object }

  package var reason: String { object["reason"]?.string ?? "" }
  package var message: String { object["message"]?.string ?? "" }
  package var isWarning: Bool { object["type"]?.string == "Warning" }
  package var aboutKind: String { object["involvedObject", "kind"]?.string ?? "" }
  package var aboutName: String { object["involvedObject", "name"]?.string ?? "" }
  package var aboutUID: String { object["involvedObject", "uid"]?.string ?? "" }

  /// When it was last seen, in seconds since 1970.
  package var lastSeen: Int64? {
    let text =
      object["series", "lastObservedTime"]?.string ?? object["lastTimestamp"]?.string
      ?? object["eventTime"]?.string
    return text.flatMap(KubernetesTime.seconds) ?? object.createdAt
  }
}

/// The parts of a Namespace that tell how its deletion goes.
package struct NamespaceView: Sendable {
  package let object: KubernetesObject

  package init(_ object: KubernetesObject) { self.object = object }

  package var isTerminating: Bool {
    object["status", "phase"]?.string == "Terminating" || object.isBeingDeleted
  }

  /// What keeps the namespace from going, in the words of its controller, the most telling first; nil
  /// while nothing does.
  package var blockedBy: String? {
    let telling = [
      "NamespaceDeletionDiscoveryFailure", "NamespaceDeletionGroupVersionParsingFailure",
      "NamespaceDeletionContentFailure", "NamespaceFinalizersRemaining",
      "NamespaceContentRemaining",
    ]
    for type in telling {
      if let condition = object.condition(type), condition.isTrue { return condition.message }
    }
    return nil
  }
}
