import Contracts
import HTTP2
import RPC
import RPCCore
import Reactor
import TestKit
import Testing

/// Hedged calls on their way to connections and streams.
@Suite(.timeLimit(.minutes(1))) struct HedgedConnectionTests {
  private static let soon = Duration.milliseconds(5)

  @Test func attemptsGoToDifferentServers() async throws {
    try await withReactor { reactor in
      let hedged = try Hedged(reactor, [], HedgingPolicy(attempts: 2))
      let stuck = HedgedScript(Array(repeating: .hang, count: 100))
      let second = try EchoServer(reactor, handler: stuck)
      var configuration = ChannelConfiguration()
      configuration.service.loadBalancing = .roundRobin
      configuration.service.defaults.hedging = HedgingPolicy(attempts: 3, delay: Self.soon)
      let addresses = [second.address, hedged.echo.address]
      let channel = Channel(
        reactor: reactor, configuration: configuration, resolve: { return addresses })
      let client = TestingV1.EchoServiceClient(channel: channel)
      while stuck.calls < 3 { _ = try await client.echo(EchoServer.request("x")) }
      try await hedged.wait { stuck.cancelled == stuck.calls }
    }
  }

  @Test func aCallWithoutAConnectionMakesNoAttempts() async throws {
    try await withReactor { reactor in
      var configuration = ChannelConfiguration()
      configuration.service.defaults.hedging = HedgingPolicy(
        attempts: 3, codes: [.unavailable])
      let client = TestingV1.EchoServiceClient(
        channel: Channel(
          reactor: reactor, configuration: configuration,
          address: .ipv4(address: 0x7F00_0001, port: 1)))
      let record = CallRecord()
      let error = await rpcError {
        _ = try await client.echo(EchoServer.request("x"), options: CallOptions(record: record))
      }
      #expect(error?.code == .unavailable)
      let waiting = CallOptions(timeout: .milliseconds(100), waitForReady: true, record: record)
      let late = await rpcError {
        _ = try await client.echo(EchoServer.request("x"), options: waiting)
      }
      #expect(late?.message.hasPrefix("no connection before the deadline") == true)
      #expect(record.attempts == 0)
    }
  }

  /// With room for one stream, and `waiting` calls that wait for it.
  private static func crowded(
    _ reactor: isolated Reactor, _ steps: [HedgedStep], waiting: Int
  ) throws -> Hedged {
    var limits = ServerLimits()
    limits.http2.concurrentStreams = 1
    return try Hedged(
      reactor, steps, HedgingPolicy(attempts: 3, delay: soon), limits: limits
    ) {
      $0.connectionsMax = 1
      $0.waitingCalls = waiting
    }
  }

  @Test func anAttemptThatWaitsForAStreamIsWithdrawn() async throws {
    try await withReactor { reactor in
      let hedged = try Self.crowded(reactor, [.answer, .hang], waiting: 1)
      let client = hedged.client
      _ = try await client.echo(EchoServer.request("connect"))
      var answer: String?
      let first = reactor.loop.spawn(on: reactor) {
        answer = try? await client.echo(EchoServer.request("first")).text
      }
      try await hedged.wait { hedged.script.calls == 2 }
      // Ten times the delay after which the second attempt waits for the first one's stream to end.
      let pause = CallOptions(timeout: Self.soon * 10)
      _ = await rpcError {
        _ = try await hedged.echo.client.converse(options: pause).1.next()
      }
      #expect(answer == nil)
      hedged.script.release()
      await first.value
      #expect(answer == "first")
      #expect(hedged.counter.ends.last?.attempts == 1)
      // Nobody waits for the next stream.
      #expect(try await client.echo(EchoServer.request("second")).text == "second")
      #expect(hedged.script.calls == 4)
    }
  }

  @Test func anAttemptThatCannotBePlacedSparesTheOthers() async throws {
    try await withReactor { reactor in
      let hedged = try Self.crowded(reactor, [.answer, .hang, .hang], waiting: 1)
      let client = hedged.client
      _ = try await client.echo(EchoServer.request("connect"))
      let options = CallOptions(timeout: .milliseconds(300))
      var errors: [RPCError?] = []
      let calls = ["x", "y"].map { text in
        reactor.loop.spawn(on: reactor) {
          let error = await rpcError {
            _ = try await client.echo(EchoServer.request(text), options: options)
          }
          errors.append(error)
        }
      }
      for call in calls { await call.value }
      // The second call waits from the beginning, so that no attempt of the first has a place to.
      #expect(errors.map { $0?.code } == [.deadlineExceeded, .deadlineExceeded])
      #expect(hedged.counter.ends.map(\.attempts).max() == 1)
    }
  }
}
