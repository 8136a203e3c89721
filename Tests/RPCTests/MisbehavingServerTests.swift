import Contracts
import HTTP2
import PythonPeer
import RPC
import RPCCore
import Reactor
import TestKit
import Testing

/// Our client against servers that break off, refuse, or keep silent: the negative cases of gRPC's
/// interoperability tests, and others of their kind.
@Suite(.timeLimit(.minutes(2))) struct MisbehavingServerTests {
  /// Runs `body` with a client of a server of that kind; returns what the server has seen.
  private func against(
    _ behaviour: String, _ configuration: ChannelConfiguration = ChannelConfiguration(),
    _ body: @Sendable (isolated Reactor, GRPCTesting.TestServiceClient) async throws -> Void
  ) async throws -> [String: Int] {
    let server = try PythonServer(InteropTests.path("interop_h2_server.py"), [behaviour])
    try await withReactor { reactor in
      let channel = Channel(
        reactor: reactor, configuration: configuration,
        address: .ipv4(address: 0x7F00_0001, port: server.port))
      try await body(reactor, GRPCTesting.TestServiceClient(channel: channel))
      channel.close()
    }
    let pairs = try server.ask("report").split(separator: " ").map { $0.split(separator: "=") }
    return Dictionary(
      uniqueKeysWithValues: pairs.map { (String($0[0]), Int($0[1]) ?? -1) })
  }

  private static let request = GRPCTesting.SimpleRequest(
    responseSize: 314_159, payload: GRPCTesting.Payload(body: [UInt8](repeating: 0, count: 271_828))
  )

  private static func call(
    _ client: GRPCTesting.TestServiceClient, _ options: CallOptions = CallOptions()
  ) async throws {
    let response = try await client.unaryCall(request, options: options)
    #expect(response.payload?.body.count == 314_159)
  }

  private static func failure(_ client: GRPCTesting.TestServiceClient) async -> RPCError? {
    await rpcError { _ = try await client.unaryCall(request) }
  }

  @Test func afterAGoawayTheNextCallConnectsAgain() async throws {
    let seen = try await against("goaway") { _, client in
      try await Self.call(client)
      try await Self.call(client)
    }
    #expect(seen["connections"] == 2)
    #expect(seen["calls"] == 2)
  }

  @Test(arguments: ["rst_after_header", "rst_during_data", "rst_after_data"])
  func aResetEndsTheCallWithItsCode(behaviour: String) async throws {
    let seen = try await against(behaviour) { _, client in
      let error = await Self.failure(client)
      #expect(error == RPCError(.internal, "the server reset the call (HTTP/2 code 2)"))
    }
    #expect(seen["calls"] == 1)
  }

  @Test func aResetWithoutAnErrorIsNoAnswerEither() async throws {
    _ = try await against("rst_no_error") { _, client in
      let error = await Self.failure(client)
      #expect(error == RPCError(.internal, "the server reset the call (HTTP/2 code 0)"))
    }
  }

  @Test(arguments: [LoadBalancing.pickFirst, .roundRobin])
  func aServerThatHangsUpOnAllIsLeftAloneForAWhile(balancing: LoadBalancing) async throws {
    var configuration = ChannelConfiguration()
    configuration.service.loadBalancing = balancing
    configuration.resolutionInterval = .zero
    let seen = try await against("hang_up", configuration) { _, client in
      let options = CallOptions(timeout: .seconds(3), waitForReady: true)
      let end = Instant.now() + .seconds(3)
      while Instant.now() < end {
        _ = await rpcError { _ = try await client.unaryCall(Self.request, options: options) }
      }
    }
    // At once, again at once, and after delays of 80 ms and more, each twice as long.
    #expect((3...9).contains(seen["connections", default: 0]))
  }

  /// The GOAWAY comes with the SETTINGS that let the call go on.
  @Test func aCallThatNeverLeavesIsGivenUp() async throws {
    var configuration = ChannelConfiguration()
    configuration.backoff = .milliseconds(1)
    let seen = try await against("goaway_at_once", configuration) { _, client in
      let record = CallRecord()
      let options = CallOptions(timeout: .seconds(10), waitForReady: true, record: record)
      let error = await rpcError { _ = try await client.unaryCall(Self.request, options: options) }
      #expect(error?.code == .unavailable)
      #expect(record.attempts == 1 + 5)
    }
    #expect(seen["calls"] == 0)
    #expect(seen["connections"] == 1 + 5)
  }

  @Test func pingsAreAnswered() async throws {
    let seen = try await against("ping") { _, client in
      try await Self.call(client)
      try await Self.call(client)
    }
    #expect(seen["pings", default: 0] > 10)
  }

  @Test func theServersStreamLimitHolds() async throws {
    let seen = try await against("max_streams") { reactor, client in
      try await Self.call(client)
      var failures = 0
      let calls = (0..<15).map { _ in
        reactor.loop.spawn(on: reactor) {
          do { try await Self.call(client) } catch { failures += 1 }
        }
      }
      for call in calls { await call.value }
      #expect(failures == 0)
    }
    #expect(seen["streams"] == 1)
    #expect(seen["calls"] == 16)
    #expect((2...4).contains(seen["connections", default: 0]))
  }

  @Test(arguments: ["refused_stream", "goaway_unseen"])
  func aCallThatTheServerNeverSawIsMadeAgain(behaviour: String) async throws {
    let seen = try await against(behaviour) { _, client in
      let record = CallRecord()
      try await Self.call(client, CallOptions(record: record))
      #expect(record.attempts == 2)
    }
    #expect(seen["calls"] == 2)
    // No retry in the sense of a policy.
    #expect(seen["told"] == 0)
  }

  @Test func aResponseWithoutAStatusIsAnError() async throws {
    _ = try await against("no_status") { _, client in
      #expect(await Self.failure(client)?.code == .unknown)
    }
  }

  @Test func anAnswerThatIsNotGRPCIsTold() async throws {
    _ = try await against("http_503") { _, client in
      let error = await Self.failure(client)
      #expect(error == RPCError(.unavailable, "the server answered HTTP 503, not gRPC"))
    }
  }

  private static func retrying() -> ChannelConfiguration {
    var configuration = ChannelConfiguration()
    configuration.service.defaults.retry = RetryPolicy(attempts: 4, backoff: .milliseconds(1))
    return configuration
  }

  @Test func aPolicyRetriesAndTellsTheServer() async throws {
    let seen = try await against("retry", Self.retrying()) { _, client in
      let record = CallRecord()
      try await Self.call(client, CallOptions(record: record))
      #expect(record.attempts == 3)
    }
    #expect(seen["calls"] == 3)
    #expect(seen["told"] == 1 + 2)
  }

  /// The first attempt's stream is the call itself.
  @Test func whatComesAfterTheStatusOfAnAttemptIsNotTheNextOnes() async throws {
    let seen = try await against("goes_on", Self.retrying()) { _, client in
      // What was left lying of so many would fill the connection's window.
      for _ in 0..<40 {
        let record = CallRecord()
        try await Self.call(client, CallOptions(record: record))
        #expect(record.attempts == 2)
      }
    }
    #expect(seen["calls"] == 80)
    #expect(seen["connections"] == 1)
  }

  private static func hedging() -> ChannelConfiguration {
    var configuration = ChannelConfiguration()
    configuration.service.defaults.hedging = HedgingPolicy(
      attempts: 4, delay: .seconds(3600), codes: [.unavailable])
    return configuration
  }

  @Test func hedgesAreToldToTheServer() async throws {
    let seen = try await against("retry", Self.hedging()) { _, client in
      try await Self.call(client)
    }
    #expect(seen["calls"] == 3)
    #expect(seen["told"] == 1 + 2)
  }

  @Test(arguments: ["refused_stream", "goaway_unseen"])
  func aHedgeThatTheServerNeverSawIsMadeAgain(behaviour: String) async throws {
    let seen = try await against(behaviour, Self.hedging()) { _, client in
      let record = CallRecord()
      try await Self.call(client, CallOptions(record: record))
      #expect(record.attempts == 2)
    }
    #expect(seen["calls"] == 2)
    #expect(seen["told"] == 0)
  }

  @Test func withoutAPolicyNothingIsRetried() async throws {
    let seen = try await against("retry") { _, client in
      #expect(await Self.failure(client)?.code == .unavailable)
    }
    #expect(seen["calls"] == 1)
  }

  @Test func theServerHasTheLastWordOnRetries() async throws {
    let seen = try await against("pushback", Self.retrying()) { _, client in
      #expect(await Self.failure(client)?.code == .unavailable)
    }
    #expect(seen["calls"] == 2)
  }

  @Test func aServerWithoutSettingsIsGivenUp() async throws {
    var configuration = ChannelConfiguration()
    configuration.connection.handshake = .milliseconds(200)
    _ = try await against("silent", configuration) { _, client in
      let error = await Self.failure(client)
      #expect(error?.code == .unavailable)
      #expect(error?.message.contains("sent no SETTINGS") == true)
    }
  }

  @Test func aServerThatAnswersNoPingIsGivenUp() async throws {
    var configuration = ChannelConfiguration()
    configuration.keepalive = .milliseconds(100)
    configuration.keepaliveTimeout = .milliseconds(200)
    _ = try await against("deaf", configuration) { _, client in
      let error = await Self.failure(client)
      #expect(error?.code == .unavailable)
      #expect(error?.message.contains("keepalive") == true)
    }
  }
}
