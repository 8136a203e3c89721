import Configuration
import Contracts
import Foundation
import JSON
import Kubernetes
import ProvisionerService
import RPC
import RPCCore
import Reactor
import Testing

@testable import ProvisionerBackend

/// What clusters are checked for, and by which kubeconfigs; the checks themselves are in
/// `LiveClusterTests`.
@Suite struct PreflightTests {
  private static func needs(_ values: JSON = [:]) throws -> ClusterNeeds {
    try ClusterNeeds.read(chart: Checkout.chart, operatorValues: values.object ?? JSONObject())
  }

  @Test func theChartSaysWhatItNeeds() throws {
    let needs = try Self.needs()
    #expect(needs.version == KubernetesVersion("v1.20.0"))
    #expect(needs.needsDefaultStorageClass && needs.storageClasses.isEmpty)
    #expect(needs.needsIngress && needs.ingressClass.isEmpty && !needs.needsGatewayAPI)
    #expect(needs.needsNetworkPolicies)
  }

  @Test func theOperatorsValuesCount() throws {
    let named: JSON = ["persistence": ["storageClass": "fast"]]
    let needs = try Self.needs([
      "wordpress": named, "mariadb": named, "postgres": named,
      "redis": ["persistence": ["enabled": false]],
      "ingress": [
        "className": "nginx", "annotations": ["cert-manager.io/issuer": "ours"],
        "tls": ["enabled": true],
      ], "httpRoute": ["enabled": true],
      "networkPolicy": ["enabled": false],
    ])
    #expect(needs.storageClasses == ["fast"] && !needs.needsDefaultStorageClass)
    #expect(needs.ingressClass == "nginx" && needs.needsGatewayAPI && !needs.needsNetworkPolicies)
    #expect(try needs.needsCertificates && !Self.needs().needsCertificates)
  }

  @Test func versionsAreCompared() throws {
    let lowest = try #require(KubernetesVersion(minimumIn: ">=1.20.0-0"))
    #expect(KubernetesVersion("v1.19.16").map { $0 < lowest } == true)
    #expect(KubernetesVersion("v1.20.2").map { $0 < lowest } == false)
    #expect(KubernetesVersion("v1.101.1-gke.100").map { $0 < lowest } == false)
    #expect(KubernetesVersion("v2.0").map { $0 < lowest } == false)
    #expect(KubernetesVersion("today") == nil)
    #expect(KubernetesVersion(minimumIn: "~1.2") == nil)
  }

  private static func rule(
    _ groups: [JSON], _ resources: [JSON], _ verbs: [JSON], names: [JSON] = []
  ) -> JSON {
    [
      "apiGroups": .array(groups), "resources": .array(resources), "verbs": .array(verbs),
      "resourceNames": .array(names),
    ]
  }

  @Test func rulesGrantRights() {
    let secrets = ClusterRight(group: "", resource: "secrets", verb: "create")
    #expect(secrets.isGranted(by: Self.rule([""], ["secrets"], ["get", "create"])))
    #expect(secrets.isGranted(by: Self.rule(["*"], ["*"], ["*"])))
    #expect(!secrets.isGranted(by: Self.rule([""], ["secrets"], ["get"])))
    #expect(!secrets.isGranted(by: Self.rule(["apps"], ["secrets"], ["create"])))
    #expect(!secrets.isGranted(by: Self.rule([""], ["secrets"], ["create"], names: ["one"])))
    let exec = ClusterRight(group: "", resource: "pods", subresource: "exec", verb: "create")
    #expect(!exec.isGranted(by: Self.rule([""], ["pods"], ["create"])))
    #expect(exec.isGranted(by: Self.rule([""], ["*/exec"], ["create"])))
    #expect(exec.isGranted(by: Self.rule([""], ["pods/exec"], ["create"])))
    #expect(
      ClusterRight.told([secrets, exec]) == "secrets: create; pods/exec: create")
  }

  @Test func theProvisionersRoleGrantsAllThatIsAskedFor() throws {
    let path = Checkout.file("helm/storeplane/templates/provisioner-rbac.yaml")
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let begin = try #require(text.range(of: "\nrules:\n"))
    let end = try #require(text.range(of: "\n---\n"))
    let role = try ValuesFile.parse(
      String(text[begin.lowerBound..<end.lowerBound]), "provisioner-rbac.yaml")
    let rules = try #require(role["rules"]?.array)
    var needs = try Self.needs()
    needs.needsGatewayAPI = true
    needs.needsCertificates = true
    needs.needsMonitors = true
    let missing = ClusterRight.needed(for: needs).filter { right in
      !rules.contains { right.isGranted(by: $0) }
    }
    #expect(missing.isEmpty)
    // And what it grants beyond that is for the checks themselves.
    #expect(rules.count > 10)
  }

  /// What is found where every right is granted but `missing`, each asked for or listed.
  private func permissions(
    without missing: Set<String>, isIncomplete: Bool = false
  ) async throws -> ClusterFinding? {
    try await onReactor { reactor in
      var needs = try Self.needs()
      needs.needsCertificates = true
      let rules = ClusterRight.needed(for: needs).filter {
        !missing.contains($0.group) && !missing.contains($0.resource)
      }.map {
        let name = $0.subresource.isEmpty ? $0.resource : "\($0.resource)/\($0.subresource)"
        return Self.rule([.string($0.group)], [.string(name)], [.string($0.verb)])
      }
      let reviews = "POST /apis/authorization.k8s.io/v1/selfsubject"
      let cluster = ScriptedCluster()
      cluster.answers = [
        "GET /version": ["gitVersion": "v1.30.0"], "GET /apis": ["groups": []],
        "\(reviews)rulesreviews": [
          "status": ["resourceRules": .array(rules), "incomplete": .bool(isIncomplete)]
        ], "\(reviews)accessreviews": ["status": ["allowed": false]],
      ]
      let kubernetes = cluster.client(on: reactor)
      defer { kubernetes.close() }
      return await ClusterPreflight(kubernetes: kubernetes, needs: needs, deadline: .soon).run()
        .findings.first { $0.check == .permissions }
    }
  }

  @Test func rightsThatStoresDoWithoutAreAWarning() async throws {
    let managers: Set<String> = ["cert-manager.io", "acme.cert-manager.io"]
    let all = try await permissions(without: [])
    #expect(all?.outcome == .passed)
    for isIncomplete in [false, true] {
      let found = try await permissions(without: managers, isIncomplete: isIncomplete)
      #expect(found?.outcome == .warning && found?.remedy.contains("ClusterRole") == true)
      #expect(found?.message.contains("certificates.cert-manager.io: get, list") == true)
      #expect(found?.message.contains("challenges.acme.cert-manager.io") == true)
    }
    for isIncomplete in [false, true] {
      let found = try await permissions(without: ["persistentvolumes"], isIncomplete: isIncomplete)
      #expect(found?.outcome == .warning)
      #expect(
        found?.message == "whether the volumes of deleted stores are gone cannot be seen; "
          + "rights are missing: persistentvolumes: list")
    }
    // Not beside others.
    let more = try await permissions(without: managers.union(["batch"]))
    #expect(more?.outcome == .failed && more?.message.contains("jobs.batch") == true)
    #expect(more?.message.contains("orders.acme.cert-manager.io") == true)
  }

  private func read(_ kubeconfig: String) async throws -> (ClusterKubeconfig?, InvalidField?) {
    try await onReactor { reactor in
      let inspector = KubernetesClusterInspector(
        .forInspection, own: .nowhere, reactor: reactor, blocking: BlockingPool())
      do throws(InvalidField) {
        return (try inspector.read(kubeconfig, field: "kubeconfig"), nil)
      } catch {
        return (nil, error)
      }
    }
  }

  private static func kubeconfig(user: String, cluster: String = "") -> String {
    """
    {"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c",
    "cluster": {"server": "https://eu.example.com:6443"\(cluster)}}], "users": [{"name": "u", "user":
    {\(user)}}, {"name": "spy", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1",
    "command": "touch", "args": ["/tmp/x"]}}}],
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}
    """
  }

  @Test func aKubeconfigIsReducedToWhatItIsUsedFor() async throws {
    let (read, _) = try await read(
      Self.kubeconfig(
        user: #""token": "secret-token""#, cluster: #", "certificate-authority-data": "YWJj""#))
    let kubeconfig = try #require(read)
    #expect(kubeconfig.server == "https://eu.example.com:6443")
    #expect(!kubeconfig.text.contains("spy") && kubeconfig.text.contains("secret-token"))
    #expect(!"\(kubeconfig)".contains("token") && !String(reflecting: kubeconfig).contains("token"))
    let again = try Kubeconfig.parse(kubeconfig.text).configuration()
    #expect(again.authorities == Array("abc".utf8) && again.namespace == "default")
    #expect(again.standaloneKubeconfig() == kubeconfig.text)
  }

  @Test(arguments: [
    (#""tokenFile": "/etc/shadow""#, "", "tokenFile"),
    (#""client-certificate": "/c", "client-key": "/k""#, "", "client-certificate"),
    (#""exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh"}"#, "", "exec"),
    (#""token": "x""#, #", "certificate-authority": "/ca""#, "certificate-authority"),
    (#""token": "x""#, #", "insecure-skip-tls-verify": true"#, "insecure-skip-tls-verify"),
  ])
  func whatIsNotInAKubeconfigIsRefused(user: String, cluster: String, named: String) async throws {
    let (_, refused) = try await read(Self.kubeconfig(user: user, cluster: cluster))
    #expect(refused?.path == "kubeconfig")
    #expect(refused?.reason.contains(named) == true)
  }

  @Test func whatIsNoKubeconfigIsRefused() async throws {
    for text in ["", "{", "kind: Pod", String(repeating: "#", count: 64 * 1024 + 1)] {
      let (_, refused) = try await read(text)
      #expect(refused?.path == "kubeconfig")
    }
  }

  @Test func aClusterThatDoesNotAnswerIsOneFinding() async throws {
    let kubeconfig = Self.kubeconfig(user: #""token": "x""#)
      .replacing("eu.example.com:6443", with: "127.0.0.1:1")
    let findings = try await onReactor { reactor in
      let inspector = KubernetesClusterInspector(
        .forInspection, own: .nowhere, reactor: reactor, blocking: BlockingPool())
      return try await inspector.inspect(
        ClusterKubeconfig(text: kubeconfig, server: ""), timeout: .seconds(10)
      ).findings(expecting: "any")
    }
    #expect(findings.map(\.check) == [.connection])
    #expect(findings.map(\.outcome) == [.failed] && findings.first?.remedy.isEmpty == false)
  }

  @Test func whichClusterItIsIsFoundOut() {
    let others = [
      ClusterFinding(.connection, .passed, "answers"), ClusterFinding(.version, .passed, "v1"),
    ]
    func identity(_ found: String?, _ expected: String?) -> ClusterFinding? {
      let findings = ClusterInspection(others, uid: found).findings(expecting: expected)
      #expect(findings.map(\.check) == [.connection, .identity, .version])
      return findings.first { $0.check == .identity }
    }
    #expect(identity("a", nil)?.outcome == .passed)
    #expect(identity("a", "a")?.outcome == .passed)
    #expect(identity("b", "a")?.outcome == .failed)
    #expect(identity("b", "a")?.message.contains("is b, and was a") == true)
    // What cannot be told is worse where it was known.
    #expect(identity(nil, nil)?.outcome == .warning)
    #expect(identity(nil, "a")?.outcome == .failed)
    // Unless it may be told the next time.
    let passing = ClusterInspection(others, passing: "no answer").findings(expecting: "a")
    #expect(passing[1].outcome == .warning && passing[1].message.contains("no answer"))
  }

  @Test(arguments: [
    (#"{"metadata": {"name": "kube-system", "uid": "a-1"}}"#, "a-1"),
    (#"{"metadata": {"name": "kube-system"}}"#, nil),
    (#"{"metadata": {"name": "kube-system", "uid": "<html>"}}"#, nil),
    (#"{"metadata": {"name": "login", "uid": "a-1"}}"#, nil), ("{}", nil),
  ])
  func whatIsNoKubeSystemTellsNothing(text: String, uid: String?) throws {
    let namespace = KubernetesObject(try JSON(parsing: text))
    do throws(KubernetesError) {
      #expect(try ClusterIdentity.uid(of: namespace) == uid)
    } catch {
      #expect(uid == nil && error.kind == .badAnswer && ClusterIdentity.isHidden(error))
    }
  }

  @Test(arguments: [
    KubernetesError.Kind.forbidden, .notFound, .badAnswer, .transport, .timeout, .unavailable,
  ])
  func aClusterThatDoesNotTellWhichItIsIsAway(kind: KubernetesError.Kind) {
    let failure = ClusterIdentity.failure(KubernetesError(kind, "at https://192.0.2.7"))
    #expect(failure.code == .clusterUnreachable && failure.code.isOutage)
    #expect(failure.verdict == .failed && failure.diagnosis.contains("192.0.2.7"))
    #expect(!failure.problem.message.contains("192.0.2.7"))
  }

  @Test func aReplicasOwnTroubleIsThrown() async throws {
    let refusal = try await onReactor { reactor in
      var settings = BackendSettings.forInspection
      settings.chart = "/no/such/chart"
      let inspector = KubernetesClusterInspector(
        settings, own: .nowhere, reactor: reactor, blocking: BlockingPool())
      return await failure(ClusterRefusal.self) {
        try await inspector.inspect(nil, timeout: .seconds(10))
      }
    }
    guard case .cannotCheck(let reason) = refusal else {
      Issue.record("\(String(describing: refusal))")
      return
    }
    #expect(reason.contains("/no/such/chart"))
  }

  @Test func kubeconfigsAreKeptByTheConfigService() async throws {
    let database = try await ConfigPeer.database.value
    try await onReactor { reactor in
      let peer = try ConfigPeer(reactor, database)
      let secrets = ConfigClusterSecrets(peer.secrets)
      let name = "cluster.eu.\(UInt64.random(in: 0 ... .max))"
      let kubeconfig = ClusterKubeconfig(text: "the text", server: "https://eu")
      try await secrets.keep(kubeconfig, as: name, timeout: .seconds(20))
      #expect(try await secrets.kubeconfig(name, timeout: .seconds(20)) == "the text")
      // Each has a name of its own.
      let twice = await failure(RPCError.self) {
        try await secrets.keep(kubeconfig, as: name, timeout: .seconds(20))
      }
      #expect(twice?.code == .aborted)
      let kept = try await secrets.list(timeout: .seconds(20))
      #expect(kept.first { $0.name == name }?.time ?? 0 > 1_000_000_000)
      for _ in 0..<2 { try await secrets.forget(name, timeout: .seconds(20)) }
      let gone = await failure(RPCError.self) {
        try await secrets.kubeconfig(name, timeout: .seconds(20))
      }
      #expect(gone?.code == .notFound)
      await peer.close()
    }
  }

  @Test func aKubeconfigsFileHasNoNameAndEndsWithItsUser() throws {
    var file: KubeconfigFile? = try KubeconfigFile("hidden text")
    let path = try #require(file?.path)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "hidden text")
    #expect(shell("test \"$(cat \(path))\" = 'hidden text'") == 0)
    let names = try FileManager.default.contentsOfDirectory(atPath: "/dev/shm")
    for name in names where name.hasPrefix("storeplane-") {
      #expect((try? String(contentsOfFile: "/dev/shm/\(name)", encoding: .utf8)) != "hidden text")
    }
    file = nil
    #expect((try? String(contentsOfFile: path, encoding: .utf8)) != "hidden text")
  }
}

extension BackendSettings {
  static var forInspection: BackendSettings {
    BackendSettings(
      chart: Checkout.chart, kubeconfig: "", helm: HelmWorkerSettings(program: "", library: ""),
      address: HostURLTemplate(scheme: "http", port: nil))
  }
}

extension ClusterConfiguration {
  static var nowhere: ClusterConfiguration {
    ClusterConfiguration(
      name: "none", server: ServerAddress(host: "127.0.0.1", port: 9), credential: .anonymous)
  }
}
