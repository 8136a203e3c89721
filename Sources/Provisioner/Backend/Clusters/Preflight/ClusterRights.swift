import JSON
import Kubernetes

/// What the provisioner, and Helm with it, may have to do on a cluster: what its ClusterRole in
/// helm/storeplane grants.
struct ClusterRight: Hashable, Sendable, CustomStringConvertible {
  let group: String
  let resource: String
  var subresource = ""
  let verb: String

  var description: String {
    let name = subresource.isEmpty ? resource : "\(resource)/\(subresource)"
    return "\(verb) \(group.isEmpty ? name : "\(name).\(group)")"
  }

  private static let volumes = ResourceKind.persistentVolumes.plural

  /// What cannot be seen without it; nil for what stores do not do without.
  var unseen: String? {
    if StoreCertificates.kinds.contains(where: { $0.group == group }) {
      return "whether stores have their certificates"
    }
    return resource == Self.volumes ? "whether the volumes of deleted stores are gone" : nil
  }

  var isOptional: Bool { unseen != nil }
  var isOfNamespace: Bool { resource != "namespaces" && resource != Self.volumes }

  static func needed(for needs: ClusterNeeds) -> [ClusterRight] {
    let watching = ["get", "list", "watch"]
    let all = watching + ["create", "update", "patch", "delete"]
    var rights: [ClusterRight] = []
    func add(_ group: String, _ resources: [String], _ verbs: [String], sub: String = "") {
      for resource in resources {
        rights += verbs.map {
          ClusterRight(group: group, resource: resource, subresource: sub, verb: $0)
        }
      }
    }
    add(
      "",
      [
        "namespaces", "secrets", "configmaps", "services", "serviceaccounts",
        "persistentvolumeclaims", "resourcequotas", "limitranges",
      ], all)
    add("", [volumes], ["list"])
    add("", ["pods"], watching + ["delete"])
    add("", ["pods"], ["get"], sub: "log")
    add("", ["pods"], ["get", "create"], sub: "exec")
    add("", ["events", "endpoints"], watching)
    add("apps", ["deployments", "statefulsets"], all)
    add("apps", ["replicasets"], watching)
    add("batch", ["jobs", "cronjobs"], all)
    add("networking.k8s.io", ["ingresses", "networkpolicies"], all)
    add("autoscaling", ["horizontalpodautoscalers"], all)
    add("policy", ["poddisruptionbudgets"], all)
    add("rbac.authorization.k8s.io", ["roles", "rolebindings"], all)
    if needs.needsGatewayAPI { add("gateway.networking.k8s.io", ["httproutes"], all) }
    if needs.needsMonitors { add("monitoring.coreos.com", ["servicemonitors"], all) }
    if needs.needsCertificates {
      for kind in StoreCertificates.kinds { add(kind.group, [kind.plural], ["get", "list"]) }
    }
    return rights
  }

  /// Whether a rule of a SelfSubjectRulesReview grants it, for objects of any name.
  func isGranted(by rule: JSON) -> Bool {
    func holds(_ field: String, _ wanted: String) -> Bool {
      (rule[.key(field)]?.array ?? []).contains { $0.string == "*" || $0.string == wanted }
    }
    let isOfNames = !(rule["resourceNames"]?.array ?? []).isEmpty
    let name = subresource.isEmpty ? resource : "\(resource)/\(subresource)"
    let isOfAnyResource =
      holds("resources", name)
      || !subresource.isEmpty && holds("resources", "*/\(subresource)")
    return !isOfNames && holds("verbs", verb) && holds("apiGroups", group) && isOfAnyResource
  }

  /// Lines such as `pods/exec: get, create`, for people; at most `linesMax`.
  static func told(_ rights: [ClusterRight], linesMax: Int = 12) -> String {
    var order: [String] = []
    var verbs: [String: [String]] = [:]
    for right in rights {
      let words = right.description.split(separator: " ", maxSplits: 1)
      let name = String(words[1])
      if verbs[name] == nil { order.append(name) }
      verbs[name, default: []].append(String(words[0]))
    }
    let lines = order.prefix(linesMax).map {
      "\($0): \(verbs[$0, default: []].joined(separator: ", "))"
    }
    let rest = order.count - lines.count
    return lines.joined(separator: "; ") + (rest > 0 ? "; and \(rest) kinds more" : "")
  }
}
