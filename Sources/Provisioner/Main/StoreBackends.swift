import Configuration
import Contracts
import Foundation
import Kubernetes
import ProvisionerBackend
import ProvisionerService
import ServiceRuntime

/// What acts on clusters in this program.
enum StoreBackends {
  static func make(for service: Service) throws -> ProvisionerService.Clusters {
    let configuration = service.configuration
    let kubeconfig = configuration[PlatformSettings.kubeconfig]
    var settings = BackendSettings(
      chart: try existing(
        configuration[PlatformSettings.chartPath], "Chart.yaml", PlatformSettings.chartPath.key),
      kubeconfig: kubeconfig ?? "", helm: try helm(configuration),
      address: configuration[PlatformSettings.storeURL])
    let valuesFiles = configuration[PlatformSettings.chartValuesFiles]
    // A mistake in them is better known now than with the first store.
    _ = try ValuesFile.load(valuesFiles)
    settings.chartValues = { () throws(ValuesFile.Failure) in try ValuesFile.load(valuesFiles) }
    settings.ingress = configuration[PlatformSettings.ingressAddress]
    settings.objectStore = objectStore(configuration)
    settings.storesMax = configuration[PlatformSettings.provisionerWorkers]
    let own = try cluster(kubeconfig)
    let config = ConfigV1.SecretServiceClient(
      channel: try service.channel(
        to: .config, at: configuration[PlatformSettings.configAddress]))
    let secrets = ConfigClusterSecrets(config)
    let supervisor = HelmWorkerSupervisor(
      settings.helm, reactor: service.reactor, logger: service.logger)
    let connector = ClusterConnector(
      settings, own: own, secrets: secrets, config: config, supervisor: supervisor,
      reactor: service.reactor, blocking: service.blocking, logger: service.logger)
    let objects = try settings.objectStore.map {
      try ObjectStore($0, reactor: service.reactor, blocking: service.blocking)
    }
    let backends = ClusterBackends(config: config, objects: objects) {
      cluster, access throws(ProvisionFailure) in
      try await connector.connect(cluster, access)
    }
    service.onStop {
      await backends.close()
      await supervisor.close()
    }
    return ProvisionerService.Clusters(
      backend: backends,
      inspector: KubernetesClusterInspector(
        settings, own: own, reactor: service.reactor, blocking: service.blocking),
      secrets: secrets, retain: { await backends.retain($0) })
  }

  private static func objectStore(_ configuration: Configuration) -> ObjectStoreAccess? {
    guard let address = configuration[PlatformSettings.backupURL],
      let accessKey = configuration[PlatformSettings.backupAccessKey],
      let secretKey = configuration[PlatformSettings.backupSecretKey]
    else { return nil }
    return ObjectStoreAccess(
      address: address, bucket: configuration[PlatformSettings.backupBucket],
      region: configuration[PlatformSettings.backupRegion], accessKey: accessKey,
      secretKey: secretKey)
  }

  private static func cluster(_ kubeconfig: String?) throws -> ClusterConfiguration {
    if let kubeconfig { return try Kubeconfig.load([kubeconfig]).configuration() }
    guard ClusterConfiguration.isInCluster() else {
      throw StartError(
        "KUBECONFIG is not set, and this process does not run in a cluster: give it the path of a "
          + "kubeconfig")
    }
    return try ClusterConfiguration.inCluster()
  }

  private static func helm(_ configuration: Configuration) throws -> HelmWorkerSettings {
    let beside = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
      .deletingLastPathComponent().path
    return HelmWorkerSettings(
      program: try existing(
        configuration[PlatformSettings.helmWorkerPath] ?? "\(beside)/helm-worker", nil,
        PlatformSettings.helmWorkerPath.key),
      library: try existing(
        configuration[PlatformSettings.helmLibraryPath], nil, PlatformSettings.helmLibraryPath.key))
  }

  /// The path, absolute, if it is there; with `file` in it, where one is named.
  private static func existing(_ path: String, _ file: String?, _ key: String) throws -> String {
    let absolute = URL(fileURLWithPath: path).path
    let looked = file.map { "\(absolute)/\($0)" } ?? absolute
    guard FileManager.default.isReadableFile(atPath: looked) else {
      throw StartError("\(looked) cannot be read: set \(key) to where it is")
    }
    return absolute
  }
}
