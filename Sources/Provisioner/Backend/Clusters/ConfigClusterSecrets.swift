package import Contracts
import Protobuf
package import ProvisionerService
import RPC
import RPCCore
import ServiceRuntime

/// The kubeconfigs of clusters as secrets of the platform in the config service. Confined to its reactor.
package final class ConfigClusterSecrets: ClusterSecrets {
  /// Pages of 500 secrets that are looked through at once.
  private static let pagesMax = 10

  private let config: ConfigV1.SecretServiceClient

  /// - Parameter config: a client of the config service, as the provisioner.
  package init(_ config: ConfigV1.SecretServiceClient) { self.config = config }

  package func keep(
    _ kubeconfig: ClusterKubeconfig, as name: String, timeout: Duration
  ) async throws {
    let request = ConfigV1.SetSecretRequest(
      name: name, payload: .value(kubeconfig.text), expectedVersion: 0)
    _ = try await config.setSecret(request, options: CallOptions(timeout: timeout))
  }

  package func kubeconfig(_ name: String, timeout: Duration) async throws -> String {
    let answer = try await config.accessSecret(
      .init(tenant: PlatformTenant.id, name: name), options: CallOptions(timeout: timeout))
    return String(decoding: answer.data, as: UTF8.self)
  }

  package func list(timeout: Duration) async throws -> [KeptKubeconfig] {
    var found: [KeptKubeconfig] = []
    var request = ConfigV1.ListSecretsRequest(pageSize: 500)
    for _ in 0..<Self.pagesMax {
      let page = try await config.listSecrets(request, options: CallOptions(timeout: timeout))
      found += page.secrets.filter { $0.name.hasPrefix(ClusterHandler.secretPrefix) }.map {
        KeptKubeconfig(name: $0.name, time: $0.createTime?.seconds ?? .max)
      }
      request.pageToken = page.nextPageToken
      if request.pageToken.isEmpty { break }
    }
    return found
  }

  package func forget(_ name: String, timeout: Duration) async throws {
    do {
      _ = try await config.deleteSecret(
        .init(name: name), options: CallOptions(timeout: timeout))
    } catch let error as RPCError where error.code == .notFound {
      // It is gone already.
    }
  }
}
