import JSON
import Reactor
import Testing

@testable import Kubernetes

@Suite(.enabled(if: LiveCluster.isThere), .serialized) struct LiveWatchTests {
  /// A client that reaches the real API server through a proxy which can be cut.
  private func proxied(
    _ reactor: Reactor, _ adjust: (inout KubernetesLimits) -> Void = { _ in }
  ) throws -> (KubernetesClient, CuttableProxy) {
    var configuration = try LiveCluster.configuration()
    let server = configuration.server
    let target = try #require(SocketAddress(ip: server.host, port: server.port))
    let proxy = try CuttableProxy(reactor.loop, target: target)
    configuration.server = ServerAddress(host: "127.0.0.1", port: proxy.port)
    configuration.tlsServerName = "kubernetes"
    var limits = KubernetesLimits()
    limits.watch.backoff = .milliseconds(20)
    limits.watch.backoffMax = .milliseconds(200)
    adjust(&limits)
    let client = KubernetesClient(
      reactor: reactor, configuration: configuration, blocking: BlockingPool(), limits: limits)
    return (client, proxy)
  }

  private func write(
    _ client: KubernetesClient, _ namespace: String, _ name: String, _ value: String
  ) async throws {
    try await client.apply(
      .configMaps, namespace: namespace, name: name, ["data": ["v": .string(value)]],
      deadline: .soon)
  }

  @Test func survivesACutConnection() async throws {
    try await LiveCluster.withNamespace { reactor, direct, namespace in
      let (client, proxy) = try proxied(reactor)
      defer {
        client.close()
        proxy.close()
      }
      let watch = try client.watch(.configMaps, namespace: namespace)
      let subscription = try watch.subscribe { $0.name.hasPrefix("m") }
      try await watch.waitUntilSynced(deadline: .soon)
      func value(_ name: String) -> String? {
        watch.object(namespace: namespace, name: name)?["data", "v"]?.string
      }
      try await write(direct, namespace, "m1", "1")
      _ = try await waitFor(subscription) { value("m1") == "1" ? true : nil }
      let connections = proxy.accepted

      // Away for a while, in which things happen that no event will tell.
      proxy.refuses = true
      proxy.cut()
      try await write(direct, namespace, "m1", "2")
      try await write(direct, namespace, "m2", "1")
      try await write(direct, namespace, "m3", "1")
      try await direct.delete(.configMaps, namespace: namespace, name: "m3", deadline: .soon)
      while watch.lastError == nil { await Task.yield() }
      #expect(watch.lastError?.isClusterFailure == true)
      proxy.refuses = false
      _ = try await waitFor(subscription) { value("m1") == "2" && value("m2") == "1" ? true : nil }
      #expect(watch.lists == 1 && proxy.accepted > connections && value("m3") == nil)
    }
  }

  @Test func leavesASilentConnection() async throws {
    try await onReactor { reactor in
      let (client, proxy) = try proxied(reactor)
      defer {
        client.close()
        proxy.close()
      }
      _ = try await client.list(.namespaces, deadline: .soon)
      proxy.swallows = true
      let error = await failure {
        try await client.list(.namespaces, deadline: .now() + .milliseconds(300))
      }
      #expect(error?.kind == .timeout && error?.isClusterFailure == true)
      proxy.swallows = false
      // The old connection would not answer: its bytes are lost.
      _ = try await client.list(.namespaces, deadline: .soon)
      #expect(proxy.accepted == 2)
    }
  }

  @Test func endsACancelledCall() async throws {
    try await onReactor { reactor in
      let (client, proxy) = try proxied(reactor)
      defer {
        client.close()
        proxy.close()
      }
      _ = try await client.list(.namespaces, deadline: .soon)
      proxy.swallows = true
      var error: KubernetesError?
      let task = reactor.loop.spawn(on: reactor) {
        error = await failure { try await client.list(.namespaces, deadline: .soon) }
      }
      task.cancel()
      await task.value
      #expect(error?.kind == .cancelled)
      let subscription = try client.watch(.nodes).subscribe()
      let reader = reactor.loop.spawn(on: reactor) {
        error = await failure { try await subscription.next(until: .soon) }
      }
      reader.cancel()
      await reader.value
      #expect(error?.kind == .cancelled)
    }
  }

  @Test func saysWhenNobodyIsThere() async throws {
    try await onReactor { reactor in
      var configuration = try LiveCluster.configuration()
      configuration.server = ServerAddress(host: "127.0.0.1", port: 1)
      let client = KubernetesClient(
        reactor: reactor, configuration: configuration, blocking: BlockingPool())
      defer { client.close() }
      let error = await failure { try await client.list(.namespaces, deadline: .soon) }
      #expect(error?.kind == .transport && error?.isRetryable == true)
      #expect(error?.message.contains("https://127.0.0.1:1") == true)
    }
  }
}
