import HTTP

/// A kind of object and its place in the API: group, version, plural.
package struct ResourceKind: Sendable, Hashable, CustomStringConvertible {
  /// Empty for the core group.
  package let group: String
  package let version: String
  /// As in paths, such as "deployments".
  package let plural: String
  /// As in objects, such as "Deployment".
  package let kind: String
  package let isNamespaced: Bool

  package init(
    group: String = "", version: String = "v1", plural: String, kind: String,
    isNamespaced: Bool = true
  ) {
    self.group = group
    self.version = version
    self.plural = plural
    self.kind = kind
    self.isNamespaced = isNamespaced
  }

  package var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }
  package var description: String { group.isEmpty ? plural : "\(plural).\(group)" }

  /// The path of a collection, an object or a subresource.
  func path(namespace: String?, name: String? = nil, subresource: String? = nil) -> String {
    var path = group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
    if let namespace { path += "/namespaces/\(PercentEncoding.encode(namespace))" }
    path += "/\(plural)"
    if let name { path += "/\(PercentEncoding.encode(name))" }
    if let subresource { path += "/\(subresource)" }
    return path
  }
}

extension ResourceKind {
  package static let namespaces = ResourceKind(
    plural: "namespaces", kind: "Namespace", isNamespaced: false)
  package static let pods = ResourceKind(plural: "pods", kind: "Pod")
  package static let services = ResourceKind(plural: "services", kind: "Service")
  package static let secrets = ResourceKind(plural: "secrets", kind: "Secret")
  package static let configMaps = ResourceKind(plural: "configmaps", kind: "ConfigMap")
  package static let events = ResourceKind(plural: "events", kind: "Event")
  package static let nodes = ResourceKind(plural: "nodes", kind: "Node", isNamespaced: false)
  package static let persistentVolumeClaims = ResourceKind(
    plural: "persistentvolumeclaims", kind: "PersistentVolumeClaim")
  package static let persistentVolumes = ResourceKind(
    plural: "persistentvolumes", kind: "PersistentVolume", isNamespaced: false)
  package static let resourceQuotas = ResourceKind(plural: "resourcequotas", kind: "ResourceQuota")
  package static let serviceAccounts = ResourceKind(
    plural: "serviceaccounts", kind: "ServiceAccount")
  package static let deployments = ResourceKind(
    group: "apps", plural: "deployments", kind: "Deployment")
  package static let replicaSets = ResourceKind(
    group: "apps", plural: "replicasets", kind: "ReplicaSet")
  package static let statefulSets = ResourceKind(
    group: "apps", plural: "statefulsets", kind: "StatefulSet")
  package static let jobs = ResourceKind(group: "batch", plural: "jobs", kind: "Job")
  package static let ingresses = ResourceKind(
    group: "networking.k8s.io", plural: "ingresses", kind: "Ingress")
  package static let ingressClasses = ResourceKind(
    group: "networking.k8s.io", plural: "ingressclasses", kind: "IngressClass",
    isNamespaced: false)
  package static let storageClasses = ResourceKind(
    group: "storage.k8s.io", plural: "storageclasses", kind: "StorageClass", isNamespaced: false)
  package static let roles = ResourceKind(
    group: "rbac.authorization.k8s.io", plural: "roles", kind: "Role")
  package static let roleBindings = ResourceKind(
    group: "rbac.authorization.k8s.io", plural: "rolebindings", kind: "RoleBinding")
}
