import Contracts
import JSON
import Kubernetes
package import ProvisionerService
import RPC
import RPCCore
import Reactor

/// The credentials of one store. They show themselves nowhere by accident.
package struct CredentialSet: Sendable, CustomStringConvertible, CustomReflectable {
  /// By the key of the Secret.
  package let values: [String: String]
  private let names: CredentialNames

  package init(_ values: [String: String], of engine: StoreEngine) {
    self.values = values
    names = engine.credentials
  }

  package var administrator: (user: String, password: String) {
    (values[names.administrator] ?? "", values[names.administratorPassword] ?? "")
  }

  /// What must not be shown; the administrator's name is no secret.
  package var secrets: [String] {
    values.filter { $0.key != names.administrator }.map(\.value)
  }

  package var description: String { "[\(values.count) credentials]" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

/// The credentials that the config service keeps for each store, and the store's Secret made of them.
/// Confined to its reactor.
package final class StoreCredentials {
  /// Of the Secret that the chart is told as `existingSecret`.
  package static let secretName = "storeplane-credentials"
  static let timeout = Duration.seconds(25)

  private let config: ConfigV1.SecretServiceClient
  private let kubernetes: KubernetesClient

  init(config: ConfigV1.SecretServiceClient, kubernetes: KubernetesClient) {
    self.config = config
    self.kubernetes = kubernetes
  }

  /// The store's credentials; generated if it has none. A config service that is away is waited for.
  func ensure(
    _ site: StoreSite, deadline: Instant = .now() + timeout
  ) async throws(ProvisionFailure) -> CredentialSet {
    let names = site.engine.credentials
    let request = ConfigV1.EnsureStoreCredentialsRequest(
      tenant: site.tenant, store: site.store,
      credentials: names.generated.map {
        .init(name: $0.name, format: .alphanumeric, length: $0.length)
      }
    )
    let answer = try await Self.call(until: deadline) {
      try await self.config.ensureStoreCredentials(request, options: $0)
    }
    var values = [names.administrator: site.administrator]
    for credential in answer.credentials { values[credential.name] = credential.value }
    for (name, _) in names.generated where values[name]?.isEmpty ?? true {
      throw ProvisionFailure(.credentialsUnavailable, "the config service gave no \(name)")
    }
    return CredentialSet(values, of: site.engine)
  }

  func apply(_ site: StoreSite) async throws(ProvisionFailure) {
    let deadline = Instant.now() + Self.timeout
    let credentials = try await ensure(site, deadline: deadline)
    var data = JSONObject()
    for (name, value) in credentials.values.sorted(by: { $0.key < $1.key }) {
      data[name] = .string(PaddedBase64.encode(Array(value.utf8)))
    }
    var labels = JSONObject()
    labels[StoreNamespace.ownerLabel.key] = .string(StoreNamespace.ownerLabel.value)
    labels[StoreNamespace.storeLabel] = .string(site.store)
    let secret: JSON = [
      "type": "Opaque", "metadata": ["labels": .object(labels)], "data": .object(data),
    ]
    do throws(KubernetesError) {
      try await kubernetes.apply(
        .secrets, namespace: site.namespace, name: Self.secretName, secret, deadline: deadline)
    } catch {
      throw ProvisionFailure(error)
    }
  }

  func forget(_ site: StoreSite) async throws(ProvisionFailure) {
    try await Self.forget(site, config)
  }

  /// Needs no cluster.
  static func forget(
    _ site: StoreSite, _ config: ConfigV1.SecretServiceClient
  ) async throws(ProvisionFailure) {
    let request = ConfigV1.DeleteStoreCredentialsRequest(tenant: site.tenant, store: site.store)
    _ = try await call(until: .now() + timeout) {
      try await config.deleteStoreCredentials(request, options: $0)
    }
  }

  private static func call<R>(
    until deadline: Instant, _ body: (CallOptions) async throws -> R
  ) async throws(ProvisionFailure) -> R {
    do {
      let left = min(timeout, deadline - Instant.now())
      return try await body(CallOptions(timeout: left, waitForReady: true))
    } catch {
      if Task.isCancelled { throw ProvisionFailure(.cancelled) }
      let reason = (error as? RPCError)?.description ?? "\(error)"
      throw ProvisionFailure(.credentialsUnavailable, "the config service answered \(reason)")
    }
  }
}
