package import HTTP
package import JSON
package import Reactor

/// How an object is deleted.
package struct DeleteOptions: Sendable {
  package enum Propagation: String, Sendable {
    case foreground = "Foreground"
    case background = "Background"
    case orphan = "Orphan"
  }

  package var propagation: Propagation?
  /// Only the object with this uid: not a later one of the same name.
  package var uid: String?
  package var resourceVersion: String?
  package var gracePeriodSeconds: Int?

  package init(
    propagation: Propagation? = .background, uid: String? = nil, resourceVersion: String? = nil,
    gracePeriodSeconds: Int? = nil
  ) {
    self.propagation = propagation
    self.uid = uid
    self.resourceVersion = resourceVersion
    self.gracePeriodSeconds = gracePeriodSeconds
  }

  var body: JSON {
    var fields = JSONObject()
    fields["kind"] = "DeleteOptions"
    fields["apiVersion"] = "v1"
    if let propagation { fields["propagationPolicy"] = .string(propagation.rawValue) }
    if let seconds = gracePeriodSeconds {
      fields["gracePeriodSeconds"] = .number(JSONNumber(seconds))
    }
    var preconditions = JSONObject()
    if let uid { preconditions["uid"] = .string(uid) }
    if let resourceVersion { preconditions["resourceVersion"] = .string(resourceVersion) }
    if !preconditions.isEmpty { fields["preconditions"] = .object(preconditions) }
    return .object(fields)
  }
}

/// Which objects of a kind.
package struct ObjectSelection: Sendable, Hashable {
  /// Nil: of all namespaces.
  package var namespace: String?
  package var labelSelector: String?
  package var fieldSelector: String?

  package init(
    namespace: String? = nil, labelSelector: String? = nil, fieldSelector: String? = nil
  ) {
    self.namespace = namespace
    self.labelSelector = labelSelector
    self.fieldSelector = fieldSelector
  }

  var query: [(name: String, value: String)] {
    var query: [(name: String, value: String)] = []
    if let labelSelector { query.append(("labelSelector", labelSelector)) }
    if let fieldSelector { query.append(("fieldSelector", fieldSelector)) }
    return query
  }
}

/// Every function throws `notFound`, `forbidden`, `throttled`, `timeout` and so on as they come; see
/// `KubernetesError.Kind`. `namespace` is nil for kinds that are in none.
extension KubernetesClient {
  package func get(
    _ kind: ResourceKind, namespace: String? = nil, name: String, deadline: Instant
  ) async throws(KubernetesError) -> KubernetesObject {
    try await object(Request(path: try path(kind, namespace, name)), deadline)
  }

  /// One page; go on with its `continueToken`. A token that grew too old throws `expired`.
  package func list(
    _ kind: ResourceKind, _ selection: ObjectSelection = ObjectSelection(), limit: Int? = nil,
    continuing token: String? = nil, deadline: Instant
  ) async throws(KubernetesError) -> ObjectList {
    var request = Request(path: kind.path(namespace: selection.namespace))
    request.query = selection.query
    if let limit { request.query.append(("limit", String(limit))) }
    if let token { request.query.append(("continue", token)) }
    let json = try await json(request, deadline)
    guard let items = json["items"]?.array else {
      throw KubernetesError(.badAnswer, "the list of \(kind) has no items")
    }
    let next = json["metadata", "continue"]?.string
    return ObjectList(
      objects: items.map { Self.named($0, kind) },
      resourceVersion: json["metadata", "resourceVersion"]?.string ?? "",
      continueToken: next?.isEmpty == true ? nil : next)
  }

  /// All pages, at most `KubernetesLimits.listObjectsMax` objects.
  package func listAll(
    _ kind: ResourceKind, _ selection: ObjectSelection = ObjectSelection(), deadline: Instant
  ) async throws(KubernetesError) -> ObjectList {
    var objects: [KubernetesObject] = []
    var token: String?
    while true {
      let page = try await list(
        kind, selection, limit: limits.listPageObjects, continuing: token, deadline: deadline)
      objects += page.objects
      guard objects.count <= limits.listObjectsMax else {
        throw KubernetesError(
          .limitReached,
          "there are more than \(limits.listObjectsMax) \(kind) (listObjectsMax): select fewer")
      }
      token = page.continueToken
      if token == nil {
        return ObjectList(
          objects: objects, resourceVersion: page.resourceVersion, continueToken: nil)
      }
    }
  }

  /// Throws `alreadyExists` where there is one of that name.
  @discardableResult
  package func create(
    _ kind: ResourceKind, namespace: String? = nil, _ object: JSON, deadline: Instant
  ) async throws(KubernetesError) -> KubernetesObject {
    var request = Request(method: .post, path: try path(kind, namespace, nil))
    request.query = [("fieldManager", Self.fieldManager)]
    request.body = Self.complete(object, kind).serialized()
    request.isSecret = kind == .secrets
    return try await self.object(request, deadline)
  }

  /// Server-side apply: makes the object, or makes it have the fields that `object` has and none
  /// that an earlier apply of ours had and this one lacks. Doing it twice changes nothing.
  ///
  /// - Parameter force: take fields over from other managers; a `conflict` otherwise.
  @discardableResult
  package func apply(
    _ kind: ResourceKind, namespace: String? = nil, name: String, _ object: JSON,
    force: Bool = true, isDryRun: Bool = false, deadline: Instant
  ) async throws(KubernetesError) -> KubernetesObject {
    var request = Request(method: .patch, path: try path(kind, namespace, name))
    request.query = [("fieldManager", Self.fieldManager), ("force", String(force))]
    if isDryRun { request.query.append(("dryRun", "All")) }
    // JSON is YAML too, and this type is the only one that means an apply.
    request.contentType = "application/apply-patch+yaml"
    request.body = Self.complete(object, kind, name: name).serialized()
    request.isSecret = kind == .secrets
    return try await self.object(request, deadline)
  }

  /// JSON merge patch (RFC 7396): null removes a field. With a `resourceVersion` in its metadata it
  /// is a `conflict` where the object has changed.
  @discardableResult
  package func merge(
    _ kind: ResourceKind, namespace: String? = nil, name: String, subresource: String? = nil,
    _ patch: JSON, deadline: Instant
  ) async throws(KubernetesError) -> KubernetesObject {
    var request = Request(
      method: .patch, path: try path(kind, namespace, name, subresource: subresource))
    request.query = [("fieldManager", Self.fieldManager)]
    request.contentType = "application/merge-patch+json"
    request.body = patch.serialized()
    request.isSecret = kind == .secrets
    return try await object(request, deadline)
  }

  /// Asks for deletion, which finalizers and grace periods may draw out. Throws `notFound` where the
  /// object is gone already, `conflict` where a precondition does not hold.
  package func delete(
    _ kind: ResourceKind, namespace: String? = nil, name: String,
    _ options: DeleteOptions = DeleteOptions(), deadline: Instant
  ) async throws(KubernetesError) {
    var request = Request(method: .delete, path: try path(kind, namespace, name))
    request.body = options.body.serialized()
    _ = try await bytes(request, deadline)
  }

  /// The same for an object as it was seen: nothing where it is gone, or another is in its place.
  package func delete(
    _ kind: ResourceKind, _ seen: KubernetesObject, deadline: Instant
  ) async throws(KubernetesError) {
    do throws(KubernetesError) {
      try await delete(
        kind, namespace: seen.namespace, name: seen.name, DeleteOptions(uid: seen.uid),
        deadline: deadline)
    } catch {
      if error.kind != .notFound && error.kind != .conflict { throw error }
    }
  }

  /// Any other request. `path` starts below the server's base path and is escaped already.
  package func raw(
    _ method: HTTPMethod, path: String, query: [(name: String, value: String)] = [],
    body: [UInt8] = [], contentType: String = "application/json", deadline: Instant
  ) async throws(KubernetesError) -> [UInt8] {
    var request = Request(method: method, path: path, query: query)
    request.body = body
    request.contentType = contentType
    request.accept = "*/*"
    return try await bytes(request, deadline)
  }

  /// The end of a container's log, at most `lines` lines and `bytesMax` bytes.
  ///
  /// - Parameters:
  ///   - previous: of the container's last run, for one that restarts.
  ///   - secrets: what the container may have printed and nobody should see.
  package func logTail(
    namespace: String, pod: String, container: String, lines: Int = 20, bytesMax: Int = 4096,
    previous: Bool = false, redacting secrets: [String] = [], deadline: Instant
  ) async throws(KubernetesError) -> String {
    var request = Request(path: try path(.pods, namespace, pod, subresource: "log"))
    request.accept = "*/*"
    request.query = [
      ("container", container), ("tailLines", String(lines)), ("previous", String(previous)),
    ]
    let bytes = try await bytes(request, deadline)
    return Redaction.tail(of: bytes, bytesMax: bytesMax, secrets)
  }

  // MARK: Shared parts

  private func path(
    _ kind: ResourceKind, _ namespace: String?, _ name: String?, subresource: String? = nil
  ) throws(KubernetesError) -> String {
    guard kind.isNamespaced == (namespace != nil) else {
      throw KubernetesError(
        .invalid,
        "\(kind) are \(kind.isNamespaced ? "in a namespace, and none is named" : "in no namespace")"
      )
    }
    // An empty name would address the whole collection.
    guard namespace != "", name != "" else {
      throw KubernetesError(.invalid, "a name or namespace of \(kind) is empty")
    }
    return kind.path(namespace: namespace, name: name, subresource: subresource)
  }

  private func object(
    _ request: Request, _ deadline: Instant
  ) async throws(KubernetesError) -> KubernetesObject {
    KubernetesObject(try await json(request, deadline))
  }

  private func json(
    _ request: Request, _ deadline: Instant
  ) async throws(KubernetesError) -> JSON {
    let bytes = try await bytes(request, deadline)
    return try Self.parse(bytes, bytesMax: limits.responseBytesMax)
  }

  private func bytes(
    _ request: Request, _ deadline: Instant
  ) async throws(KubernetesError) -> [UInt8] {
    let response = try await send(request, deadline: deadline)
    return try await response.collect(upTo: limits.responseBytesMax)
  }

  static func parse(_ bytes: [UInt8], bytesMax: Int) throws(KubernetesError) -> JSON {
    var limits = JSONLimits()
    limits.bytesMax = bytesMax
    // Pages hold a hundred objects of a few hundred values each.
    limits.valuesMax = 2_000_000
    do {
      return try JSON(parsing: bytes, limits: limits)
    } catch {
      throw KubernetesError(.badAnswer, "the API server's answer is not JSON: \(error)")
    }
  }

  /// The items of a list lack kind and version, which go without saying there.
  static func named(_ item: JSON, _ kind: ResourceKind) -> KubernetesObject {
    guard var fields = item.object, fields["kind"] == nil else { return KubernetesObject(item) }
    fields["apiVersion"] = .string(kind.apiVersion)
    fields["kind"] = .string(kind.kind)
    return KubernetesObject(.object(fields))
  }

  /// `object` with kind, version and name, where it lacks them.
  private static func complete(_ object: JSON, _ kind: ResourceKind, name: String? = nil) -> JSON {
    guard case .object(let members) = named(object, kind).json else { return object }
    guard let name else { return .object(members) }
    var fields = members
    var metadata = fields["metadata"]?.object ?? JSONObject()
    if metadata["name"] == nil { metadata["name"] = .string(name) }
    fields["metadata"] = .object(metadata)
    return .object(fields)
  }
}
