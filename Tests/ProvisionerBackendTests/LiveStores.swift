import CLinux
import Configuration
import Foundation
import Glibc
import JSON
import Kubernetes
import ProvisionerService
import PythonPeer
import Reactor

@testable import ProvisionerBackend

/// The real cluster that the tests make stores in, where STOREPLANE_TEST_KUBECONFIG names one:
/// that of `scripts/cluster`, with its images, and its ingress at STOREPLANE_TEST_INGRESS
/// (127.0.0.1:8880 unless given).
enum LiveStores {
  static let kubeconfig: String? = {
    let path = ProcessInfo.processInfo.environment["STOREPLANE_TEST_KUBECONFIG"]
    if path == nil {
      print("STOREPLANE_TEST_KUBECONFIG is not set: tests against a real cluster are left out")
    }
    return path
  }()

  static var isThere: Bool { kubeconfig != nil && Checkout.hasHelm }

  static let ingress: HostPort = {
    let text = ProcessInfo.processInfo.environment["STOREPLANE_TEST_INGRESS"] ?? "127.0.0.1:8880"
    let parts = text.split(separator: ":")
    return HostPort(host: String(parts[0]), port: UInt16(parts[1]) ?? 0)
  }()

  /// A backend and what it needs. Confined to its reactor.
  struct Parts {
    let backend: KubernetesStoreBackend
    let kubernetes: KubernetesClient
    let config: ConfigPeer
    let site: StoreSite
  }

  /// Runs `body` with a backend and a store that is not there yet; what is left of it goes afterwards.
  static func withBackend(
    title: String = "Tea & \"Cups\"", pluginPath: String = "/woocommerce.zip",
    values: JSONObject = JSONObject(), engine: StoreEngine = .woocommerce,
    helmKubeconfig: String? = nil, patience: RolloutPatience = RolloutPatience(),
    objects: ObjectStorePeer? = nil,
    helm change: (inout HelmWorkerSettings) -> Void = { _ in },
    _ body: @Sendable (isolated Reactor, Parts) async throws -> Void
  ) async throws {
    let database = try await ConfigPeer.database.value
    var helm = HelmWorkerSettings(program: Checkout.worker, library: Checkout.helmLibrary ?? "")
    change(&helm)
    var settings = try settings(pluginPath: pluginPath, values: values, helm: helm)
    if let helmKubeconfig { settings.value.kubeconfig = helmKubeconfig }
    settings.value.patience = patience
    settings.value.objectStore = try objects?.access()
    let (given, peer) = settings
    try await onReactor { reactor in
      let blocking = BlockingPool()
      let kubernetes = KubernetesClient(
        reactor: reactor, configuration: try Kubeconfig.load([kubeconfig ?? ""]).configuration(),
        blocking: blocking)
      let config = try ConfigPeer(reactor, database)
      let backend = try KubernetesStoreBackend(
        given, kubernetes: kubernetes, config: config.secrets, reactor: reactor,
        blocking: blocking, logger: quiet)
      var generator = SystemRandomNumberGenerator()
      let store = StoreID.make(using: &generator)
      let parts = Parts(
        backend: backend, kubernetes: kubernetes, config: config,
        site: site(
          store, tenant: try await config.newTenant(on: reactor), title: title,
          namespace: "backend-test-\(store)", engine: engine))
      var thrown: (any Error)?
      do { try await body(reactor, parts) } catch { thrown = error }
      try? await kubernetes.delete(.namespaces, name: parts.site.namespace, deadline: .soon)
      await backend.close()
      await config.close()
      kubernetes.close()
      if let thrown { throw thrown }
    }
    withExtendedLifetime(peer) {}
  }

  static func settings(
    pluginPath: String = "/woocommerce.zip", values: JSONObject = JSONObject(),
    helm: HelmWorkerSettings
  ) throws -> (value: BackendSettings, peer: PythonServer) {
    let address = try ownAddress()
    let peer = try PythonServer("Tests/ProvisionerBackendTests/Peers/plugin_server.py", [address])
    var settings = BackendSettings(
      chart: Checkout.chart, kubeconfig: kubeconfig ?? "", helm: helm,
      address: HostURLTemplate(scheme: "http", port: ingress.port))
    let plugin: JSON = [
      "woocommerce": ["pluginSource": .string("http://\(address):\(peer.port)\(pluginPath)")]
    ]
    let chartValues = ReleaseValues.merged(
      ReleaseValues.merged(
        try ValuesFile.load([Checkout.localValues]), plugin.object ?? JSONObject()), values)
    settings.chartValues = { chartValues }
    settings.ingress = ingress
    return (settings, peer)
  }

  /// Where the cluster's pods reach this machine: the address that it has on the way to them.
  static func ownAddress() throws -> String {
    let host = try Kubeconfig.load([kubeconfig ?? ""]).configuration().server.host
    let probe = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    defer { Glibc.close(probe) }
    var target = sockaddr_in()
    target.sin_family = sa_family_t(AF_INET)
    target.sin_port = UInt16(9).bigEndian
    inet_pton(AF_INET, host, &target.sin_addr)
    var own = sockaddr_in()
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &target) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = connect(probe, $0, size) }
    }
    withUnsafeMutablePointer(to: &own) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        _ = getsockname(probe, $0, &size)
      }
    }
    var text = [CChar](repeating: 0, count: 64)
    inet_ntop(AF_INET, &own.sin_addr, &text, socklen_t(text.count))
    return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
