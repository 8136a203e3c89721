import HTTP
import JSON
import Reactor
import Testing

@testable import Kubernetes

@Suite struct RequestTests {
  @Test func writesAnApply() async throws {
    try await onReactor { reactor in
      var body: [UInt8] = []
      let transport = ScriptedTransport(reactor) { _, sent in
        body = sent
        return ScriptedResponse(reactor, .ok, ["{}"])
      }
      let client = transport.client()
      defer { client.close() }
      try await client.apply(
        .deployments, namespace: "a b", name: "web", ["spec": ["replicas": 1]], deadline: .soon)
      let request = try #require(transport.requests.first)
      #expect(request.method == .patch)
      #expect(request.path == "/apis/apps/v1/namespaces/a%20b/deployments/web")
      #expect(request.query == "fieldManager=storeplane&force=true")
      #expect(request.headers["content-type"] == "application/apply-patch+yaml")
      let json = try JSON(parsing: body)
      #expect(json["apiVersion"]?.string == "apps/v1" && json["kind"]?.string == "Deployment")
      #expect(json["metadata", "name"]?.string == "web")
      #expect(json["spec", "replicas"]?.int64 == 1)
    }
  }

  @Test func writesADelete() throws {
    let options = DeleteOptions(
      propagation: .foreground, uid: "u", resourceVersion: "7", gracePeriodSeconds: 0)
    #expect(
      options.body == [
        "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground",
        "gracePeriodSeconds": 0, "preconditions": ["uid": "u", "resourceVersion": "7"],
      ])
  }

  @Test func readsPagesUpToALimit() async throws {
    try await onReactor { reactor in
      let page = #"{"metadata":{"continue":"next","resourceVersion":"1"},"items":[{},{},{}]}"#
      let transport = ScriptedTransport(reactor) { _, _ in
        ScriptedResponse(reactor, .ok, [page])
      }
      var limits = KubernetesLimits()
      limits.listObjectsMax = 10
      let client = transport.client(limits)
      defer { client.close() }
      let error = await failure { try await client.listAll(.pods, deadline: .soon) }
      #expect(error?.kind == .limitReached)
      #expect(transport.requests.count == 4)
      #expect(transport.requests.last?.query == "limit=100&continue=next")
    }
  }

  @Test func refusesWhatWouldAddressSomethingElse() async throws {
    try await onReactor { reactor in
      let transport = ScriptedTransport(reactor) { _, _ in ScriptedResponse(reactor) }
      let client = transport.client()
      defer { client.close() }
      for (namespace, name) in [(nil, "a"), ("", "a"), ("a", "")] as [(String?, String)] {
        let error = await failure {
          try await client.delete(.pods, namespace: namespace, name: name, deadline: .soon)
        }
        #expect(error?.kind == .invalid)
      }
      let error = await failure {
        try await client.get(.namespaces, namespace: "a", name: "b", deadline: .soon)
      }
      #expect(error?.kind == .invalid && transport.requests.isEmpty)
    }
  }

  @Test func cutsALogAtAWordWithoutItsSecrets() async throws {
    try await onReactor { reactor in
      let text = "one hunter2hunter2 two three"
      let transport = ScriptedTransport(reactor) { _, _ in
        ScriptedResponse(reactor, .ok, [text])
      }
      let client = transport.client()
      defer { client.close() }
      func tail(_ bytesMax: Int) async throws -> String {
        try await client.logTail(
          namespace: "n", pod: "p", container: "c", bytesMax: bytesMax,
          redacting: ["hunter2hunter2"], deadline: .soon)
      }
      let expected = [
        (100, "one [secret] two three"), (15, "two three"), (8, "three"), (3, "ree"),
      ]
      for (bytesMax, shown) in expected {
        let tail = try await tail(bytesMax)
        #expect(tail == shown)
      }
    }
  }

  @Test func boundsAnswers() async throws {
    try await onReactor { reactor in
      let transport = ScriptedTransport(reactor) { _, _ in
        ScriptedResponse(reactor, .ok, [String](repeating: "aaaaaaaaaa", count: 11))
      }
      var limits = KubernetesLimits()
      limits.responseBytesMax = 100
      let client = transport.client(limits)
      defer { client.close() }
      let error = await failure { try await client.raw(.get, path: "/x", deadline: .soon) }
      #expect(error?.kind == .limitReached)
    }
  }

  @Test func renewsARefusedCredentialOnce() async throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("token", "old")
    try await onReactor { reactor in
      var configuration = ClusterConfiguration.nowhere
      configuration.credential = .tokenFile(path: path)
      let transport = ScriptedTransport(reactor) { request, _ in
        if request.headers["authorization"] == "Bearer new" {
          return ScriptedResponse(reactor, .ok, ["{}"])
        }
        _ = try? folder.write("token", "new")
        return ScriptedResponse(reactor, .unauthorized, ["{}"])
      }
      let client = KubernetesClient(
        reactor: reactor, configuration: configuration, blocking: BlockingPool(),
        limits: KubernetesLimits()
      ) { _ in transport }
      defer { client.close() }
      _ = try await client.get(.pods, namespace: "a", name: "b", deadline: .soon)
      #expect(transport.requests.count == 2)
    }
  }
}
