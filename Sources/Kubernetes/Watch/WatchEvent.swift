import JSON

/// One line of a watch.
enum WatchEvent: Equatable {
  case added(KubernetesObject)
  case modified(KubernetesObject)
  case deleted(KubernetesObject)
  /// Nothing changed up to this version.
  case bookmark(resourceVersion: String)

  /// Throws what an ERROR event means; `expired` for 410.
  init(line: [UInt8], kind: ResourceKind, bytesMax: Int) throws(KubernetesError) {
    let json = try KubernetesClient.parse(line, bytesMax: bytesMax)
    guard let object = json["object"] else {
      throw KubernetesError(.badAnswer, "a watch's event has no object")
    }
    let named = KubernetesClient.named(object, kind)
    switch json["type"]?.string {
    case "ADDED": self = .added(named)
    case "MODIFIED": self = .modified(named)
    case "DELETED": self = .deleted(named)
    case "BOOKMARK": self = .bookmark(resourceVersion: named.resourceVersion)
    case "ERROR": throw StatusAnswer.error(status: object)
    default: throw KubernetesError(.badAnswer, "a watch's event has an unknown type")
    }
  }
}

/// What a subscriber of a shared watch hears.
package enum WatchChange: Sendable, Equatable {
  /// The object is new or has changed; this is its latest state.
  case updated(KubernetesObject)
  /// The object is gone; this is its last known state.
  case deleted(KubernetesObject)
  /// Too much has changed to tell one by one: look at the watch's objects.
  case resynced
}

package struct ObjectKey: Hashable, Sendable {
  package let namespace: String
  package let name: String

  package init(namespace: String, name: String) {
    self.namespace = namespace
    self.name = name
  }

  init(_ object: KubernetesObject) {
    self.init(namespace: object.namespace, name: object.name)
  }
}
