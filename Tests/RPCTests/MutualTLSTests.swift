import Contracts
import Observability
import RPC
import RPCCore
import RPCServices
import Reactor
import ServiceRuntime
import TestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct MutualTLSTests {
  /// A server as `config` with a policy that lets the provisioner call Echo, and a channel to it.
  private struct Peers {
    let server: Server
    let address: SocketAddress
    let channel: Channel
    let log = LogLines()
    var client: TestingV1.EchoServiceClient { TestingV1.EchoServiceClient(channel: channel) }

    init(
      _ reactor: isolated Reactor, client: TLSConfiguration, server: TLSConfiguration,
      expecting expected: ExpectedServer = .spiffe("spiffe://storeplane/config")
    ) throws {
      let policy = AuthorizationPolicy()
      policy.allow([TestingV1.EchoServiceMethods.echo], to: .provisioner)
      let observer = CallObserver(logger: log.logger, metrics: MetricsRegistry())
      self.server = Server(reactor: reactor, interceptors: [observer, policy])
      self.server.register(EchoService().methods)
      address = try self.server.listen(
        on: .ipv4(address: 0x7F00_0001, port: 0), tls: TLSContext.server(server))
      var configuration = ChannelConfiguration()
      configuration.tls = try TLSContext.client(client)
      configuration.expectedServer = expected
      channel = Channel(reactor: reactor, configuration: configuration, address: address)
    }

    func failure() async -> RPCError? {
      await rpcError { _ = try await client.echo(EchoServer.request("x")) }
    }
  }

  @Test func anEntitledServiceIsServed() async throws {
    let certificates = try TestCertificates()
    let (client, server) = (
      try certificates.configuration(for: "provisioner"),
      try certificates.configuration(for: "config")
    )
    try await withReactor { reactor in
      let peers = try Peers(reactor, client: client, server: server)
      let payload = [UInt8](repeating: 5, count: 300_000)
      let answer = try await peers.client.echo(EchoServer.request("hello", payload: payload))
      #expect(answer.text == "hello")
      #expect(answer.payload == payload)
      let line = try #require(peers.log.all.first)
      #expect(line.contains(" peer=spiffe://storeplane/provisioner"), "\(line)")
    }
  }

  /// OpenSSL checks no name at all where it is given an empty one.
  @Test func aClientThatNamesNoServerIsRefused() async throws {
    let certificates = try TestCertificates()
    let (client, server) = (
      try certificates.configuration(for: "provisioner"),
      try certificates.configuration(for: "config")
    )
    try await withReactor { reactor in
      for expected in [ExpectedServer.hostName(""), .ipAddress("localhost")] {
        let peers = try Peers(reactor, client: client, server: server, expecting: expected)
        let error = await peers.failure()
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("names no server") == true, "\(expected)")
      }
      let peers = try Peers(reactor, client: client, server: server)
      var configuration = ChannelConfiguration()
      configuration.tls = try TLSContext.client(client)
      let channel = Channel(
        reactor: reactor, configuration: configuration, address: peers.address)
      let error = await rpcError {
        _ = try await TestingV1.EchoServiceClient(channel: channel).echo(EchoServer.request("x"))
      }
      #expect(error?.message.contains("names no server") == true)
    }
  }

  @Test func aServerOfAnotherHostNameIsRefused() async throws {
    let certificates = try TestCertificates()
    let (client, server) = (
      try certificates.configuration(for: "provisioner"),
      try certificates.configuration(for: "config")
    )
    try await withReactor { reactor in
      let wrong = ExpectedServer.hostName("other.example.com")
      let peers = try Peers(reactor, client: client, server: server, expecting: wrong)
      let error = await peers.failure()
      #expect(error?.code == .unavailable)
      #expect(error?.message.contains("is for another name") == true)
    }
  }

  @Test func aServiceThatThePolicyDoesNotNameIsDenied() async throws {
    let certificates = try TestCertificates()
    let (client, server) = (
      try certificates.configuration(for: "audit"), try certificates.configuration(for: "config")
    )
    try await withReactor { reactor in
      let peers = try Peers(reactor, client: client, server: server)
      let error = await peers.failure()
      #expect(error?.code == .permissionDenied)
      #expect(
        error?.message
          == "spiffe://storeplane/audit may not call /storeplane.testing.v1.EchoService/Echo")
    }
  }

  @Test func aMethodThatThePolicyDoesNotNameIsDenied() async throws {
    let certificates = try TestCertificates()
    let (client, server) = (
      try certificates.configuration(for: "provisioner"),
      try certificates.configuration(for: "config")
    )
    try await withReactor { reactor in
      let peers = try Peers(reactor, client: client, server: server)
      let error = await rpcError {
        _ = try await peers.client.expand(.init()).next()
      }
      #expect(error?.code == .permissionDenied)
    }
  }

  @Test func aServerWithAnotherIdentityIsNotTrusted() async throws {
    let certificates = try TestCertificates()
    let (client, server) = (
      try certificates.configuration(for: "provisioner"),
      try certificates.configuration(for: "audit")
    )
    try await withReactor { reactor in
      let error = await (try Peers(reactor, client: client, server: server)).failure()
      #expect(error?.code == .unavailable)
      #expect(error?.message.contains("the peer's certificate is for another name") == true)
    }
  }

  @Test func anExpiredServerIsNotTrusted() async throws {
    let certificates = try TestCertificates()
    let client = try certificates.configuration(for: "provisioner")
    let server = try certificates.configuration(for: "config", age: 7200, lifetimeSeconds: 3600)
    try await withReactor { reactor in
      let error = await (try Peers(reactor, client: client, server: server)).failure()
      #expect(error?.message.contains("the peer's certificate has expired") == true)
    }
  }

  @Test func aServerOfAnotherAuthorityIsNotTrusted() async throws {
    let (ours, theirs) = (try TestCertificates(), try TestCertificates())
    let client = try ours.configuration(for: "provisioner")
    let server = try theirs.configuration(for: "config")
    try await withReactor { reactor in
      let error = await (try Peers(reactor, client: client, server: server)).failure()
      #expect(error?.message.contains("signed by an unknown authority") == true)
    }
  }

  @Test func aClientWithoutACertificateGetsNowhere() async throws {
    let certificates = try TestCertificates()
    let server = try certificates.configuration(for: "config")
    let client = TLSConfiguration(
      authoritiesFile: certificates.authorityFile, applicationProtocols: ["h2"])
    try await withReactor { reactor in
      let error = await (try Peers(reactor, client: client, server: server)).failure()
      #expect(error?.code == .unavailable)
    }
  }

  @Test func anExpiredClientGetsNowhere() async throws {
    let certificates = try TestCertificates()
    let server = try certificates.configuration(for: "config")
    let client = try certificates.configuration(
      for: "provisioner", age: 7200, lifetimeSeconds: 3600)
    try await withReactor { reactor in
      let error = await (try Peers(reactor, client: client, server: server)).failure()
      #expect(error?.code == .unavailable)
    }
  }
}
