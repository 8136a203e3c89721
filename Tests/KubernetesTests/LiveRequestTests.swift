import Glibc
import JSON
import Reactor
import Testing

@testable import Kubernetes

@Suite(.enabled(if: LiveCluster.isThere), .serialized) struct LiveRequestTests {
  private let map: JSON = ["data": ["a": "1"]]

  @Test func appliesTwiceWithoutAnyChange() async throws {
    try await LiveCluster.withNamespace { _, client, namespace in
      let first = try await client.apply(
        .configMaps, namespace: namespace, name: "m", map, deadline: .soon)
      let second = try await client.apply(
        .configMaps, namespace: namespace, name: "m", map, deadline: .soon)
      #expect(first.resourceVersion == second.resourceVersion && first.uid == second.uid)
      let dry = try await client.apply(
        .configMaps, namespace: namespace, name: "m", ["data": ["a": "2"]], isDryRun: true,
        deadline: .soon)
      #expect(dry["data", "a"]?.string == "2")
      // A field that is no longer applied goes.
      let third = try await client.apply(
        .configMaps, namespace: namespace, name: "m", ["data": ["b": "3"]], deadline: .soon)
      #expect(third["data", "a"] == nil && third["data", "b"]?.string == "3")
      let read = try await client.get(
        .configMaps, namespace: namespace, name: "m", deadline: .soon)
      #expect(read.resourceVersion == third.resourceVersion)
    }
  }

  @Test func tellsFailuresApart() async throws {
    try await LiveCluster.withNamespace { _, client, namespace in
      let absent = await failure {
        try await client.get(.configMaps, namespace: namespace, name: "x", deadline: .soon)
      }
      #expect(absent?.kind == .notFound && absent?.code == 404)
      let object: JSON = ["metadata": ["name": "m"], "data": ["a": "1"]]
      let made = try await client.create(
        .configMaps, namespace: namespace, object, deadline: .soon)
      let again = await failure {
        try await client.create(.configMaps, namespace: namespace, object, deadline: .soon)
      }
      #expect(again?.kind == .alreadyExists)
      try await client.merge(
        .configMaps, namespace: namespace, name: "m", ["data": ["a": "2"]], deadline: .soon)
      let stale: JSON = [
        "metadata": ["resourceVersion": .string(made.resourceVersion)], "data": ["a": "3"],
      ]
      let conflict = await failure {
        try await client.merge(
          .configMaps, namespace: namespace, name: "m", stale, deadline: .soon)
      }
      #expect(conflict?.kind == .conflict)
      let other = await failure {
        try await client.delete(
          .configMaps, namespace: namespace, name: "m", DeleteOptions(uid: "another"),
          deadline: .soon)
      }
      #expect(other?.kind == .conflict)
      // Fields of another owner, without force.
      let taken = await failure {
        try await client.apply(
          .configMaps, namespace: namespace, name: "m", ["data": ["a": "9"]], force: false,
          deadline: .soon)
      }
      #expect(taken?.kind == .conflict)
      let invalid = await failure {
        try await client.create(
          .secrets, namespace: namespace,
          ["metadata": ["name": "s"], "data": ["k": "hunter2!"]], deadline: .soon)
      }
      #expect(invalid?.kind == .invalid, "\(String(describing: invalid))")
      #expect(invalid?.description.contains("hunter2") == false)
      let late = await failure {
        try await client.get(.namespaces, name: namespace, deadline: .now())
      }
      #expect(late?.kind == .timeout)
    }
  }

  @Test func readsListsPageByPage() async throws {
    try await LiveCluster.withNamespace { _, client, namespace in
      for name in ["a", "b", "c"] {
        let labels: JSON = ["metadata": ["labels": ["set": .string(name == "c" ? "2" : "1")]]]
        try await client.apply(
          .configMaps, namespace: namespace, name: name, labels, deadline: .soon)
      }
      let selection = ObjectSelection(namespace: namespace, labelSelector: "set in (1, 2)")
      let first = try await client.list(.configMaps, selection, limit: 2, deadline: .soon)
      #expect(first.objects.map(\.name) == ["a", "b"] && first.continueToken != nil)
      let second = try await client.list(
        .configMaps, selection, limit: 2, continuing: first.continueToken, deadline: .soon)
      #expect(second.objects.map(\.name) == ["c"] && second.continueToken == nil)
      #expect(second.objects[0].kind == "ConfigMap")
      let all = try await client.listAll(
        .configMaps, ObjectSelection(namespace: namespace, labelSelector: "set=1"),
        deadline: .soon)
      #expect(all.objects.count == 2)
    }
  }

  @Test func isForbiddenWhatItsAccountMayNot() async throws {
    try await LiveCluster.withNamespace { reactor, client, namespace in
      try await client.apply(
        .serviceAccounts, namespace: namespace, name: "poor", [:], deadline: .soon)
      let secret: JSON = [
        "type": "kubernetes.io/service-account-token",
        "metadata": ["annotations": ["kubernetes.io/service-account.name": "poor"]],
      ]
      let secrets = try client.watch(.secrets, namespace: namespace)
      let subscription = try secrets.subscribe()
      try await client.apply(
        .secrets, namespace: namespace, name: "token", secret, deadline: .soon)
      let token = try await waitFor(subscription) {
        secrets.object(namespace: namespace, name: "token")?["data", "token"]?.string
      }
      subscription.cancel()
      var configuration = try LiveCluster.configuration()
      let text = String(
        decoding: try #require(PaddedBase64.decode(token)), as: UTF8.self)
      for (credential, kind) in [
        (ClusterCredential.token(BearerToken(text)), KubernetesError.Kind.forbidden),
        (.token(BearerToken("nonsense")), .unauthorized), (.anonymous, .forbidden),
      ] {
        configuration.credential = credential
        let poor = KubernetesClient(
          reactor: reactor, configuration: configuration, blocking: BlockingPool())
        let error = await failure {
          try await poor.list(.secrets, deadline: .soon)
        }
        #expect(error?.kind == kind, "\(String(describing: error))")
        poor.close()
      }
    }
  }

  @Test func reachesQuotas() async throws {
    try await LiveCluster.withNamespace { _, client, namespace in
      let quotas = try client.watch(.resourceQuotas, namespace: namespace)
      let subscription = try quotas.subscribe()
      try await client.apply(
        .resourceQuotas, namespace: namespace, name: "q", ["spec": ["hard": ["pods": "0"]]],
        deadline: .soon)
      _ = try await waitFor(subscription) {
        quotas.object(namespace: namespace, name: "q")?["status", "hard", "pods"]
      }
      subscription.cancel()
      let error = await failure {
        try await client.create(
          .pods, namespace: namespace, LiveCluster.pod("p"), deadline: .soon)
      }
      #expect(error?.kind == .quotaExceeded, "\(String(describing: error))")
    }
  }

  @Test func knowsTheServerByItsCertificate() async throws {
    try await onReactor { reactor in
      var configuration = try LiveCluster.configuration()
      configuration.tlsServerName = "somebody.else"
      let wrongName = KubernetesClient(
        reactor: reactor, configuration: configuration, blocking: BlockingPool())
      let error = await failure { try await wrongName.list(.namespaces, deadline: .soon) }
      #expect(error?.kind == .transport && error?.message.contains("another name") == true)
      wrongName.close()
      configuration.tlsServerName = nil
      configuration.authorities = nil
      let unknown = KubernetesClient(
        reactor: reactor, configuration: configuration, blocking: BlockingPool())
      let untrusted = await failure { try await unknown.list(.namespaces, deadline: .soon) }
      #expect(untrusted?.message.contains("unknown authority") == true)
      unknown.close()
      // The operator has allowed it.
      configuration.trustsAnyServer = true
      let trusting = KubernetesClient(
        reactor: reactor, configuration: configuration, blocking: BlockingPool())
      let namespaces = try await trusting.list(.namespaces, deadline: .soon)
      #expect(!namespaces.objects.isEmpty)
      trusting.close()
      configuration.authorities = Array("not PEM".utf8)
      let damaged = KubernetesClient(
        reactor: reactor, configuration: configuration, blocking: BlockingPool())
      let bad = await failure { try await damaged.list(.namespaces, deadline: .soon) }
      #expect(bad?.kind == .configuration && bad?.message.contains("not PEM") == true)
      damaged.close()
    }
  }
}
