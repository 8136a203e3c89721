package import JSON

/// Any object of the API: its JSON, with names for what all objects have.
///
/// It has no `description`: it may be a Secret.
package struct KubernetesObject: Sendable, Equatable {
  package var json: JSON

  package init(_ json: JSON) { self.json = json }

  package subscript(_ path: JSONPathStep...) -> JSON? {
    path.reduce(json as JSON?) { value, step in value?[step] }
  }

  package var apiVersion: String { json["apiVersion"]?.string ?? "" }
  package var kind: String { json["kind"]?.string ?? "" }
  package var name: String { json["metadata", "name"]?.string ?? "" }
  /// Empty for objects that are in no namespace.
  package var namespace: String { json["metadata", "namespace"]?.string ?? "" }
  package var uid: String { json["metadata", "uid"]?.string ?? "" }
  package var resourceVersion: String { json["metadata", "resourceVersion"]?.string ?? "" }
  package var generation: Int64 { json["metadata", "generation"]?.int64 ?? 0 }
  package var isBeingDeleted: Bool { json["metadata", "deletionTimestamp"]?.string != nil }
  package var finalizers: [String] {
    json["metadata", "finalizers"]?.array?.compactMap(\.string) ?? []
  }

  package var labels: [String: String] { Self.strings(json["metadata", "labels"]) }
  package var annotations: [String: String] { Self.strings(json["metadata", "annotations"]) }

  /// Seconds since 1970.
  package var createdAt: Int64? {
    json["metadata", "creationTimestamp"]?.string.flatMap(KubernetesTime.seconds)
  }

  package var conditions: [Condition] {
    json["status", "conditions"]?.array?.map(Condition.init) ?? []
  }

  package func condition(_ type: String) -> Condition? {
    conditions.first { $0.type == type }
  }

  /// One of `status.conditions`.
  package struct Condition: Sendable, Equatable {
    package let type: String
    /// "True", "False" or "Unknown".
    package let status: String
    package let reason: String
    package let message: String
    /// Seconds since 1970.
    package let changedAt: Int64?

    package var isTrue: Bool { status == "True" }
    package var isFalse: Bool { status == "False" }

    init(_ json: JSON) {
      type = json["type"]?.string ?? ""
      status = json["status"]?.string ?? ""
      reason = json["reason"]?.string ?? ""
      message = json["message"]?.string ?? ""
      changedAt = json["lastTransitionTime"]?.string.flatMap(KubernetesTime.seconds)
    }
  }

  static func strings(_ json: JSON?) -> [String: String] {
    var strings: [String: String] = [:]
    for member in json?.object?.members ?? [] { strings[member.key] = member.value.string }
    return strings
  }
}

/// A page of a list.
package struct ObjectList: Sendable {
  package let objects: [KubernetesObject]
  /// Where a watch goes on from.
  package let resourceVersion: String
  /// For the next page; nil on the last.
  package let continueToken: String?
}
