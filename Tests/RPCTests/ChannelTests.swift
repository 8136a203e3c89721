import Contracts
import HTTP2
import RPC
import RPCCore
import Reactor
import TestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct ChannelTests {
  /// Counts the calls, and fails the first of them.
  private final class Gatekeeper: ServerInterceptor {
    var calls = 0
    var failures: Int

    init(failing failures: Int = 0) { self.failures = failures }

    func begin(_ context: ServerContext) throws {
      calls += 1
      if calls <= failures { throw RPCError(.unavailable, "not yet") }
    }
  }

  /// Two servers, and a channel to what `addresses` names.
  private struct Pair {
    let first = Gatekeeper()
    let second = Gatekeeper()
    let servers: [EchoServer]

    init(_ reactor: isolated Reactor) throws {
      servers = [
        try EchoServer(reactor, interceptors: [first]),
        try EchoServer(reactor, interceptors: [second]),
      ]
    }

    func client(
      _ reactor: Reactor, _ policy: LoadBalancing,
      _ addresses: @escaping () -> [SocketAddress]
    ) -> TestingV1.EchoServiceClient {
      var configuration = ChannelConfiguration()
      configuration.service.loadBalancing = policy
      configuration.resolutionInterval = .zero
      let channel = Channel(
        reactor: reactor, configuration: configuration, resolve: { return addresses() })
      return TestingV1.EchoServiceClient(channel: channel)
    }
  }

  /// Nobody listens there.
  private static let dead = SocketAddress.ipv4(address: 0x7F00_0001, port: 1)

  @Test func pickFirstStaysWithTheFirstThatAnswers() async throws {
    try await withReactor { reactor in
      let pair = try Pair(reactor)
      let addresses = [Self.dead] + pair.servers.map(\.address)
      let client = pair.client(reactor, .pickFirst) { addresses }
      for _ in 0..<10 { _ = try await client.echo(EchoServer.request("x")) }
      #expect(pair.first.calls == 10)
      #expect(pair.second.calls == 0)
      await pair.servers[0].server.drain(until: Instant.now() + .seconds(1))
      _ = try await client.echo(EchoServer.request("x"))
      #expect(pair.second.calls == 1)
    }
  }

  @Test func roundRobinTakesAllInTurn() async throws {
    try await withReactor { reactor in
      let pair = try Pair(reactor)
      let addresses = [Self.dead] + pair.servers.map(\.address)
      let client = pair.client(reactor, .roundRobin) { addresses }
      // The first calls go to whichever connection is ready first.
      while pair.first.calls == 0 || pair.second.calls == 0 {
        _ = try await client.echo(EchoServer.request("x"))
      }
      let before = (pair.first.calls, pair.second.calls)
      for _ in 0..<10 { _ = try await client.echo(EchoServer.request("x")) }
      #expect(pair.first.calls == before.0 + 5)
      #expect(pair.second.calls == before.1 + 5)
    }
  }

  @Test func theNameIsAskedForAgainAfterALoss() async throws {
    try await withReactor { reactor in
      let pair = try Pair(reactor)
      var addresses = [pair.servers[0].address]
      let client = pair.client(reactor, .pickFirst) { addresses }
      _ = try await client.echo(EchoServer.request("x"))
      addresses = [pair.servers[1].address]
      _ = try await client.echo(EchoServer.request("x"))
      #expect(pair.second.calls == 0)
      await pair.servers[0].server.drain(until: Instant.now() + .seconds(1))
      _ = try await client.echo(EchoServer.request("x"))
      #expect(pair.second.calls == 1)
    }
  }

  /// A server's GOAWAY is enough to have the name asked for again, and the answer may take long.
  @Test func knownAddressesAreTriedWhileTheNameIsAskedFor() async throws {
    try await withReactor { reactor in
      var limits = ServerLimits()
      limits.connectionIdle = .milliseconds(20)
      limits.shutdownNotice = .zero
      let echo = try EchoServer(reactor, limits: limits)
      let address = echo.address
      var configuration = ChannelConfiguration()
      configuration.resolutionInterval = .zero
      var asked = 0
      var answer: UnsafeContinuation<Void, Never>?
      let channel = Channel(
        reactor: reactor, configuration: configuration,
        resolve: {
          asked += 1
          if asked == 2 { await withUnsafeContinuation { answer = $0 } }
          return [address]
        })
      let client = TestingV1.EchoServiceClient(channel: channel)
      let options = CallOptions(timeout: .seconds(20))
      func callAndLose() async throws {
        _ = try await client.echo(EchoServer.request("x"), options: options)
        while echo.server.connectionCount > 0 { await Task.yield() }
      }
      for _ in 0..<3 { try await callAndLose() }
      #expect(asked == 2)
      answer?.resume()
      while asked == 2 { try await callAndLose() }
    }
  }

  @Test func aNameThatCannotBeResolvedIsTold() async throws {
    try await withReactor { reactor in
      let channel = Channel(
        reactor: reactor, resolve: { throw RPCError(.notFound, "no such name") })
      let client = TestingV1.EchoServiceClient(channel: channel)
      let error = await rpcError { _ = try await client.echo(EchoServer.request("x")) }
      #expect(error == RPCError(.unavailable, "cannot connect: NOT_FOUND: no such name"))
      let waiting = CallOptions(timeout: .milliseconds(100), waitForReady: true)
      let late = await rpcError {
        _ = try await client.echo(EchoServer.request("x"), options: waiting)
      }
      #expect(late?.code == .deadlineExceeded)
    }
  }

  @Test func callsPastTheStreamLimitWaitForTheirTurn() async throws {
    try await withReactor { reactor in
      var limits = ServerLimits()
      limits.http2.concurrentStreams = 1
      var configuration = ChannelConfiguration()
      configuration.connectionsMax = 1
      configuration.waitingCalls = 1
      let echo = try EchoServer(reactor, limits: limits, configuration: configuration)
      let (writer, stream) = try await echo.client.converse()
      try await writer.write(EchoServer.request("first"))
      _ = try await stream.next()
      var answer: String?
      var refusal: RPCError?
      let second = reactor.loop.spawn(on: reactor) {
        answer = try? await echo.client.echo(EchoServer.request("second")).text
      }
      // One more than may wait.
      let third = reactor.loop.spawn(on: reactor) {
        refusal = await rpcError { _ = try await echo.client.echo(EchoServer.request("third")) }
      }
      await third.value
      #expect(refusal?.code == .resourceExhausted)
      #expect(answer == nil)
      writer.finish()
      #expect(try await stream.next() == nil)
      await second.value
      #expect(answer == "second")
      #expect(echo.server.connectionCount == 1)
    }
  }

  @Test func aChannelThatIsDroppedLeavesNoConnection() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      do {
        let channel = Channel(reactor: reactor, address: echo.address)
        _ = try await TestingV1.EchoServiceClient(channel: channel).echo(EchoServer.request("x"))
        #expect(echo.server.connectionCount == 1)
      }
      while echo.server.connectionCount > 0 { await Task.yield() }
    }
  }

  /// A call that is its own stream holds itself, and its channel, until that is closed.
  @Test(arguments: ["retried", "cancelled", "late", "left"])
  func aCallThatIsOverHoldsNothing(how: String) async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(
        reactor, interceptors: [Gatekeeper(failing: how == "retried" ? 2 : 0)])
      do {
        let channel = Channel(
          reactor: reactor, configuration: Self.retrying(), address: echo.address)
        let client = TestingV1.EchoServiceClient(channel: channel)
        switch how {
        case "retried": _ = try await client.echo(EchoServer.request("x"))
        case "late":
          // Connected, or the deadline would be over before there is anything to hold.
          _ = try await client.echo(EchoServer.request("x"))
          let error = await rpcError {
            _ = try await client.echo(
              EchoServer.request("sleep"), options: CallOptions(timeout: .milliseconds(5)))
          }
          #expect(error?.code == .deadlineExceeded)
        case "cancelled":
          let task = reactor.loop.spawn(on: reactor) {
            let error = await rpcError { _ = try await client.echo(EchoServer.request("sleep")) }
            #expect(error?.code == .cancelled)
          }
          while echo.server.callsInProgress == 0 { await Task.yield() }
          task.cancel()
          await task.value
        default: _ = try await client.expand(TestingV1.ExpandRequest(text: "x", count: 3))
        }
        #expect(echo.server.connectionCount == 1)
      }
      while echo.server.connectionCount > 0 { await Task.yield() }
    }
  }

  private static func retrying(
    attempts: Int = 3, throttling: RetryThrottling? = nil
  ) -> ChannelConfiguration {
    var configuration = ChannelConfiguration()
    configuration.service.defaults.retry = RetryPolicy(
      attempts: attempts, backoff: .milliseconds(1))
    configuration.service.throttling = throttling
    return configuration
  }

  @Test func streamsAreRetriedWithAllTheirMessages() async throws {
    try await withReactor { reactor in
      let gatekeeper = Gatekeeper(failing: 2)
      let echo = try EchoServer(
        reactor, interceptors: [gatekeeper], configuration: Self.retrying())
      let response = try await echo.client.collect { writer in
        for text in ["a", "b", "c"] { try await writer.write(EchoServer.request(text)) }
      }
      #expect(response.text == "abc")
      #expect(gatekeeper.calls == 3)
      gatekeeper.failures = 4
      let (writer, stream) = try await echo.client.converse()
      try await writer.write(EchoServer.request("x"))
      #expect(try await stream.next()?.text == "x")
      try await writer.write(EchoServer.request("y"))
      writer.finish()
      #expect(try await stream.next()?.text == "y")
      #expect(try await stream.next() == nil)
    }
  }

  @Test func aRequestThatIsNoLongerHeldIsNotRetried() async throws {
    try await withReactor { reactor in
      let gatekeeper = Gatekeeper(failing: 1)
      var configuration = Self.retrying()
      configuration.replayBytes = 1000
      let echo = try EchoServer(
        reactor, interceptors: [gatekeeper], configuration: configuration)
      _ = await rpcError { _ = try await echo.client.echo(EchoServer.request("connect")) }
      gatekeeper.failures = 10
      let large = EchoServer.request("x", payload: [UInt8](repeating: 1, count: 2000))
      let before = gatekeeper.calls
      let error = await rpcError {
        _ = try await echo.client.collect { writer in try await writer.write(large) }
      }
      #expect(error?.code == .unavailable)
      #expect(gatekeeper.calls == before + 1)
      let unary = await rpcError { _ = try await echo.client.echo(large) }
      #expect(unary?.code == .unavailable)
      #expect(gatekeeper.calls == before + 2)
    }
  }

  @Test func attemptsAreBounded() async throws {
    try await withReactor { reactor in
      let gatekeeper = Gatekeeper(failing: 100)
      let echo = try EchoServer(
        reactor, interceptors: [gatekeeper], configuration: Self.retrying(attempts: 50))
      let error = await rpcError { _ = try await echo.client.echo(EchoServer.request("x")) }
      #expect(error?.code == .unavailable)
      #expect(gatekeeper.calls == RetryPolicy.attemptsMax)
    }
  }

  @Test func retriesStopWhileMostCallsFail() async throws {
    try await withReactor { reactor in
      let gatekeeper = Gatekeeper(failing: 100)
      let throttling = RetryThrottling(tokensMax: 4, tokenRatio: 0.5)
      let echo = try EchoServer(
        reactor, interceptors: [gatekeeper],
        configuration: Self.retrying(attempts: 5, throttling: throttling))
      for _ in 0..<5 {
        _ = await rpcError { _ = try await echo.client.echo(EchoServer.request("x")) }
      }
      // The second failure brings four tokens to half; from then on each call is made once.
      #expect(gatekeeper.calls == 2 + 4)
      gatekeeper.failures = 0
      for _ in 0..<8 { _ = try await echo.client.echo(EchoServer.request("x")) }
      let before = gatekeeper.calls
      gatekeeper.failures = before + 1
      #expect(try await echo.client.echo(EchoServer.request("x")).text == "x")
      #expect(gatekeeper.calls == before + 2)
    }
  }

  @Test func aConnectionThatIsUsedUpIsReplaced() async throws {
    final class Callers: ServerInterceptor {
      var addresses: [SocketAddress?] = []

      func begin(_ context: ServerContext) {
        addresses.append(context.peerAddress)
      }
    }
    try await withReactor { reactor in
      let callers = Callers()
      var configuration = ChannelConfiguration()
      configuration.callsPerConnection = 2
      let echo = try EchoServer(
        reactor, interceptors: [callers], configuration: configuration)
      // The stream goes on after others have used up the connection.
      let (writer, stream) = try await echo.client.converse()
      for _ in 0..<5 { _ = try await echo.client.echo(EchoServer.request("x")) }
      try await writer.write(EchoServer.request("y"))
      #expect(try await stream.next()?.text == "y")
      writer.finish()
      #expect(try await stream.next() == nil)
      let calls = Dictionary(grouping: callers.addresses) { $0 }.mapValues(\.count)
      #expect(calls.values.sorted() == [2, 2, 2])
    }
  }

  @Test func aTaskThatIsCancelledAlreadyMakesNoCall() async throws {
    try await withReactor { reactor in
      let gatekeeper = Gatekeeper()
      let echo = try EchoServer(reactor, interceptors: [gatekeeper])
      var outcome: RPCError?
      let task = reactor.loop.spawn(on: reactor) {
        withUnsafeCurrentTask { $0?.cancel() }
        outcome = await rpcError { _ = try await echo.client.echo(EchoServer.request("x")) }
      }
      await task.value
      #expect(outcome?.code == .cancelled)
      _ = try await echo.client.echo(EchoServer.request("y"))
      #expect(gatekeeper.calls == 1)
    }
  }

  @Test func methodsHaveTimeoutsOfTheirOwn() async throws {
    try await withReactor { reactor in
      var configuration = ChannelConfiguration()
      configuration.service.methods[TestingV1.EchoServiceMethods.echo.path] =
        ServiceConfig.Method(timeout: .milliseconds(50))
      let echo = try EchoServer(reactor, configuration: configuration)
      let options = CallOptions(timeout: .seconds(20))
      let error = await rpcError {
        _ = try await echo.client.echo(EchoServer.request("sleep"), options: options)
      }
      #expect(error?.code == .deadlineExceeded)
    }
  }
}
