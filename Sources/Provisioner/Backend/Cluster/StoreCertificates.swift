import JSON
import Kubernetes
import ProvisionerService
import Reactor

/// The certificate that cert-manager gets for a store's address, where the chart asks for one by its
/// Ingress. Each link of the chain Certificate, CertificateRequest, Order, Challenge says why the one
/// before it waits. A store does without our seeing them. Confined to its reactor.
final class StoreCertificates {
  static let timeout = Duration.seconds(10)
  private static let ingress = "store"
  /// The annotations of an Ingress that name who issues its certificate.
  static let issuers = ["cert-manager.io/issuer", "cert-manager.io/cluster-issuer"]
  /// The certificate, and what is made for it, in order.
  static let kinds = [
    kind("cert-manager.io", "certificates", "Certificate"),
    kind("cert-manager.io", "certificaterequests", "CertificateRequest"),
    kind("acme.cert-manager.io", "orders", "Order"),
    kind("acme.cert-manager.io", "challenges", "Challenge"),
  ]

  private static func kind(_ group: String, _ plural: String, _ kind: String) -> ResourceKind {
    ResourceKind(group: group, plural: plural, kind: kind)
  }

  private let kubernetes: KubernetesClient

  init(_ kubernetes: KubernetesClient) { self.kubernetes = kubernetes }

  /// Nil where the store asks for none.
  func condition(_ site: StoreSite) async throws(ProvisionFailure) -> StoreCondition? {
    do throws(KubernetesError) {
      let deadline = Instant.now() + Self.timeout
      guard let name = try await wanted(site, deadline) else { return nil }
      let (links, missing) = try await links(name, site, deadline)
      guard let last = links.last else {
        return missing.map {
          .unknown(.certificateReady, "NotVisible", "it cannot be seen: we may not \($0)")
        }
          ?? StoreCondition(
            .certificateReady, false, "CertificateMissing",
            "cert-manager has made no Certificate \(name) yet")
      }
      if Self.isIssued(last) { return StoreCondition(.certificateReady, true, "Issued") }
      let rest = missing.map { ["what it waits for cannot be seen: we may not \($0)"] } ?? []
      return StoreCondition(
        .certificateReady, false, Self.reason(last),
        (links.map(Self.words) + rest).joined(separator: "; "))
    } catch {
      throw ProvisionFailure(error)
    }
  }

  /// The name of the certificate that the Ingress asks an issuer for, which is its Secret's.
  private func wanted(
    _ site: StoreSite, _ deadline: Instant
  ) async throws(KubernetesError) -> String? {
    let ingress: KubernetesObject
    do throws(KubernetesError) {
      ingress = try await kubernetes.get(
        .ingresses, namespace: site.namespace, name: Self.ingress, deadline: deadline)
    } catch {
      if error.kind == .notFound { return nil }
      throw error
    }
    guard Self.issuers.contains(where: { ingress.annotations[$0] != nil }) else { return nil }
    return ingress["spec", "tls"]?.array?.first?["secretName"]?.string
  }

  /// What there is of the chain, as far as a certificate is not issued, and the right without which no
  /// more of it is seen.
  private func links(
    _ name: String, _ site: StoreSite, _ deadline: Instant
  ) async throws(KubernetesError) -> ([KubernetesObject], missing: ClusterRight?) {
    var links: [KubernetesObject] = []
    for kind in Self.kinds {
      do throws(KubernetesError) {
        guard let last = links.last else {
          links.append(
            try await kubernetes.get(
              kind, namespace: site.namespace, name: name, deadline: deadline))
          continue
        }
        guard !Self.isIssued(last), let next = try await newest(kind, of: last, deadline) else {
          break
        }
        links.append(next)
      } catch {
        switch error.kind {
        // The object, or the kind, where there is no cert-manager.
        case .notFound: return (links, nil)
        case .forbidden:
          let verb = links.isEmpty ? "get" : "list"
          return (links, ClusterRight(group: kind.group, resource: kind.plural, verb: verb))
        default: throw error
        }
      }
    }
    return (links, nil)
  }

  private static func isIssued(_ link: KubernetesObject) -> Bool {
    link.kind == "Certificate" && link.condition("Ready")?.isTrue == true
  }

  private func newest(
    _ kind: ResourceKind, of owner: KubernetesObject, _ deadline: Instant
  ) async throws(KubernetesError) -> KubernetesObject? {
    let all = try await kubernetes.listAll(
      kind, ObjectSelection(namespace: owner.namespace), deadline: deadline
    ).objects
    return all.filter { object in
      object["metadata", "ownerReferences"]?.array?.contains { $0["uid"]?.string == owner.uid }
        ?? false
    }.max { ($0.createdAt ?? 0) < ($1.createdAt ?? 0) }
  }

  // MARK: Words

  /// Its kind and its state, such as `OrderInvalid`.
  private static func reason(_ link: KubernetesObject) -> String {
    let state = state(link)
    return link.kind + state.prefix(1).uppercased() + state.dropFirst()
  }

  /// Of what ACME asks for there is a state, of the others a condition.
  private static func state(_ link: KubernetesObject) -> String {
    let state = link["status", "state"]?.string ?? link.condition("Ready")?.reason ?? ""
    return state.isEmpty ? "Pending" : state
  }

  private static func words(_ link: KubernetesObject) -> String {
    let host = link["spec", "dnsName"]?.string.map { " for \($0)" } ?? ""
    let reason = link["status", "reason"]?.string ?? link.condition("Ready")?.message ?? ""
    let why = reason.isEmpty ? "" : ": \(reason.prefix(400))"
    return "\(link.kind) \(link.name)\(host) is \(state(link))\(why)"
  }
}
