import Glibc

extension ClusterConfiguration {
  /// Where Kubernetes puts a pod's service account.
  package static let serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

  /// Whether this process runs in a pod that has a service account.
  package static func isInCluster(
    folder: String = serviceAccountFolder,
    environment: (String) -> String? = { name in getenv(name).map { String(cString: $0) } }
  ) -> Bool {
    environment("KUBERNETES_SERVICE_HOST") != nil && access("\(folder)/token", R_OK) == 0
  }

  /// The cluster whose pod this process runs in, as its service account. The token is read again as
  /// the kubelet rotates it.
  package static func inCluster(
    folder: String = serviceAccountFolder,
    environment: (String) -> String? = { name in getenv(name).map { String(cString: $0) } }
  ) throws(ClusterConfigurationError) -> ClusterConfiguration {
    guard let host = environment("KUBERNETES_SERVICE_HOST"), !host.isEmpty else {
      throw ClusterConfigurationError(
        "KUBERNETES_SERVICE_HOST is not set: this process does not run in a pod; give a kubeconfig")
    }
    let portText = environment("KUBERNETES_SERVICE_PORT") ?? "443"
    guard let port = UInt16(portText), port > 0 else {
      throw ClusterConfigurationError("KUBERNETES_SERVICE_PORT \"\(portText)\" is not a port")
    }
    let tokenFile = "\(folder)/token"
    guard access(tokenFile, R_OK) == 0 else {
      throw ClusterConfigurationError(
        "\(tokenFile) cannot be read; set automountServiceAccountToken on the pod")
    }
    var configuration = ClusterConfiguration(
      name: "in-cluster", server: ServerAddress(host: host, port: port),
      credential: .tokenFile(path: tokenFile))
    configuration.authorities = try BoundedFile.read(
      "\(folder)/ca.crt", what: "the cluster's authority")
    if let bytes = try? BoundedFile.read("\(folder)/namespace", what: "namespace") {
      let name = String(decoding: bytes, as: UTF8.self).trimmingWhiteSpace()
      if !name.isEmpty { configuration.namespace = String(name) }
    }
    return configuration
  }
}
