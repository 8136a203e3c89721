import Testing

@testable import Kubernetes

private let sample = """
  apiVersion: v1
  kind: Config
  current-context: main
  clusters:
    - name: one
      cluster: {server: "https://api.example:6443/base/", certificate-authority-data: YWJjZA==}
    - name: insecure
      cluster: {server: "https://10.0.0.1", insecure-skip-tls-verify: true}
    - name: plain
      cluster: {server: "http://10.0.0.1"}
    - name: proxied
      cluster: {server: "https://10.0.0.1", proxy-url: "http://proxy"}
  users:
    - name: token
      user: {token: " abc "}
    - name: half
      user: {client-certificate-data: YWJj}
    - name: basic
      user: {username: a, password: hunter2}
    - name: file
      user: {tokenFile: token.txt}
    - name: broken
      user: {client-key-data: "***", client-certificate-data: YWJj}
  contexts:
    - {name: main, context: {cluster: one, user: token, namespace: shop}}
    - {name: half, context: {cluster: one, user: half}}
    - {name: basic, context: {cluster: one, user: basic}}
    - {name: file, context: {cluster: one, user: file}}
    - {name: broken, context: {cluster: one, user: broken}}
    - {name: insecure, context: {cluster: insecure, user: token}}
    - {name: plain, context: {cluster: plain, user: token}}
    - {name: proxied, context: {cluster: proxied, user: token}}
    - {name: no-cluster, context: {cluster: nowhere, user: token}}
    - {name: no-user, context: {cluster: one, user: nobody}}
  """

@Suite struct KubeconfigTests {
  private func configuration(
    _ context: String? = nil, rules: ConfigurationRules = ConfigurationRules()
  ) throws -> ClusterConfiguration {
    try Kubeconfig.parse(sample, folder: "/conf").configuration(context: context, rules: rules)
  }

  @Test func readsTheCurrentContext() throws {
    let configuration = try configuration()
    #expect(configuration.name == "main")
    #expect(configuration.server.description == "https://api.example:6443/base")
    #expect(configuration.authorities == Array("abcd".utf8))
    #expect(configuration.namespace == "shop")
    guard case .token(let token) = configuration.credential else {
      Issue.record("no token")
      return
    }
    #expect(token.value == "abc")
  }

  @Test func showsNoSecret() throws {
    let configuration = try configuration()
    #expect(!"\(configuration)".contains("abc\""))
    #expect("\(BearerToken("abc"))" == "[token]")
    #expect("\(HiddenBytes([1, 2]))" == "[2 hidden bytes]")
    var dumped = ""
    dump(configuration.credential, to: &dumped)
    #expect(!dumped.contains("\"abc\""))
  }

  @Test func findsFilesBesideTheKubeconfig() throws {
    guard case .tokenFile(let path) = try configuration("file").credential else {
      Issue.record("no token file")
      return
    }
    #expect(path == "/conf/token.txt")
  }

  @Test(arguments: [
    ("absent", "has no context \"absent\"; it has: main, half"),
    ("no-cluster", "names cluster \"nowhere\""),
    ("no-user", "names user \"nobody\""),
    ("half", "only one of client-certificate and client-key"),
    ("basic", "has username, which Kubernetes no longer takes"),
    ("broken", "client-key-data is not base64"),
    ("insecure", "has insecure-skip-tls-verify"),
    ("plain", "is not an https:// URL"),
    ("proxied", "has a proxy-url"),
  ])
  func saysWhatIsWrong(context: String, words: String) {
    let error = #expect(throws: ClusterConfigurationError.self) { try configuration(context) }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    #expect(error?.description.contains("hunter2") == false)
  }

  @Test func standsAloneWithOneClusterAndOneUser() throws {
    let configuration = try configuration()
    let text = try #require(configuration.standaloneKubeconfig())
    #expect(!text.contains("hunter2") && !text.contains("insecure"))
    let again = try Kubeconfig.parse(text)
    #expect(again.contextNames == ["main"])
    let read = try again.configuration()
    #expect(read.server == configuration.server && read.authorities == configuration.authorities)
    #expect(read.namespace == "shop" && read.standaloneKubeconfig() == text)
    // A file is none of what stands alone.
    #expect(try self.configuration("file").standaloneKubeconfig() == nil)
  }

  @Test func heedsNoFilesWhereTheyAreNotOurs() throws {
    var rules = ConfigurationRules()
    rules.allowsFilesAndPrograms = false
    #expect(throws: Never.self) { try configuration(rules: rules) }
    let error = #expect(throws: ClusterConfigurationError.self) {
      try configuration("file", rules: rules)
    }
    #expect(error?.description.contains("user \"file\" has tokenFile") == true)
  }

  @Test func takesInsecureServersWhereAllowed() throws {
    var rules = ConfigurationRules()
    rules.allowsInsecureServers = true
    let configuration = try configuration("insecure", rules: rules)
    #expect(configuration.trustsAnyServer)
    #expect(configuration.server.port == 443)
  }

  @Test(arguments: ["", "- a\n- b", "kind: Pod", "clusters: 3", "clusters: [{}]", "a: [", "\u{1}"])
  func refusesWhatIsNoKubeconfig(text: String) {
    #expect(throws: ClusterConfigurationError.self) { try Kubeconfig.parse(text).configuration() }
  }

  @Test func mergesFilesTheFirstFirst() throws {
    let folder = try TemporaryFolder()
    let first = try folder.write(
      "first",
      """
      clusters: [{name: one, cluster: {server: "https://first"}}]
      contexts: [{name: extra, context: {cluster: one, user: token}}]
      """)
    let second = try folder.write("second", sample)
    let merged = try Kubeconfig.load([first, second])
    #expect(merged.contextNames.contains("extra"))
    #expect(try merged.configuration().server.host == "first")
    #expect(throws: ClusterConfigurationError.self) { try Kubeconfig.load(["/nonexistent/file"]) }
  }

  @Test func findsDefaultPaths() {
    let both = Kubeconfig.defaultPaths { $0 == "KUBECONFIG" ? "/a:/b" : "/home/x" }
    #expect(both == ["/a", "/b"])
    #expect(Kubeconfig.defaultPaths { $0 == "HOME" ? "/home/x" : nil } == ["/home/x/.kube/config"])
  }

  @Test(arguments: [
    ("https://[::1]:8443", "::1", 8443), ("https://[fd00::1]", "fd00::1", 443),
    ("https://10.0.0.1/", "10.0.0.1", 443),
  ])
  func readsAddresses(url: String, host: String, port: Int) throws {
    let address = try ServerAddress(url: url)
    #expect(address.host == host && Int(address.port) == port && address.isNumeric)
  }

  @Test(arguments: [
    "https://", "https://:1", "https://a:b", "https://a:0", "https://a:70000", "https://u@a",
    "https://a?x", "https://[::1", "ftp://a",
  ])
  func refusesAddresses(url: String) {
    #expect(throws: ClusterConfigurationError.self) { try ServerAddress(url: url) }
  }

  @Test func readsTheServiceAccount() throws {
    let folder = try TemporaryFolder()
    let environment = ["KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"]
    #expect(!ClusterConfiguration.isInCluster(folder: folder.path) { environment[$0] })
    #expect(throws: ClusterConfigurationError.self) {
      try ClusterConfiguration.inCluster(folder: folder.path) { environment[$0] }
    }
    try folder.write("token", "t\n")
    try folder.write("ca.crt", "pem")
    try folder.write("namespace", "storeplane\n")
    let configuration = try ClusterConfiguration.inCluster(folder: folder.path) { environment[$0] }
    #expect(configuration.namespace == "storeplane")
    #expect(configuration.server.host == "10.96.0.1")
    #expect(configuration.authorities == Array("pem".utf8))
    #expect(throws: ClusterConfigurationError.self) {
      try ClusterConfiguration.inCluster(folder: folder.path) { _ in nil }
    }
  }
}
