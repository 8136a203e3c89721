import Contracts
import HTTP2
import RPC
import RPCCore
import Reactor
import TestKit
import Testing

/// Calls that a handler makes, and writers whose readers are slow.
@Suite(.timeLimit(.minutes(1))) struct CallsOnBehalfTests {
  /// Passes each call on to another server, and tells what became of it.
  private final class Relay {
    let next: TestingV1.EchoServiceClient
    private(set) var errors: [RPCError] = []

    init(to next: TestingV1.EchoServiceClient) { self.next = next }

    func echo(
      _ request: TestingV1.EchoRequest, _ context: ServerContext
    ) async throws -> TestingV1.EchoResponse {
      do {
        return try await next.echo(request)
      } catch {
        errors.append(RPCError(error))
        throw error
      }
    }
  }

  /// Keeps what the last call's context said.
  private final class Witness: ServerInterceptor {
    private(set) var deadline: Instant?

    func begin(_ context: ServerContext) throws { deadline = context.deadline }
  }

  @Test func whatIsLeftOfADeadlineTravelsOn() async throws {
    try await withReactor { reactor in
      let witness = Witness()
      let last = try EchoServer(reactor, interceptors: [witness])
      let relay = Relay(to: last.client)
      let server = Server(reactor: reactor)
      server.register([.unary(TestingV1.EchoServiceMethods.echo, relay.echo)])
      let address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: 0))
      let client = TestingV1.EchoServiceClient(
        channel: Channel(reactor: reactor, address: address))
      _ = try await client.echo(
        EchoServer.request("x"), options: CallOptions(timeout: .seconds(20)))
      // The format rounds up: to a millisecond at most.
      let seen = try #require(witness.deadline)
      #expect(seen <= Instant.now() + .seconds(21) && seen > Instant.now())
      // Without it, the second call would have the longest time that its server gives.
      #expect(ServerLimits().unaryCall > .seconds(30))

      let error = await rpcError {
        _ = try await client.echo(
          EchoServer.request("sleep"), options: CallOptions(timeout: .milliseconds(200)))
      }
      #expect(error?.code == .deadlineExceeded)
      while last.service.cancelledCalls == 0 || relay.errors.isEmpty { await Task.yield() }
    }
  }

  @Test func cancellationReachesTheCallsThatAHandlerHasMade() async throws {
    try await withReactor { reactor in
      let last = try EchoServer(reactor)
      let relay = Relay(to: last.client)
      let server = Server(reactor: reactor)
      server.register([.unary(TestingV1.EchoServiceMethods.echo, relay.echo)])
      let address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: 0))
      let client = TestingV1.EchoServiceClient(
        channel: Channel(reactor: reactor, address: address))
      let call = reactor.loop.spawn(on: reactor) {
        _ = await rpcError { _ = try await client.echo(EchoServer.request("sleep")) }
      }
      while last.server.callsInProgress == 0 { await Task.yield() }
      call.cancel()
      await call.value
      while relay.errors.isEmpty { await Task.yield() }
      #expect(relay.errors.map(\.code) == [.cancelled])
      while last.service.cancelledCalls == 0 { await Task.yield() }
    }
  }

  /// The handler reads nothing until it is told to: no more than the windows and what a stream may
  /// queue is taken from the writer.
  @Test func aWriterWaitsForASlowServer() async throws {
    try await withReactor { reactor in
      let (gate, open) = AsyncStream.makeStream(of: Void.self)
      let server = Server(reactor: reactor)
      server.register([
        .clientStreaming(TestingV1.EchoServiceMethods.collect) {
          (requests: RequestReader<TestingV1.EchoRequest>, _: ServerContext) in
          var iterator = gate.makeAsyncIterator()
          _ = await iterator.next(isolation: #isolation)
          var response = TestingV1.CollectResponse()
          while try await requests.next() != nil { response.count += 1 }
          return response
        }
      ])
      let address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: 0))
      let client = TestingV1.EchoServiceClient(
        channel: Channel(reactor: reactor, address: address))
      let message = EchoServer.request("", payload: [UInt8](repeating: 1, count: 16_000))
      let (sent, limits) = (Sent(), ServerLimits())
      let call = reactor.loop.spawn(on: reactor) {
        sent.answer = try? await client.collect { writer in
          for _ in 0..<1_000 {
            try await writer.write(message)
            sent.count += 1
          }
        }
      }
      // Far more turns than it takes to fill the windows.
      var last = -1
      while sent.count == 0 || last != sent.count {
        last = sent.count
        for _ in 0..<2_000 { await Task.yield() }
      }
      let most = Int(limits.http2.streamWindowBytes) + 2 * 64 * 1024
      #expect(sent.count > 0 && sent.count * 16_000 < most)
      open.finish()
      await call.value
      #expect(sent.answer?.count == 1_000)
    }
  }

  private final class Sent {
    var count = 0
    var answer: TestingV1.CollectResponse?
  }
}
