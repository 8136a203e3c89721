import JSON

extension ConfigurationRules {
  /// Throws where names of files and programs are not to be heeded.
  func check(_ what: String, remedy: String) throws(ClusterConfigurationError) {
    guard allowsFilesAndPrograms else {
      throw ClusterConfigurationError(
        "\(what), which is of the machine that the kubeconfig comes from; \(remedy)")
    }
  }
}

extension ClusterConfiguration {
  /// A kubeconfig of this cluster and this user, and of nothing else: every program that reads it finds
  /// the same in it. Nil where the credential is a file or a program.
  package func standaloneKubeconfig() -> String? {
    var user = JSONObject()
    switch credential {
    case .anonymous: break
    case .token(let token): user["token"] = .string(token.value)
    case .clientCertificate(let certificate, let key):
      user["client-certificate-data"] = .string(PaddedBase64.encode(certificate))
      user["client-key-data"] = .string(PaddedBase64.encode(key.bytes))
    case .tokenFile, .plugin: return nil
    }
    var cluster = JSONObject()
    cluster["server"] = .string("\(server)")
    cluster["certificate-authority-data"] = authorities.map {
      .string(PaddedBase64.encode($0))
    }
    cluster["tls-server-name"] = tlsServerName.map { .string($0) }
    if trustsAnyServer { cluster["insecure-skip-tls-verify"] = true }
    let document: JSON = [
      "apiVersion": "v1", "kind": "Config", "current-context": .string(name),
      "clusters": [["name": .string(name), "cluster": .object(cluster)]],
      "users": [["name": .string(name), "user": .object(user)]],
      "contexts": [
        [
          "name": .string(name),
          "context": [
            "cluster": .string(name), "user": .string(name), "namespace": .string(namespace),
          ],
        ]
      ],
    ]
    // JSON is YAML too.
    return document.serializedText()
  }
}
