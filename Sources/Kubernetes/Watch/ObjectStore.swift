import JSON

/// The objects of one watch as last heard of, by namespace and name.
struct ObjectStore {
  let objectsMax: Int
  private var namespaces: [String: [String: KubernetesObject]] = [:]
  private(set) var count = 0

  init(objectsMax: Int) { self.objectsMax = objectsMax }

  subscript(key: ObjectKey) -> KubernetesObject? { namespaces[key.namespace]?[key.name] }

  /// Of one namespace, or of all.
  func objects(namespace: String?) -> [KubernetesObject] {
    guard let namespace else { return namespaces.values.flatMap(\.values) }
    return namespaces[namespace].map { Array($0.values) } ?? []
  }

  /// Whether that changed anything. Throws `limitReached` for one object too many.
  mutating func put(_ object: KubernetesObject) throws(KubernetesError) -> Bool {
    let key = ObjectKey(object)
    if let known = self[key] {
      if known.resourceVersion == object.resourceVersion { return false }
    } else {
      guard count < objectsMax else {
        throw KubernetesError(
          .limitReached,
          "a watch has more than \(objectsMax) objects (objectsMax): narrow its selector")
      }
      count += 1
    }
    namespaces[key.namespace, default: [:]][key.name] = object
    return true
  }

  /// The last known state of what was removed.
  mutating func remove(_ key: ObjectKey) -> KubernetesObject? {
    guard let removed = namespaces[key.namespace]?.removeValue(forKey: key.name) else {
      return nil
    }
    count -= 1
    if namespaces[key.namespace]?.isEmpty == true { namespaces[key.namespace] = nil }
    return removed
  }

  /// Takes a whole list as the truth; returns what that changed.
  mutating func replace(
    with objects: [KubernetesObject]
  ) throws(KubernetesError) -> [WatchChange] {
    var next = ObjectStore(objectsMax: objectsMax)
    var changes: [WatchChange] = []
    for object in objects {
      _ = try next.put(object)
      if self[ObjectKey(object)]?.resourceVersion != object.resourceVersion {
        changes.append(.updated(object))
      }
    }
    for gone in self.objects(namespace: nil) where next[ObjectKey(gone)] == nil {
      changes.append(.deleted(gone))
    }
    self = next
    return changes
  }

  /// Without what nobody reads and every object has: which manager owns which field.
  static func trimmed(_ object: KubernetesObject) -> KubernetesObject {
    guard var fields = object.json.object, var metadata = fields["metadata"]?.object,
      metadata["managedFields"] != nil
    else { return object }
    metadata["managedFields"] = nil
    fields["metadata"] = .object(metadata)
    return KubernetesObject(.object(fields))
  }
}
