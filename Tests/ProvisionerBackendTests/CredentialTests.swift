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
