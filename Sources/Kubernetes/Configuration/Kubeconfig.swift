import Cryptography
import Glibc
import Yams

/// One or more kubeconfig files as they stand, merged as kubectl does: of a name that occurs twice,
/// and of the current context, the first counts.
package struct Kubeconfig {
  /// A section's named entries, in the file's words, and the folder that its paths start from.
  private struct Entry {
    let fields: Node.Mapping
    let folder: String
    let file: String
  }

  private var clusters: [String: Entry] = [:]
  private var users: [String: Entry] = [:]
  private var contexts: [String: Entry] = [:]
  private var currentContext: String?
  private var files: [String] = []

  package private(set) var contextNames: [String] = []

  private init() {}

  /// The files that kubectl would read: those of KUBECONFIG, or else ~/.kube/config.
  package static func defaultPaths(
    environment: (String) -> String? = { name in getenv(name).map { String(cString: $0) } }
  ) -> [String] {
    if let list = environment("KUBECONFIG"), !list.isEmpty {
      return list.split(separator: ":").map(String.init)
    }
    return environment("HOME").map { ["\($0)/.kube/config"] } ?? []
  }

  package static func load(_ paths: [String]) throws(ClusterConfigurationError) -> Kubeconfig {
    guard !paths.isEmpty else {
      throw ClusterConfigurationError("no kubeconfig is named; set KUBECONFIG to its path")
    }
    var merged = Kubeconfig()
    for path in paths {
      let bytes = try BoundedFile.read(path, what: "kubeconfig")
      let end = path.lastIndex(of: "/")
      let folder = end.map { String(path[..<$0]) } ?? "."
      try merged.add(String(decoding: bytes, as: UTF8.self), file: path, folder: folder)
    }
    return merged
  }

  /// - Parameter folder: where relative paths in the text start.
  package static func parse(
    _ text: String, file: String = "kubeconfig", folder: String = "."
  ) throws(ClusterConfigurationError) -> Kubeconfig {
    var parsed = Kubeconfig()
    try parsed.add(text, file: file, folder: folder)
    return parsed
  }

  private mutating func add(
    _ text: String, file: String, folder: String
  ) throws(ClusterConfigurationError) {
    let root: Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch {
      // Yams quotes the text around the mistake, which may be a key.
      throw ClusterConfigurationError("\(file) is not YAML")
    }
    guard let mapping = root?.mapping else {
      throw ClusterConfigurationError("\(file) is not a kubeconfig: it has no fields")
    }
    files.append(file)
    if let kind = mapping["kind"]?.string, kind != "Config" {
      throw ClusterConfigurationError("\(file) is a \(kind), not a kubeconfig (kind: Config)")
    }
    let place = (file: file, folder: folder)
    try Self.merge(mapping, "clusters", "cluster", place, into: &clusters)
    try Self.merge(mapping, "users", "user", place, into: &users)
    let names = try Self.merge(mapping, "contexts", "context", place, into: &contexts)
    contextNames += names
    if currentContext == nil, let current = mapping["current-context"]?.string, !current.isEmpty {
      currentContext = current
    }
  }

  @discardableResult
  private static func merge(
    _ root: Node.Mapping, _ section: String, _ inner: String,
    _ place: (file: String, folder: String), into entries: inout [String: Entry]
  ) throws(ClusterConfigurationError) -> [String] {
    guard let list = root[Node(section)], list.null == nil else { return [] }
    guard let sequence = list.sequence else {
      throw ClusterConfigurationError("\(place.file): \(section) is not a list")
    }
    var names: [String] = []
    for (index, item) in sequence.enumerated() {
      guard let name = item.mapping?["name"]?.string else {
        throw ClusterConfigurationError("\(place.file): \(section)[\(index)] has no name")
      }
      if entries[name] != nil { continue }
      names.append(name)
      entries[name] = Entry(
        fields: item.mapping?[Node(inner)]?.mapping ?? Node.Mapping([]), folder: place.folder,
        file: place.file)
    }
    return names
  }

  // MARK: One context

  /// The cluster and the user of `context`, or of the current context.
  package func configuration(
    context wanted: String? = nil, rules: ConfigurationRules = ConfigurationRules()
  ) throws(ClusterConfigurationError) -> ClusterConfiguration {
    guard let name = wanted ?? currentContext else {
      throw ClusterConfigurationError(
        "\(source) has no current-context; name one of: \(Self.list(contextNames))")
    }
    guard let context = contexts[name] else {
      throw ClusterConfigurationError(
        "\(source) has no context \"\(name)\"; it has: \(Self.list(contextNames))")
    }
    let clusterName = try Self.required(context, "cluster", "context \"\(name)\"")
    guard let cluster = clusters[clusterName] else {
      throw ClusterConfigurationError(
        "context \"\(name)\" names cluster \"\(clusterName)\", which \(source) does not have")
    }
    var configuration = try Self.cluster(cluster, clusterName, name, rules)
    if let user = context.fields["user"]?.string, !user.isEmpty {
      guard let entry = users[user] else {
        throw ClusterConfigurationError(
          "context \"\(name)\" names user \"\(user)\", which \(source) does not have")
      }
      configuration.credential = try Self.credential(entry, "user \"\(user)\"", rules)
    }
    if let namespace = context.fields["namespace"]?.string, !namespace.isEmpty {
      configuration.namespace = namespace
    }
    return configuration
  }

  private var source: String { files.joined(separator: ", ") }

  private static func list(_ names: [String]) -> String {
    names.isEmpty ? "none" : names.joined(separator: ", ")
  }

  private static func cluster(
    _ entry: Entry, _ clusterName: String, _ name: String, _ rules: ConfigurationRules
  ) throws(ClusterConfigurationError) -> ClusterConfiguration {
    let what = "cluster \"\(clusterName)\""
    let server = try ServerAddress(url: try required(entry, "server", what))
    var configuration = ClusterConfiguration(name: name, server: server, credential: .anonymous)
    if let proxy = entry.fields["proxy-url"]?.string, !proxy.isEmpty {
      throw ClusterConfigurationError(
        "\(what) has a proxy-url, which is not supported; give it a server that is reached directly"
      )
    }
    configuration.authorities = try pem(entry, "certificate-authority", what, rules)
    configuration.tlsServerName = entry.fields["tls-server-name"]?.string
    if entry.fields["insecure-skip-tls-verify"]?.bool == true {
      guard rules.allowsInsecureServers else {
        throw ClusterConfigurationError(
          """
          \(what) has insecure-skip-tls-verify, with which anyone on the way can read every secret; \
          give it certificate-authority-data instead, or allow insecure clusters in the configuration
          """)
      }
      configuration.trustsAnyServer = true
    }
    return configuration
  }

  private static func credential(
    _ user: Entry, _ what: String, _ rules: ConfigurationRules
  ) throws(ClusterConfigurationError) -> ClusterCredential {
    for name in ["username", "password", "auth-provider"] where user.fields[Node(name)] != nil {
      throw ClusterConfigurationError(
        "\(what) has \(name), which Kubernetes no longer takes; use a token, a client certificate "
          + "or an exec plugin")
    }
    let certificate = try pem(user, "client-certificate", what, rules)
    let key = try pem(user, "client-key", what, rules)
    switch (certificate, key) {
    case (let certificate?, let key?):
      return .clientCertificate(certificate: certificate, key: HiddenBytes(key))
    case (nil, nil): break
    default:
      throw ClusterConfigurationError(
        "\(what) has only one of client-certificate and client-key; both are needed")
    }
    if let token = user.fields["token"]?.string, !token.isEmpty {
      return .token(BearerToken(token))
    }
    if let path = user.fields["tokenFile"]?.string, !path.isEmpty {
      try rules.check("\(what) has tokenFile", remedy: "give it a token")
      return .tokenFile(path: absolute(path, user.folder))
    }
    if let plugin = user.fields["exec"]?.mapping {
      try rules.check(
        "\(what) has exec", remedy: "give it the token of a service account, or a certificate")
      return .plugin(try CredentialPlugin(plugin, what: what, folder: user.folder))
    }
    return .anonymous
  }

  /// `NAME-data` in base64, or the file that `NAME` names.
  private static func pem(
    _ entry: Entry, _ name: String, _ what: String, _ rules: ConfigurationRules
  ) throws(ClusterConfigurationError) -> [UInt8]? {
    if let data = entry.fields[Node("\(name)-data")]?.string, !data.isEmpty {
      do {
        // The decoder takes no padding.
        return try Base64.standard.decode(data.filter { !$0.isWhitespace && $0 != "=" })
      } catch {
        throw ClusterConfigurationError("\(what): \(name)-data is not base64")
      }
    }
    guard let path = entry.fields[Node(name)]?.string, !path.isEmpty else { return nil }
    try rules.check(
      "\(what) has \(name)", remedy: "give it \(name)-data (kubectl config view --raw --flatten)")
    return try BoundedFile.read(absolute(path, entry.folder), what: "\(what): \(name)")
  }

  static func absolute(_ path: String, _ folder: String) -> String {
    path.hasPrefix("/") ? path : "\(folder)/\(path)"
  }

  private static func required(
    _ entry: Entry, _ field: String, _ what: String
  ) throws(ClusterConfigurationError) -> String {
    guard let value = entry.fields[Node(field)]?.string, !value.isEmpty else {
      throw ClusterConfigurationError("\(what) in \(entry.file) has no \(field)")
    }
    return value
  }
}
