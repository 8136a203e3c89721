import Contracts
import RPC
import RPCCore
import Reactor
import TestKit
import Testing

/// Connections that grow old or stand idle, and calls that are on them.
@Suite(.timeLimit(.minutes(1))) struct ConnectionLifeTests {
  /// Remembers from which connections calls came.
  private final class Callers: ServerInterceptor {
    var addresses: Set<SocketAddress> = []

    func begin(_ context: ServerContext) {
      if let address = context.peerAddress { addresses.insert(address) }
    }
  }

  @Test func oldConnectionsAreReplacedWithoutLosingACall() async throws {
    try await withReactor { reactor in
      var limits = ServerLimits()
      limits.connectionAge = .milliseconds(100 * Sanitized.timeFactor)
      limits.shutdownNotice = .milliseconds(20 * Sanitized.timeFactor)
      let callers = Callers()
      let echo = try EchoServer(reactor, limits: limits, interceptors: [callers])
      while callers.addresses.count < 4 {
        #expect(try await echo.client.echo(EchoServer.request("x")).text == "x")
      }
    }
  }

  @Test func theAgeIsSpreadByItsJitter() async throws {
    try await withReactor { reactor in
      var limits = ServerLimits()
      limits.connectionAge = .milliseconds(200 * Sanitized.timeFactor)
      limits.connectionAgeJitter = 0.5
      limits.shutdownNotice = .zero
      let callers = Callers()
      let echo = try EchoServer(reactor, limits: limits, interceptors: [callers])
      var ages: [Duration] = []
      var started = Instant.now()
      while ages.count < 6 {
        let before = callers.addresses.count
        let asked = Instant.now()
        // Without any notice one may meet the end of connection after connection.
        _ = await rpcError { _ = try await echo.client.echo(EchoServer.request("x")) }
        if callers.addresses.count > before {
          if before > 0 { ages.append(Instant.now() - started) }
          started = asked
        }
      }
      // One alone may seem younger: its connection was made before a call was seen on it.
      #expect(ages.sorted()[ages.count / 2] >= .milliseconds(95))
      let spread = (ages.max() ?? .zero) - (ages.min() ?? .zero)
      #expect(spread > .milliseconds(5))
    }
  }

  @Test func callsOnAnOldConnectionHaveItsGrace() async throws {
    try await withReactor { reactor in
      var limits = ServerLimits()
      limits.connectionAge = .milliseconds(50 * Sanitized.timeFactor)
      limits.shutdownNotice = .milliseconds(20 * Sanitized.timeFactor)
      limits.connectionAgeGrace = .seconds(2 * Sanitized.timeFactor)
      let callers = Callers()
      let echo = try EchoServer(reactor, limits: limits, interceptors: [callers])
      let (writer, stream) = try await echo.client.converse()
      // The stream goes on while others use new connections already, until the grace is over.
      var answered = 0
      let error = await rpcError {
        while true {
          try await writer.write(EchoServer.request("x"))
          _ = try await stream.next()
          if callers.addresses.count > 2 { answered += 1 }
          _ = try await echo.client.echo(EchoServer.request("y"))
        }
      }
      #expect(answered > 0)
      #expect(error?.code == .unavailable)
    }
  }

  @Test func idleConnectionsAreClosedAndUsedOnesNot() async throws {
    try await withReactor { reactor in
      var limits = ServerLimits()
      limits.connectionIdle = .milliseconds(100 * Sanitized.timeFactor)
      limits.shutdownNotice = .milliseconds(20 * Sanitized.timeFactor)
      let callers = Callers()
      let echo = try EchoServer(reactor, limits: limits, interceptors: [callers])
      let (writer, stream) = try await echo.client.converse()
      await pass(.milliseconds(300 * Sanitized.timeFactor), on: reactor.loop)
      try await writer.write(EchoServer.request("still here"))
      #expect(try await stream.next()?.text == "still here")
      let ended = Instant.now()
      writer.finish()
      #expect(try await stream.next() == nil)
      while echo.server.connectionCount > 0 { await pass(.milliseconds(5), on: reactor.loop) }
      #expect(Instant.now() - ended >= .milliseconds(90))
      _ = try await echo.client.echo(EchoServer.request("again"))
      #expect(callers.addresses.count == 2)
    }
  }

  /// The client's reset takes the requests that wait; a handler that reads on learns of it.
  @Test func readingAfterAResetOfAFullQueueFails() async throws {
    try await withReactor { reactor in
      let server = Server(reactor: reactor)
      var outcome: RPCError?
      var isOver = false
      let method = TestingV1.EchoServiceMethods.converse
      server.register([
        .bidirectional(method) {
          (
            requests: RequestReader<TestingV1.EchoRequest>,
            responses: ResponseWriter<TestingV1.EchoResponse>, context: ServerContext
          ) in
          // The first may have been waited for; a further one has come out of the queue.
          for _ in 0..<3 { _ = try await requests.next() }
          try await responses.write(TestingV1.EchoResponse())
          while !Task.isCancelled { await pass(.milliseconds(5), on: context.reactor.loop) }
          outcome = await rpcError { _ = try await requests.next() }
          isOver = true
        }
      ])
      let address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: 0))
      let client = TestingV1.EchoServiceClient(
        channel: Channel(reactor: reactor, address: address))
      let (writer, stream) = try await client.converse()
      for _ in 0..<5 { try await writer.write(EchoServer.request("x")) }
      _ = try await stream.next()
      stream.cancel()
      while !isOver { await pass(.milliseconds(5), on: reactor.loop) }
      #expect(outcome?.code == .cancelled)
    }
  }
}

/// Lets time pass on the loop.
private func pass(_ duration: Duration, on loop: EventLoop) async {
  await withUnsafeContinuation { continuation in
    _ = loop.schedule(after: duration) { continuation.resume() }
  }
}
