import Kubernetes
import ProvisionerService
import Reactor
import Testing

@testable import ProvisionerBackend

@Suite struct CredentialTests {
  @Test func waitForAConfigServiceThatIsAway() async throws {
    let database = try await ConfigPeer.database.value
    try await onReactor { reactor in
      let there = try ConfigPeer(reactor, database)
      let away = try ConfigPeer(reactor, database, isAway: true)
      let kubernetes = KubernetesClient(
        reactor: reactor,
        configuration: ClusterConfiguration(
          name: "none", server: ServerAddress(host: "127.0.0.1", port: 9), credential: .anonymous),
        blocking: BlockingPool())
      let site = site(tenant: try await there.newTenant(on: reactor))
      let credentials = StoreCredentials(config: away.secrets, kubernetes: kubernetes)
      // Longer than until a first connection is refused.
      reactor.loop.schedule(after: .milliseconds(700)) { try? away.listen() }
      let known = try await credentials.ensure(site)
      #expect(known.secrets.count == site.engine.credentials.generated.count)
      try await credentials.forget(site)
      await there.close()
      await away.close()
      kubernetes.close()
    }
  }

  /// Of a cluster that is lost nothing else can be removed any more.
  @Test func goWithoutTheCluster() async throws {
    let database = try await ConfigPeer.database.value
    try await onReactor { reactor in
      let peer = try ConfigPeer(reactor, database)
      let site = site(tenant: try await peer.newTenant(on: reactor))
      let kubernetes = KubernetesClient(
        reactor: reactor, configuration: .nowhere, blocking: BlockingPool())
      let credentials = StoreCredentials(config: peer.secrets, kubernetes: kubernetes)
      let first = try await credentials.ensure(site)
      let backends = ClusterBackends(config: peer.secrets) { _, _ throws(ProvisionFailure) in
        throw ProvisionFailure(.clusterUnreachable)
      }
      for _ in 0..<2 { try await backends.forgetCredentials(site) }
      // What is asked for now is made anew.
      #expect(try await credentials.ensure(site).secrets != first.secrets)
      await backends.close()
      await peer.close()
      kubernetes.close()
    }
  }

  @Test func doNotWaitLongerThanTheyMay() async throws {
    let database = try await ConfigPeer.database.value
    try await onReactor { reactor in
      let away = try ConfigPeer(reactor, database, isAway: true)
      let kubernetes = KubernetesClient(
        reactor: reactor,
        configuration: ClusterConfiguration(
          name: "none", server: ServerAddress(host: "127.0.0.1", port: 9), credential: .anonymous),
        blocking: BlockingPool())
      let credentials = StoreCredentials(config: away.secrets, kubernetes: kubernetes)
      let begin = Instant.now()
      let failure = await failure(ProvisionFailure.self) {
        try await credentials.ensure(site(), deadline: begin + .milliseconds(500))
      }
      #expect(failure?.code == .credentialsUnavailable)
      #expect(Instant.now() - begin < .seconds(5))
      await away.close()
      kubernetes.close()
    }
  }
}
