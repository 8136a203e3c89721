import Glibc
import JSON
import Yams

/// A program that hands out credentials (client.authentication.k8s.io/v1 and v1beta1), as the
/// managed clouds use.
package struct CredentialPlugin: Sendable {
  static let versions = [
    "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1",
  ]

  package let command: String
  let arguments: [String]
  let environment: [(name: String, value: String)]
  let apiVersion: String
  let providesClusterInfo: Bool
  /// What to tell the user where the program is missing.
  let installHint: String?

  init(
    _ fields: Node.Mapping, what: String, folder: String
  ) throws(ClusterConfigurationError) {
    guard let command = fields["command"]?.string, !command.isEmpty else {
      throw ClusterConfigurationError("\(what): exec has no command")
    }
    let version = fields["apiVersion"]?.string ?? ""
    guard Self.versions.contains(version) else {
      throw ClusterConfigurationError(
        "\(what): exec.apiVersion \"\(version)\" is not one of \(Self.versions.joined(separator: ", "))"
      )
    }
    if fields["interactiveMode"]?.string == "Always" {
      throw ClusterConfigurationError(
        "\(what): exec.interactiveMode Always needs a terminal, which a service does not have")
    }
    // A name is looked up in PATH; a relative path starts where the kubeconfig is.
    self.command = command.contains("/") ? Kubeconfig.absolute(command, folder) : command
    arguments = fields["args"]?.sequence?.compactMap(\.string) ?? []
    environment =
      fields["env"]?.sequence?.compactMap { pair in
        guard let name = pair.mapping?["name"]?.string else { return nil }
        return (name, pair.mapping?["value"]?.string ?? "")
      } ?? []
    apiVersion = version
    providesClusterInfo = fields["provideClusterInfo"]?.bool ?? false
    installHint = fields["installHint"]?.string
  }

  /// What a plugin answered.
  struct Answer: Sendable, Equatable {
    var token: BearerToken?
    var certificate: [UInt8]?
    var key: HiddenBytes?
    /// Seconds since 1970; nil where it holds until it is refused.
    var expiresAt: Int64?
  }

  /// Runs the program. Blocks: for a thread of a blocking pool.
  func ask(
    about cluster: ClusterConfiguration, limits: ChildProcess.Limits = ChildProcess.Limits()
  ) throws(ClusterConfigurationError) -> Answer {
    let info = information(about: cluster).serializedText()
    let process = ChildProcess(
      path: command, arguments: arguments,
      environment: environment + [(name: "KUBERNETES_EXEC_INFO", value: info)], limits: limits)
    let outcome = process.run()
    if let failure = outcome.failure { throw explain(failure, outcome.diagnostic, limits) }
    return try read(outcome.output)
  }

  private func information(about cluster: ClusterConfiguration) -> JSON {
    var specification: JSON = ["interactive": false]
    if providesClusterInfo {
      var fields = JSONObject()
      fields["server"] = .string(cluster.server.description)
      if let name = cluster.tlsServerName { fields["tls-server-name"] = .string(name) }
      if let authorities = cluster.authorities {
        fields["certificate-authority-data"] = .string(PaddedBase64.encode(authorities))
      }
      specification = ["interactive": false, "cluster": .object(fields)]
    }
    return [
      "apiVersion": .string(apiVersion), "kind": "ExecCredential", "spec": specification,
    ]
  }

  private func explain(
    _ failure: ChildProcess.Failure, _ diagnostic: [UInt8], _ limits: ChildProcess.Limits
  ) -> ClusterConfigurationError {
    let program = "credential plugin \(command)"
    let said = String(decoding: diagnostic, as: UTF8.self).trimmingWhiteSpace()
    let tail = said.isEmpty ? "" : ": \(said)"
    switch failure {
    case .notStarted(let code):
      let hint = installHint.map { "; \($0.trimmingWhiteSpace())" } ?? ""
      return ClusterConfigurationError(
        "\(program) cannot be started: \(String(cString: strerror(code)))\(hint)")
    case .deadlinePassed:
      return ClusterConfigurationError(
        "\(program) gave no answer within \(limits.deadlineMilliseconds) ms\(tail)")
    case .outputTooLarge:
      return ClusterConfigurationError(
        "\(program) printed more than \(limits.outputBytesMax) bytes")
    case .failed(let code):
      return ClusterConfigurationError("\(program) failed with exit code \(code)\(tail)")
    }
  }

  /// The output is a secret: errors name fields and never quote it.
  func read(_ output: [UInt8]) throws(ClusterConfigurationError) -> Answer {
    let program = "credential plugin \(command)"
    guard let json = try? JSON(parsing: output), json["kind"]?.string == "ExecCredential" else {
      throw ClusterConfigurationError("\(program) did not print an ExecCredential in JSON")
    }
    guard json["apiVersion"]?.string == apiVersion else {
      throw ClusterConfigurationError(
        "\(program) answered with another apiVersion than \(apiVersion), which was asked for")
    }
    var answer = Answer()
    if let token = json["status", "token"]?.string, !token.isEmpty {
      answer.token = BearerToken(token)
    }
    let certificate = json["status", "clientCertificateData"]?.string
    let key = json["status", "clientKeyData"]?.string
    guard (certificate == nil) == (key == nil) else {
      throw ClusterConfigurationError(
        "\(program) gave only one of clientCertificateData and clientKeyData")
    }
    answer.certificate = certificate.map { Array($0.utf8) }
    answer.key = key.map { HiddenBytes(Array($0.utf8)) }
    guard answer.token != nil || answer.certificate != nil else {
      throw ClusterConfigurationError("\(program) gave neither a token nor a certificate")
    }
    if let expiry = json["status", "expirationTimestamp"]?.string {
      guard let seconds = KubernetesTime.seconds(expiry) else {
        throw ClusterConfigurationError("\(program) gave an expirationTimestamp that is no time")
      }
      answer.expiresAt = seconds
    }
    return answer
  }
}
