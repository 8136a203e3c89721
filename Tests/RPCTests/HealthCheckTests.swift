import Contracts
import HTTP2
import Observability
import Protobuf
import PythonPeer
import RPC
import RPCCore
import RPCServices
import Reactor
import TestKit
import Testing

/// A channel that asks servers for their health (gRFC A17).
@Suite(.timeLimit(.minutes(1))) struct HealthCheckTests {
  private static let service = "shop.v1.Shop"

  private final class Observer: ChannelObserver {
    private(set) var events: [ServerHealth] = []
    private(set) var current: [SocketAddress: ServerHealth] = [:]

    func healthChanged(_ address: SocketAddress, _ health: ServerHealth) {
      events.append(health)
      current[address] = health
    }
  }

  private final class Calls: ServerInterceptor, ClientInterceptor {
    var paths: [String] = []

    func begin(_ context: ServerContext) { paths.append(context.method.path) }
    func began(_ call: OutgoingCall, in scope: RequestScope?) { paths.append(call.method.path) }

    var echoes: Int { paths.count { $0 == TestingV1.EchoServiceMethods.echo.path } }
    var watches: Int { paths.count { $0 == GRPCHealthV1.HealthMethods.watch.path } }
  }

  /// A channel that asks for health.
  private struct Client {
    let observer = Observer()
    let calls = Calls()
    let channel: Channel
    let echo: TestingV1.EchoServiceClient

    init(
      _ reactor: Reactor, _ balancing: LoadBalancing = .roundRobin,
      configure: (inout ChannelConfiguration) -> Void = { _ in },
      _ addresses: @escaping () -> [SocketAddress]
    ) {
      var configuration = ChannelConfiguration()
      configuration.service.loadBalancing = balancing
      configuration.service.healthCheckService = HealthCheckTests.service
      configuration.resolutionInterval = .zero
      configure(&configuration)
      channel = Channel(
        reactor: reactor, configuration: configuration, interceptors: [calls],
        resolve: { return addresses() })
      channel.observer = observer
      echo = TestingV1.EchoServiceClient(channel: channel)
    }

    func call(waitForReady: Bool = true) async throws {
      let options = CallOptions(timeout: .seconds(30), waitForReady: waitForReady)
      _ = try await echo.echo(EchoServer.request("x"), options: options)
    }

    func failure() async -> RPCError? { await rpcError { try await call(waitForReady: false) } }
  }

  /// A server whose `Watch` does as a test wants.
  private struct Scripted {
    let server: Server
    let calls = Calls()
    let address: SocketAddress

    init<Response: ProtobufMessage>(
      _ reactor: isolated Reactor, limits: ServerLimits = ServerLimits(),
      watch: @escaping (ResponseWriter<Response>, ServerContext) async throws -> Void
    ) throws {
      server = Server(reactor: reactor, limits: limits, interceptors: [calls])
      server.register(EchoService().methods)
      server.register([
        .serverStreaming(GRPCHealthV1.HealthMethods.watch) {
          (
            request: GRPCHealthV1.HealthCheckRequest, responses: ResponseWriter<Response>,
            context: ServerContext
          ) in
          #expect(request.service == HealthCheckTests.service)
          try await watch(responses, context)
        }
      ])
      address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: 0))
    }
  }

  typealias Response = GRPCHealthV1.HealthCheckResponse

  @Test func noCallReachesAServerThatDoesNotServe() async throws {
    try await withReactor { reactor in
      let calls = [Calls(), Calls()]
      let servers = try calls.map { try EchoServer(reactor, interceptors: [$0]) }
      for server in servers { server.health.set(.serving, for: Self.service) }
      let addresses = servers.map(\.address)
      let client = Client(reactor) { addresses }
      func everyoneServes() -> Bool {
        addresses.allSatisfy { client.observer.current[$0] == .serving }
      }
      try await client.call()
      try await wait(on: reactor, until: everyoneServes)
      var before = calls.map(\.echoes)
      for _ in 0..<10 { try await client.call() }
      #expect(calls.map(\.echoes) == before.map { $0 + 5 })

      servers[1].health.set(.notServing, for: Self.service)
      try await wait(on: reactor) { !everyoneServes() }
      before = calls.map(\.echoes)
      for _ in 0..<10 { try await client.call(waitForReady: false) }
      #expect(calls.map(\.echoes) == [before[0] + 10, before[1]])
      #expect(client.channel.unhealthyConnections == 1)

      servers[1].health.set(.serving, for: Self.service)
      try await wait(on: reactor, until: everyoneServes)
      #expect(client.channel.unhealthyConnections == 0)
      before = calls.map(\.echoes)
      for _ in 0..<10 { try await client.call() }
      #expect(calls.map(\.echoes) == before.map { $0 + 5 })
      // It is a stream of each connection and no call of the channel's.
      #expect(calls.map(\.watches) == [1, 1])
      #expect(client.calls.watches == 0)
      #expect(client.calls.echoes == calls[0].echoes + calls[1].echoes)
    }
  }

  @Test(arguments: [
    (Response.ServingStatus.notServing, "NOT_SERVING"), (.unknown, "UNKNOWN"),
    (.serviceUnknown, "SERVICE_UNKNOWN"), (.unrecognized(77), "status 77"),
  ])
  func callsWaitOrFailWhileNobodyServes(status: Response.ServingStatus, name: String) async throws {
    try await withReactor { reactor in
      let server = try EchoServer(reactor)
      server.health.set(status, for: Self.service)
      let client = Client(reactor) { [server.address] }
      let reason = "\(server.address) is not healthy: \(name) for \(Self.service)"
      #expect(await client.failure() == RPCError(.unavailable, reason))
      let waiting = reactor.loop.spawn(on: reactor) {
        await #expect(throws: Never.self) { try await client.call() }
      }
      #expect(await client.failure() == RPCError(.unavailable, reason))
      // Further connections would be to the same server.
      #expect(server.server.connectionCount == 1)
      server.health.set(.serving, for: Self.service)
      await waiting.value
      #expect(client.observer.events.last == .serving)
    }
  }

  @Test func aServerWithoutTheServiceCountsAsHealthy() async throws {
    try await withReactor { reactor in
      let without = Server(reactor: reactor)
      without.register(EchoService().methods)
      let address = try without.listen(on: .ipv4(address: 0x7F00_0001, port: 0))
      let scripted = try Scripted(reactor) { (_: ResponseWriter<Response>, _) in
        throw RPCError(.unimplemented, "not here")
      }
      for address in [address, scripted.address] {
        let client = Client(reactor, configure: { $0.backoff = .milliseconds(1) }) { [address] }
        for _ in 0..<20 { try await client.call() }
        #expect(client.observer.events == [.notTold])
      }
      #expect(scripted.calls.watches == 1)
    }
  }

  /// A text where the status is expected, and a message longer than any status.
  @Test(arguments: [("x", 0), ("", 2000)])
  func garbageIsNoHealth(text: String, length: Int) async throws {
    try await withReactor { reactor in
      let scripted = try Scripted(reactor) {
        (responses: ResponseWriter<TestingV1.EchoResponse>, context) in
        let payload = [UInt8](repeating: 1, count: length)
        try await responses.write(TestingV1.EchoResponse(text: text, payload: payload))
        await pass(.seconds(3600), on: context.reactor.loop)
      }
      let client = Client(reactor) { [scripted.address] }
      let error = await client.failure()
      #expect(error?.code == .unavailable)
      #expect(error?.message.contains("its health check ended: ") == true)
      try await wait(on: reactor) { scripted.calls.watches > 2 }
      #expect(scripted.calls.echoes == 0)
    }
  }

  @Test func endsWithoutAWordAreFollowedByLongerDelays() async throws {
    try await withReactor { reactor in
      var begun: [Instant] = []
      let scripted = try Scripted(reactor) { (_: ResponseWriter<Response>, _) in
        begun.append(Instant.now())
        throw RPCError(.unavailable, "not now")
      }
      let client = Client(reactor, configure: { $0.backoff = .milliseconds(50) }) {
        [scripted.address]
      }
      _ = await client.failure()
      try await wait(on: reactor) { begun.count >= 5 }
      #expect(begun[4] - begun[0] >= .milliseconds(50 + 100 + 200 + 400) * 0.75)
      #expect(scripted.server.connectionCount == 1)
    }
  }

  @Test func anAnswerTakesTheDelayBack() async throws {
    try await withReactor { reactor in
      var begun: [Instant] = []
      let scripted = try Scripted(reactor) { (responses: ResponseWriter<Response>, _) in
        begun.append(Instant.now())
        try await responses.write(Response(status: .serving))
        throw RPCError(.unavailable, "that was it")
      }
      // Delays that doubled would take longer than the test may.
      let configure: (inout ChannelConfiguration) -> Void = {
        $0.backoff = .milliseconds(50)
        $0.backoffMax = .seconds(3600)
      }
      let client = Client(reactor, configure: configure) { [scripted.address] }
      try await client.call()
      try await wait(on: reactor) { begun.count >= 13 }
      // Nor is it a loop without any.
      #expect(begun[12] - begun[0] >= .milliseconds(50) * 12 * 0.75)
    }
  }

  @Test func callsWaitWhileAServerIsAskedAgainAtOnce() async throws {
    try await withReactor { reactor in
      let scripted = try Scripted(reactor) { (responses: ResponseWriter<Response>, context) in
        try await responses.write(Response(status: .serving))
        await pass(.milliseconds(20), on: context.reactor.loop)
      }
      let client = Client(reactor, configure: { $0.backoff = .milliseconds(1) }) {
        [scripted.address]
      }
      while scripted.calls.watches < 5 { try await client.call(waitForReady: false) }
      #expect(client.observer.events.contains(.unknown))
    }
  }

  @Test func pickFirstDoesNotAsk() async throws {
    try await withReactor { reactor in
      let calls = Calls()
      let server = try EchoServer(reactor, interceptors: [calls])
      let client = Client(reactor, .pickFirst) { [server.address] }
      for _ in 0..<3 { try await client.call() }
      #expect(calls.paths.count == 3)
    }
  }

  @Test func theStreamDoesNotHoldUpADrain() async throws {
    try await withReactor { reactor in
      let server = try EchoServer(reactor)
      server.health.set(.serving, for: Self.service)
      let client = Client(reactor) { [server.address] }
      try await client.call()
      let begun = Instant.now()
      await server.server.drain(until: begun + .seconds(50))
      #expect(Instant.now() - begun < .seconds(25))
    }
  }

  @Test func aChannelLeavesServersThatItWatches() async throws {
    try await withReactor { reactor in
      let servers = [try EchoServer(reactor), try EchoServer(reactor), try EchoServer(reactor)]
      for server in servers { server.health.set(.serving, for: Self.service) }
      var addresses = [servers[0].address, servers[1].address]
      let client = Client(reactor) { addresses }
      try await client.call()
      try await wait(on: reactor) { client.observer.current.count == 2 }
      // The loss of one has the name asked for again, which no longer has the other either.
      addresses = [servers[2].address]
      await servers[0].server.drain(until: Instant.now() + .seconds(50))
      try await client.call()
      try await wait(on: reactor) { servers[1].server.connectionCount == 0 }
      client.channel.close()
      try await wait(on: reactor) { servers[2].server.connectionCount == 0 }
    }
  }

  @Test func aFurtherConnectionIsAskedToo() async throws {
    try await withReactor { reactor in
      var limits = ServerLimits()
      limits.http2.concurrentStreams = 2
      let calls = Calls()
      let server = try EchoServer(reactor, limits: limits, interceptors: [calls])
      server.health.set(.serving, for: Self.service)
      let client = Client(reactor) { [server.address] }
      let (writer, stream) = try await client.echo.converse()
      try await writer.write(EchoServer.request("x"))
      _ = try await stream.next()
      // The conversation and the Watch are all that the first may have.
      try await client.call()
      #expect(server.server.connectionCount == 2)
      #expect(calls.watches == 2)
      writer.finish()
      #expect(try await stream.next() == nil)
    }
  }

  @Test func grpciosHealthServiceIsUnderstood() async throws {
    let peers = [
      try PythonServer(InteropTests.path("health_server.py"), [Self.service]),
      try PythonServer(InteropTests.path("health_server.py"), [Self.service]),
    ]
    try await withReactor { reactor in
      let addresses = peers.map { SocketAddress.ipv4(address: 0x7F00_0001, port: $0.port) }
      let client = Client(reactor) { addresses }
      let error = await client.failure()
      #expect(error?.code == .unavailable)
      #expect(error?.message.contains("is not healthy: SERVICE_UNKNOWN") == true)
      for (peer, address) in zip(peers, addresses) {
        #expect(try peer.ask("SERVING") == "0")
        try await wait(on: reactor) { client.observer.current[address] == .serving }
      }
      for _ in 0..<10 { try await client.call() }
      #expect(try peers[0].ask("NOT_SERVING") == "5")
      try await wait(on: reactor) { client.observer.current[addresses[0]] != .serving }
      for _ in 0..<10 { try await client.call(waitForReady: false) }
      #expect(try peers.map { try $0.ask("SERVING") } == ["5", "15"])
    }
  }
}

private func wait(on reactor: isolated Reactor, until condition: () -> Bool) async throws {
  while !condition() {
    try Task.checkCancellation()
    await pass(.milliseconds(2), on: reactor.loop)
  }
}

/// Lets time pass on the loop.
private func pass(_ duration: Duration, on loop: EventLoop) async {
  await withUnsafeContinuation { continuation in
    _ = loop.schedule(after: duration) { continuation.resume() }
  }
}
