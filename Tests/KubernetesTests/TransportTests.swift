import Cryptography
import Glibc
import Reactor
import Testing

@testable import Kubernetes

@Suite struct TransportTests {
  private final class Silent: ConnectionDelegate {
    func connectionReady(_ connection: Connection) {}
    func connection(_ connection: Connection, received bytes: UnsafeRawBufferPointer) {}
    func connection(_ connection: Connection, fill output: OutputBuffer, room: Int) {}
    func connectionEnded(_ connection: Connection, _ end: ConnectionEnd) {}
  }

  @Test func boundsTheCallsThatWaitForAConnection() async throws {
    try await onReactor { reactor in
      // Takes connections and says nothing.
      let listener = try Listener(on: .ipv4(address: 0x7F00_0001, port: 0), loop: reactor.loop) {
        try? $0.start(Silent())
      }
      defer { listener.close() }
      var configuration = ClusterConfiguration.nowhere
      configuration.server = ServerAddress(
        host: "127.0.0.1", port: try #require(listener.address.port))
      // The system's authorities would take longer to load than the calls wait.
      let authority = try DevelopmentCertificateAuthority.create(
        commonName: "test", now: Int64(time(nil)))
      configuration.authorities = Array(authority.certificate.pem().utf8)
      var limits = KubernetesLimits()
      limits.waitingCallsMax = 3
      let client = KubernetesClient(
        reactor: reactor, configuration: configuration, blocking: BlockingPool(), limits: limits)
      let deadline = Instant.now() + .seconds(3)
      var kinds: [KubernetesError.Kind] = []
      var tasks: [Task<Void, Never>] = []
      for _ in 0..<5 {
        tasks.append(
          reactor.loop.spawn(on: reactor) {
            let error = await failure {
              try await client.list(.pods, deadline: deadline)
            }
            if let error { kinds.append(error.kind) }
          })
      }
      for task in tasks { await task.value }
      #expect(kinds.count { $0 == .limitReached } == 2)
      #expect(kinds.count { $0 == .timeout } == 3)
      client.close()
      let closed = await failure { try await client.list(.pods, deadline: .soon) }
      #expect(closed?.kind == .cancelled)
    }
  }

  /// Behind it all other calls would wait for as long as they may.
  @Test func givesUpAConnectionWithoutSettings() async throws {
    try await onReactor { reactor in
      let now = Int64(time(nil))
      let authority = try DevelopmentCertificateAuthority.create(commonName: "test", now: now)
      let leaf = try authority.issue(
        .init(service: "api", dnsNames: ["localhost"], addresses: ["127.0.0.1"]), now: now)
      var server = TLSConfiguration(applicationProtocols: ["h2"])
      server.inMemory = TLSCredentials(
        certificate: Array(leaf.certificate.pem().utf8), key: leaf.privateKey.pem().copyBytes())
      var accepted = 0
      // Takes the handshake and says nothing of HTTP/2.
      let listener = try Listener(
        on: .ipv4(address: 0x7F00_0001, port: 0), loop: reactor.loop,
        tls: try TLSContext.server(server)
      ) {
        accepted += 1
        try? $0.start(Silent())
      }
      defer { listener.close() }
      var configuration = ClusterConfiguration.nowhere
      configuration.server = ServerAddress(
        host: "127.0.0.1", port: try #require(listener.address.port))
      configuration.authorities = Array(authority.certificate.pem().utf8)
      var limits = KubernetesLimits()
      limits.connection.handshake = .seconds(3)
      let client = KubernetesClient(
        reactor: reactor, configuration: configuration, blocking: BlockingPool(), limits: limits)
      let begin = Instant.now()
      for attempt in 1...2 {
        let error = await failure { try await client.list(.pods, deadline: .soon) }
        #expect(error?.kind == .transport && error?.isRetryable == true)
        #expect(error?.message.contains("no HTTP/2 settings in time") == true)
        #expect(accepted == attempt)
      }
      #expect(Instant.now() - begin < .seconds(40))
      client.close()
    }
  }

  @Test func takesCredentialsFromMemory() throws {
    let now = Int64(time(nil))
    let authority = try DevelopmentCertificateAuthority.create(commonName: "test", now: now)
    let request = try DevelopmentCertificateAuthority.LeafRequest(
      service: "one", dnsNames: ["localhost"])
    let leaf = try authority.issue(request, now: now)
    let other = try authority.issue(request, now: now)
    let root = Array(authority.certificate.pem().utf8)
    let certificate = Array(leaf.certificate.pem().utf8)
    let key = leaf.privateKey.pem().copyBytes()
    func load(_ credentials: TLSCredentials) throws {
      var configuration = TLSConfiguration()
      configuration.inMemory = credentials
      _ = try TLSContext.client(configuration)
    }
    try load(
      TLSCredentials(certificate: certificate + root, key: key, authorities: root + certificate))
    let damaged = Array(authority.certificate.pem().replacing("MII", with: "XII").utf8)
    let cases: [(TLSCredentials, String)] = [
      (TLSCredentials(certificate: certificate, key: other.privateKey.pem().copyBytes()), "belong"),
      (TLSCredentials(certificate: certificate, key: root), "unencrypted PEM private key"),
      (TLSCredentials(certificate: [], key: key), "the certificate: not PEM"),
      (TLSCredentials(authorities: key), "the authorities: not PEM"),
      (TLSCredentials(authorities: root + damaged), "a damaged certificate"),
    ]
    for (credentials, words) in cases {
      let error = #expect(throws: TLSError.self) { try load(credentials) }
      #expect(error?.reason == .badCredentials)
      #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }
  }
}
