import JSON
import Kubernetes
import ProvisionerService
import Reactor

/// The certificate that cert-manager gets for a store's address, where the chart asks for one by its
/// Ingress. Each link of the chain Certificate, CertificateRequest, Order, Challenge says why the one
/// before it waits. Confined to its reactor.
final class StoreCertificates {
  private static let timeout = Duration.seconds(10)
  private static let ingress = "store"
  /// The annotations of an Ingress that name who issues its certificate.
  static let issuers = ["cert-manager.io/issuer", "cert-manager.io/cluster-issuer"]
  private static let certificates = kind("cert-manager.io", "certificates", "Certificate")
  /// What is made for a certificate, in order.
  private static let chain = [
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
      guard let certificate = try await find(Self.certificates, name, site, deadline) else {
        return StoreCondition(
          .certificateReady, false, "CertificateMissing",
          "cert-manager has made no Certificate \(name) yet")
      }
      if certificate.condition("Ready")?.isTrue == true {
        return StoreCondition(.certificateReady, true, "Issued")
      }
      var links = [certificate]
      for kind in Self.chain {
        guard let next = try await newest(kind, of: links[links.count - 1], deadline) else { break }
        links.append(next)
      }
      return StoreCondition(
        .certificateReady, false, Self.reason(links[links.count - 1]),
        links.map(Self.words).joined(separator: "; "))
    } catch {
      throw ProvisionFailure(error)
    }
  }

  /// The name of the certificate that the Ingress asks an issuer for, which is its Secret's.
  private func wanted(
    _ site: StoreSite, _ deadline: Instant
  ) async throws(KubernetesError) -> String? {
    guard let ingress = try await find(.ingresses, Self.ingress, site, deadline),
      Self.issuers.contains(where: { ingress.annotations[$0] != nil })
    else { return nil }
    return ingress["spec", "tls"]?.array?.first?["secretName"]?.string
  }

  private func find(
    _ kind: ResourceKind, _ name: String, _ site: StoreSite, _ deadline: Instant
  ) async throws(KubernetesError) -> KubernetesObject? {
    do throws(KubernetesError) {
      return try await kubernetes.get(
        kind, namespace: site.namespace, name: name, deadline: deadline)
    } catch {
      // Of the object, or of the kind, where there is no cert-manager.
      if error.kind == .notFound { return nil }
      throw error
    }
  }

  private func newest(
    _ kind: ResourceKind, of owner: KubernetesObject, _ deadline: Instant
  ) async throws(KubernetesError) -> KubernetesObject? {
    let all: [KubernetesObject]
    do throws(KubernetesError) {
      all = try await kubernetes.listAll(
        kind, ObjectSelection(namespace: owner.namespace), deadline: deadline
      ).objects
    } catch {
      if error.kind == .notFound { return nil }
      throw error
    }
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
