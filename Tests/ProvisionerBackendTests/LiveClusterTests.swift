import Contracts
import Foundation
import HTTP
import JSON
import Kubernetes
import ProvisionerService
import ProvisionerTestKit
import RPC
import Reactor
import Testing

@testable import ProvisionerBackend

/// The same API server as two clusters, for users with rights of their own.
@Suite(.enabled(if: LiveStores.isThere), .serialized, .timeLimit(.minutes(8)))
struct LiveClusterTests {
  /// Service accounts with their kubeconfigs. Confined to its reactor.
  private final class Accounts {
    private static let clusterRoles = ResourceKind(
      group: "rbac.authorization.k8s.io", plural: "clusterroles", kind: "ClusterRole",
      isNamespaced: false)
    private static let clusterRoleBindings = ResourceKind(
      group: "rbac.authorization.k8s.io", plural: "clusterrolebindings",
      kind: "ClusterRoleBinding", isNamespaced: false)

    let name = "clusters-test-" + String(UInt32.random(in: 0 ... .max), radix: 36)
    let kubernetes: KubernetesClient
    private var roles: [String] = []

    init(_ kubernetes: KubernetesClient) async throws {
      self.kubernetes = kubernetes
      try await kubernetes.apply(.namespaces, name: name, [:], deadline: .soon)
    }

    /// The kubeconfig of a new user with these rights.
    func make(_ account: String, _ rules: [JSON]) async throws -> String {
      let role = "\(name)-\(account)"
      roles.append(role)
      try await kubernetes.apply(
        .serviceAccounts, namespace: name, name: account, [:], deadline: .soon)
      try await kubernetes.apply(
        Self.clusterRoles, name: role, ["rules": .array(rules)], deadline: .soon)
      let binding: JSON = [
        "roleRef": [
          "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": .string(role),
        ],
        "subjects": [
          ["kind": "ServiceAccount", "name": .string(account), "namespace": .string(name)]
        ],
      ]
      try await kubernetes.apply(Self.clusterRoleBindings, name: role, binding, deadline: .soon)
      let request: JSON = [
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": ["expirationSeconds": 3600],
      ]
      let answer = try await kubernetes.raw(
        .post, path: "/api/v1/namespaces/\(name)/serviceaccounts/\(account)/token",
        body: request.serialized(), deadline: .soon)
      let token = try #require(JSON(parsing: answer)["status", "token"]?.string)
      return try kubeconfig(token, server: "\(kubernetes.configuration.server)")
    }

    func kubeconfig(_ token: String, server: String) throws -> String {
      var configuration = ClusterConfiguration(
        name: "second", server: try ServerAddress(url: server),
        credential: .token(BearerToken(token)))
      configuration.authorities = kubernetes.configuration.authorities
      return try #require(configuration.standaloneKubeconfig())
    }

    func remove() async {
      for role in roles {
        try? await kubernetes.delete(Self.clusterRoleBindings, name: role, deadline: .soon)
        try? await kubernetes.delete(Self.clusterRoles, name: role, deadline: .soon)
      }
      try? await kubernetes.delete(.namespaces, name: name, deadline: .soon)
    }
  }

  /// What the chart of the platform grants the provisioner.
  private static func chartRules() throws -> [JSON] {
    let path = Checkout.file("helm/storeplane/templates/provisioner-rbac.yaml")
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let begin = try #require(text.range(of: "\nrules:\n"))
    let end = try #require(text.range(of: "\n---\n"))
    let role = try ValuesFile.parse(String(text[begin.lowerBound..<end.lowerBound]), path)
    return try #require(role["rules"]?.array)
  }

  private func withAccounts(
    _ body: @Sendable (isolated Reactor, Accounts) async throws -> Void
  ) async throws {
    try await onReactor { reactor in
      let kubernetes = KubernetesClient(
        reactor: reactor,
        configuration: try Kubeconfig.load([LiveStores.kubeconfig ?? ""]).configuration(),
        blocking: BlockingPool())
      let accounts = try await Accounts(kubernetes)
      var thrown: (any Error)?
      do { try await body(reactor, accounts) } catch { thrown = error }
      await accounts.remove()
      kubernetes.close()
      if let thrown { throw thrown }
    }
  }

  @Test func checksFindWhatIsMissing() async throws {
    try await withAccounts { reactor, accounts in
      var settings = BackendSettings.forInspection
      let values = try ValuesFile.load([Checkout.localValues])
      settings.chartValues = { values }
      let own = accounts.kubernetes.configuration
      let inspector = KubernetesClusterInspector(
        settings, own: own, reactor: reactor, blocking: BlockingPool())
      let little = try inspector.read(
        try await accounts.make(
          "little",
          [["apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": ["get", "list"]]]),
        field: "kubeconfig")
      let refused = try await inspector.inspect(little, timeout: .seconds(20))
        .findings(expecting: nil)
      #expect(refused.map(\.check) == ClusterFinding.Check.allCases)
      #expect(refused.failures.map(\.check) == [.permissions])
      let missing = try #require(refused.failures.first)
      #expect(missing.message.contains("namespaces: watch, create, update, patch, delete;"))
      #expect(missing.message.contains("secrets: get, list, watch"))
      #expect(missing.remedy.contains("ClusterRole"))
      // Nobody lets it list these; that is no reason against the cluster.
      #expect(refused.filter { $0.outcome == .warning }.map(\.check).contains(.storage))

      let full = try inspector.read(
        try await accounts.make("full", Self.chartRules()), field: "kubeconfig")
      for kubeconfig in [full, nil] {
        let found = try await inspector.inspect(kubeconfig, timeout: .seconds(20))
          .findings(expecting: nil)
        #expect(found.failures.isEmpty, "\(found)")
        let outcomes = Dictionary(uniqueKeysWithValues: found.map { ($0.check, $0.outcome) })
        #expect(outcomes[.permissions] == .passed && outcomes[.version] == .passed)
        #expect(outcomes[.identity] == .passed)
        #expect(outcomes[.storage] == .passed && outcomes[.ingress] == .passed)
        // The node's bridge enforces nothing, and says nothing.
        #expect(outcomes[.networkPolicy] == .warning)
      }
      let stranger = try accounts.kubeconfig("no-such-token", server: "\(own.server)")
      let unknown = try await inspector.inspect(
        try inspector.read(stranger, field: "kubeconfig"), timeout: .seconds(20))
      #expect(unknown.uid == nil && unknown.findings.map(\.check) == [.connection])
      #expect(unknown.findings.first?.remedy.contains("token or certificate") == true)
    }
  }

  @Test func whatTheValuesNameMustBeThere() async throws {
    try await withAccounts { reactor, accounts in
      let blocking = BlockingPool()
      let values: JSON = [
        "mariadb": ["persistence": ["storageClass": "no-such-class"]],
        "ingress": ["className": "no-such-class"],
      ]
      var settings = BackendSettings.forInspection
      settings.chartValues = { values.object ?? JSONObject() }
      let inspector = KubernetesClusterInspector(
        settings, own: accounts.kubernetes.configuration, reactor: reactor, blocking: blocking)
      let found = try await inspector.inspect(nil, timeout: .seconds(20)).findings
      #expect(found.failures.map(\.check) == [.storage, .ingress])
      #expect(found.failures.allSatisfy { $0.message.contains("no-such-class") })
      settings.chartValues = {
        let route: JSON = ["httpRoute": ["enabled": true]]
        return route.object ?? JSONObject()
      }
      let routes = try await KubernetesClusterInspector(
        settings, own: accounts.kubernetes.configuration, reactor: reactor, blocking: blocking
      ).inspect(nil, timeout: .seconds(20)).findings
      #expect(routes.failures.map(\.check) == [.ingress])
    }
  }

  /// Nothing of any store is found on it, which must not pass for the end of a deletion.
  @Test func anotherClusterInTheStoresPlaceIsRefused() async throws {
    try await withAccounts { reactor, accounts in
      let own = accounts.kubernetes.configuration
      let uid = try #require(
        try await KubernetesClusterInspector(
          .forInspection, own: own, reactor: reactor, blocking: BlockingPool()
        ).inspect(nil, timeout: .seconds(20)).uid)
      let supervisor = HelmWorkerSupervisor(
        BackendSettings.forInspection.helm, reactor: reactor, logger: quiet)
      // Nobody answers: nothing here is asked of the config service.
      let channel = Channel(
        reactor: reactor, configuration: .init(), address: .ipv4(address: 0x7F00_0001, port: 9))
      let connector = ClusterConnector(
        .forInspection, own: own, secrets: FakeClusterRegister(),
        config: ConfigV1.SecretServiceClient(channel: channel), supervisor: supervisor,
        reactor: reactor, blocking: BlockingPool(), logger: quiet)
      let backends = ClusterBackends { cluster, access throws(ProvisionFailure) in
        try await connector.connect(cluster, access)
      }
      func site(_ uid: String?) -> StoreSite {
        StoreSite(
          store: "0123456789abcdef", tenant: "acme", name: "tea", engine: .woocommerce,
          cluster: ClusterName.own, clusterAccess: ClusterAccess(uid: uid),
          namespace: "\(accounts.name)-store", host: "tea.localhost",
          parameters: StoreParameters(), fence: 1)
      }
      let refused = await failure(ProvisionFailure.self) {
        try await backends.ensureNamespace(site("another"))
      }
      #expect(refused?.code == .clusterReplaced && refused?.verdict == .failed)
      #expect(refused?.problem.message.contains(uid) == false)
      #expect(refused?.diagnosis.contains(uid) == true && backends.openCount == 0)
      // A connection that was made before, and leads elsewhere by now.
      let misled = await failure(ProvisionFailure.self) {
        try await StoreNamespace(accounts.kubernetes, clusterUID: "another")
          .removal(of: site(nil), after: nil)
      }
      #expect(misled?.code == .clusterReplaced)
      for expected in [nil, uid] {
        #expect(try await backends.removalStatus(of: site(expected), after: nil).isDone)
      }
      await backends.close()
      await supervisor.close()
      channel.close()
    }
  }

  @Test func aStoreIsMadeOnTheSecondClusterWhileAThirdIsAway() async throws {
    let database = try await ConfigPeer.database.value
    let (settings, peer) = try LiveStores.settings(
      helm: HelmWorkerSettings(program: Checkout.worker, library: Checkout.helmLibrary ?? ""))
    try await withAccounts { reactor, accounts in
      let config = try ConfigPeer(reactor, database)
      let register = FakeClusterRegister()
      try await register.keep(
        ClusterKubeconfig(text: try await accounts.make("full", Self.chartRules()), server: ""),
        as: "second", timeout: .seconds(5))
      try await register.keep(
        ClusterKubeconfig(
          text: try accounts.kubeconfig("x", server: "https://127.0.0.1:1"), server: ""),
        as: "away", timeout: .seconds(5))
      let supervisor = HelmWorkerSupervisor(settings.helm, reactor: reactor, logger: quiet)
      let connector = ClusterConnector(
        settings, own: accounts.kubernetes.configuration, secrets: register,
        config: config.secrets, supervisor: supervisor, reactor: reactor,
        blocking: BlockingPool(), logger: quiet)
      let backends = ClusterBackends { cluster, access throws(ProvisionFailure) in
        try await connector.connect(cluster, access)
      }
      var generator = SystemRandomNumberGenerator()
      let store = StoreID.make(using: &generator)
      let tenant = try await config.newTenant(on: reactor)
      func site(on cluster: String) -> StoreSite {
        StoreSite(
          store: store, tenant: tenant, name: "tea", engine: .woocommerce, cluster: cluster,
          clusterAccess: ClusterAccess(secret: cluster), namespace: "\(accounts.name)-store",
          host: "\(store).localhost", parameters: StoreParameters(), fence: 1)
      }
      let away = await failure(ProvisionFailure.self) {
        try await backends.ensureNamespace(site(on: "away"))
      }
      #expect(away?.code == .clusterUnreachable && away?.verdict == .failed)

      let second = site(on: "second")
      try await backends.ensureNamespace(second)
      try await backends.applyCredentials(second)
      let release = try await backends.installRelease(second)
      #expect(release.revision == 1)
      var progress: BackendProgress?
      repeat {
        progress = try await backends.rolloutStatus(of: second, after: progress)
      } while progress?.isDone == false
      try await backends.uninstallRelease(second)
      try await backends.deleteNamespace(second)
      var removal: BackendProgress?
      repeat {
        removal = try await backends.removalStatus(of: second, after: removal)
      } while removal?.isDone == false
      try await backends.forgetCredentials(second)
      #expect(backends.openCount == 2)
      await backends.close()
      await supervisor.close()
      await config.close()
    }
    withExtendedLifetime(peer) {}
  }
}
