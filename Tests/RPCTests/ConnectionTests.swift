import Contracts
import HTTP2
import RPC
import RPCCore
import RPCServices
import Reactor
import TestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct ConnectionTests {
  @Test func drainingLosesNoCallInFlight() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      let (writer, stream) = try await echo.client.converse()
      try await writer.write(EchoServer.request("before"))
      #expect(try await stream.next()?.text == "before")
      var drained = false
      let draining = reactor.loop.spawn(on: reactor) {
        await echo.server.drain(until: Instant.now() + .seconds(20))
        drained = true
      }
      try await writer.write(EchoServer.request("during"))
      #expect(try await stream.next()?.text == "during")
      #expect(!drained)
      writer.finish()
      #expect(try await stream.next() == nil)
      await draining.value
      #expect(drained)
      #expect(echo.server.connectionCount == 0)
    }
  }

  @Test func drainingCutsOffWhatDoesNotEnd() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      let (writer, stream) = try await echo.client.converse()
      try await writer.write(EchoServer.request("before"))
      _ = try await stream.next()
      await echo.server.drain(until: Instant.now() + .milliseconds(300))
      #expect(echo.server.connectionCount == 0)
      #expect(await rpcError { _ = try await stream.next() }?.code == .unavailable)
    }
  }

  @Test func aRefusedConnectionFailsAtOnceWithTheReason() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      await echo.server.drain(until: Instant.now() + .seconds(1))
      let error = await rpcError { _ = try await echo.client.echo(EchoServer.request("x")) }
      #expect(error?.code == .unavailable)
      #expect(error?.message.contains("Connection refused") == true)
    }
  }

  @Test func waitForReadyOutlastsARestart() async throws {
    try await withReactor { reactor in
      let first = try EchoServer(reactor)
      _ = try await first.client.echo(EchoServer.request("x"))
      await first.server.drain(until: Instant.now() + .seconds(1))
      var answer: String?
      let waiting = reactor.loop.spawn(on: reactor) {
        let options = CallOptions(waitForReady: true)
        answer = try? await first.client.echo(EchoServer.request("y"), options: options).text
      }
      let second = Server(reactor: reactor)
      second.register(EchoService().methods)
      try second.listen(on: first.address)
      await waiting.value
      #expect(answer == "y")
    }
  }

  @Test func furtherConnectionsOpenAtTheStreamLimit() async throws {
    try await withReactor { reactor in
      var limits = ServerLimits()
      limits.http2.concurrentStreams = 2
      let echo = try EchoServer(reactor, limits: limits)
      _ = try await echo.client.echo(EchoServer.request("connect"))
      var open: [(RequestWriter<TestingV1.EchoRequest>, ResponseStream<TestingV1.EchoResponse>)] =
        []
      for _ in 0..<5 { open.append(try await echo.client.converse()) }
      for (writer, stream) in open {
        try await writer.write(EchoServer.request("x"))
        #expect(try await stream.next()?.text == "x")
      }
      #expect(echo.server.connectionCount == 3)
    }
  }

  @Test func healthIsCheckedListedAndWatched() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      let client = GRPCHealthV1.HealthClient(channel: echo.channel)
      #expect(try await client.check(.init()).status == .notServing)
      var unknown = GRPCHealthV1.HealthCheckRequest()
      unknown.service = "nobody"
      let request = unknown
      #expect(await rpcError { _ = try await client.check(request) }?.code == .notFound)
      let watch = try await client.watch(.init())
      #expect(try await watch.next()?.status == .notServing)
      echo.health.set(.serving)
      #expect(try await watch.next()?.status == .serving)
      #expect(try await client.list(.init()).statuses[""]?.status == .serving)
      watch.cancel()
    }
  }

  @Test func watchesOfTheHealthDoNotHoldUpADrain() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      let client = GRPCHealthV1.HealthClient(channel: echo.channel)
      echo.health.set(.serving)
      let watch = try await client.watch(.init())
      #expect(try await watch.next()?.status == .serving)
      echo.health.set(.notServing)
      echo.health.end()
      #expect(try await watch.next()?.status == .notServing)
      #expect(await rpcError { _ = try await watch.next() }?.code == .unavailable)
      let late = try await client.watch(.init())
      #expect(try await late.next()?.status == .notServing)
      #expect(await rpcError { _ = try await late.next() }?.code == .unavailable)
      await echo.server.drain(until: .now() + .seconds(3600))
    }
  }
}
