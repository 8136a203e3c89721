import HTTP
import JSON
import Kubernetes
import ProvisionerService
import Reactor

/// Checks of one cluster, one after another until the deadline.
struct ClusterPreflight {
  /// A namespace that is not there: what is granted in it is granted in those that stores will get.
  private static let anyNamespace = "store-0000000000000000"

  let kubernetes: KubernetesClient
  let needs: ClusterNeeds
  let deadline: Instant

  func run() async -> ClusterInspection {
    let version: JSON
    do throws(KubernetesError) {
      version = try await get("/version")
    } catch {
      return ClusterInspection([Self.unreachable(error)])
    }
    let groups: Set<String>
    do throws(KubernetesError) {
      groups = try await apiGroups()
    } catch {
      // Who may not even ask for this is nobody the server knows.
      return ClusterInspection([Self.unreachable(error)])
    }
    var uid: String?
    var passing: String?
    do throws(KubernetesError) {
      uid = try await ClusterIdentity.read(kubernetes, deadline: deadline)
    } catch {
      if !ClusterIdentity.isHidden(error) { passing = error.message }
    }
    let findings = [
      ClusterFinding(
        .connection, .passed, "the API server at \(kubernetes.configuration.server) answers"),
      self.version(version["gitVersion"]?.string ?? ""),
      await permissions(),
      await storage(),
      await ingress(groups),
      networkPolicy(groups),
    ]
    return ClusterInspection(findings, uid: uid, passing: passing)
  }

  // MARK: Connection and version

  private static func unreachable(_ error: KubernetesError) -> ClusterFinding {
    let remedy =
      switch error.kind {
      case .unauthorized, .forbidden:
        "give a kubeconfig whose token or certificate the cluster takes"
      case .configuration: "correct the kubeconfig"
      default: "see that the provisioner reaches the address and that the certificate is right"
      }
    return ClusterFinding(
      .connection, .failed, "the API server does not answer us: \(error.message)", remedy: remedy)
  }

  private func version(_ text: String) -> ClusterFinding {
    guard let found = KubernetesVersion(text) else {
      return ClusterFinding(
        .version, .warning, "the server calls its version '\(text.prefix(40))'",
        remedy: "see that it is a Kubernetes of a supported version")
    }
    guard let needed = needs.version, found < needed else {
      return ClusterFinding(.version, .passed, "Kubernetes \(text.prefix(40))")
    }
    return ClusterFinding(
      .version, .failed, "Kubernetes \(text.prefix(40)) is older than the chart takes (\(needed))",
      remedy: "upgrade the cluster")
  }

  private func apiGroups() async throws(KubernetesError) -> Set<String> {
    let list = try await get("/apis")
    return Set((list["groups"]?.array ?? []).compactMap { $0["name"]?.string })
  }

  // MARK: Permissions

  private func permissions() async -> ClusterFinding {
    let needed = ClusterRight.needed(for: needs)
    do throws(KubernetesError) {
      let rules = try await review(
        "SelfSubjectRulesReview", ["namespace": .string(Self.anyNamespace)])
      var missing = needed.filter { right in
        !(rules["resourceRules"]?.array ?? []).contains { right.isGranted(by: $0) }
      }
      // The list may be incomplete: some authorizers answer questions only.
      if rules["incomplete"]?.bool == true { missing = try await denied(missing) }
      guard !missing.isEmpty else {
        return ClusterFinding(
          .permissions, .passed, "all \(needed.count) rights that stores take are there")
      }
      let remedy = "bind its user to a ClusterRole like the provisioner's in helm/storeplane"
      if missing.allSatisfy(\.isOptional) {
        var unseen: [String] = []
        for words in missing.compactMap(\.unseen) where !unseen.contains(words) {
          unseen.append(words)
        }
        return ClusterFinding(
          .permissions, .warning,
          "\(unseen.joined(separator: ", and ")) cannot be seen; rights are missing: "
            + ClusterRight.told(missing), remedy: remedy)
      }
      return ClusterFinding(
        .permissions, .failed, "rights are missing: \(ClusterRight.told(missing))", remedy: remedy)
    } catch {
      return ClusterFinding(
        .permissions, .failed, "rights cannot be asked for: \(error.message)",
        remedy: "let its user create selfsubjectrulesreviews (system:basic-user)")
    }
  }

  /// Those of `rights` that we do not have, each asked for.
  private func denied(
    _ rights: [ClusterRight]
  ) async throws(KubernetesError) -> [ClusterRight] {
    var denied: [ClusterRight] = []
    for right in rights {
      let attributes: JSON = [
        "group": .string(right.group), "resource": .string(right.resource),
        "subresource": .string(right.subresource), "verb": .string(right.verb),
        "namespace": .string(right.isOfNamespace ? Self.anyNamespace : ""),
      ]
      let status = try await review(
        "SelfSubjectAccessReview", ["resourceAttributes": attributes])
      if status["allowed"]?.bool != true { denied.append(right) }
    }
    return denied
  }

  private func review(_ kind: String, _ spec: JSON) async throws(KubernetesError) -> JSON {
    let reviews = ResourceKind(
      group: "authorization.k8s.io", plural: kind.lowercased() + "s", kind: kind,
      isNamespaced: false)
    let answer = try await kubernetes.create(reviews, ["spec": spec], deadline: deadline)
    return answer.json["status"] ?? .null
  }

  // MARK: Storage

  private func storage() async -> ClusterFinding {
    let isNeeded = needs.needsDefaultStorageClass || !needs.storageClasses.isEmpty
    do throws(KubernetesError) {
      let classes = try await kubernetes.listAll(.storageClasses, deadline: deadline).objects
      let missing = needs.storageClasses.filter { name in !classes.contains { $0.name == name } }
      if let name = missing.first {
        return ClusterFinding(
          .storage, .failed, "there is no storage class '\(name)', which the chart's values name",
          remedy: "make it, or name another one in CHART_VALUES_FILES")
      }
      let defaults = classes.filter { object in
        Self.isDefault(object, "storageclass.kubernetes.io/is-default-class")
          || Self.isDefault(object, "storageclass.beta.kubernetes.io/is-default-class")
      }
      if needs.needsDefaultStorageClass, defaults.isEmpty {
        return ClusterFinding(
          .storage, .failed, "no storage class is the default one",
          remedy: "make one the default (annotation storageclass.kubernetes.io/is-default-class), "
            + "or name one in CHART_VALUES_FILES")
      }
      let names = needs.storageClasses + defaults.map { "\($0.name) (default)" }
      return ClusterFinding(
        .storage, .passed,
        isNeeded ? "storage classes: \(names.joined(separator: ", "))" : "no volumes are asked for")
    } catch {
      return Self.unknown(.storage, "storage classes", error)
    }
  }

  private static func isDefault(_ object: KubernetesObject, _ annotation: String) -> Bool {
    object["metadata", "annotations", .key(annotation)]?.string == "true"
  }

  // MARK: Ingress

  private func ingress(_ groups: Set<String>) async -> ClusterFinding {
    if needs.needsGatewayAPI, !groups.contains("gateway.networking.k8s.io") {
      return ClusterFinding(
        .ingress, .failed, "the chart's values ask for HTTPRoutes, and there is no Gateway API",
        remedy: "install the Gateway API and a controller, or use an Ingress")
    }
    guard needs.needsIngress else {
      return needs.needsGatewayAPI
        ? ClusterFinding(.ingress, .passed, "the Gateway API is there")
        : ClusterFinding(
          .ingress, .warning, "the chart's values ask for neither Ingress nor HTTPRoute",
          remedy: "stores cannot be verified unless something else leads to them")
    }
    do throws(KubernetesError) {
      let classes = try await kubernetes.listAll(.ingressClasses, deadline: deadline).objects
      return ingress(classes)
    } catch {
      return Self.unknown(.ingress, "ingress classes", error)
    }
  }

  private func ingress(_ classes: [KubernetesObject]) -> ClusterFinding {
    let name = needs.ingressClass
    if !name.isEmpty {
      return classes.contains { $0.name == name }
        ? ClusterFinding(.ingress, .passed, "ingress class \(name)")
        : ClusterFinding(
          .ingress, .failed, "there is no ingress class '\(name)', which the chart's values name",
          remedy: "install its controller, or name another one in CHART_VALUES_FILES")
    }
    if classes.isEmpty {
      return ClusterFinding(
        .ingress, .failed, "there is no ingress class",
        remedy: "install an ingress controller, or have HTTPRoutes made (httpRoute.enabled)")
    }
    let isDefault = classes.first {
      Self.isDefault($0, "ingressclass.kubernetes.io/is-default-class")
    }
    if let isDefault {
      return ClusterFinding(.ingress, .passed, "ingress class \(isDefault.name) (default)")
    }
    return ClusterFinding(
      .ingress, .warning,
      "no ingress class is the default one (\(classes.map(\.name).joined(separator: ", ")))",
      remedy: "name one in CHART_VALUES_FILES (ingress.className), unless a controller takes "
        + "Ingresses without one")
  }

  // MARK: Network policies

  /// Networks that enforce policies, by the API group that each serves.
  private static let enforcing = [
    ("crd.projectcalico.org", "Calico"), ("projectcalico.org", "Calico"),
    ("cilium.io", "Cilium"), ("crd.antrea.io", "Antrea"), ("k8s.ovn.org", "OVN-Kubernetes"),
    ("kubeovn.io", "Kube-OVN"),
  ]

  /// Nothing in the API says whether policies are enforced. A network that does and shows itself is
  /// recognized; of any other nothing is claimed.
  private func networkPolicy(_ groups: Set<String>) -> ClusterFinding {
    if !needs.needsNetworkPolicies {
      return ClusterFinding(
        .networkPolicy, .warning, "the chart's values ask for no network policies",
        remedy: "set networkPolicy.enabled, or stores can reach each other")
    }
    if let (_, name) = Self.enforcing.first(where: { groups.contains($0.0) }) {
      return ClusterFinding(
        .networkPolicy, .passed, "\(name) is installed, which enforces network policies")
    }
    return ClusterFinding(
      .networkPolicy, .warning, "whether network policies are enforced is not known",
      remedy: "see that the cluster's network enforces them; with one that does not, stores can "
        + "reach each other's databases")
  }

  // MARK: Shared parts

  private static func unknown(
    _ check: ClusterFinding.Check, _ what: String, _ error: KubernetesError
  ) -> ClusterFinding {
    ClusterFinding(
      check, .warning, "\(what) cannot be listed: \(error.message)",
      remedy: "let the kubeconfig's user list them, and check again")
  }

  private func get(_ path: String) async throws(KubernetesError) -> JSON {
    let bytes = try await kubernetes.raw(.get, path: path, deadline: deadline)
    do {
      return try JSON(parsing: bytes)
    } catch {
      throw KubernetesError(.badAnswer, "\(path) is not JSON: \(error)")
    }
  }
}
