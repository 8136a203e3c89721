import Contracts
import HTTP2
import Observability
import RPC
import RPCCore
import Reactor
import ServiceRuntime
import TestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct ClientInterceptorTests {
  /// Adds a field, and remembers what it was told.
  private final class Recorder: ClientInterceptor {
    let name: String
    var log: [String] = []
    var ends: [OutgoingCall] = []
    var deadlines: [Instant] = []

    init(_ name: String = "recorder") { self.name = name }

    func began(_ call: OutgoingCall, in scope: RequestScope?) {
      log.append("began \(call.method.name)")
      deadlines.append(call.deadline)
      call.metadata.append("x-seen-by", name)
    }

    func ended(_ call: OutgoingCall) {
      log.append("ended \(call.method.name) \(call.status.code.name)")
      ends.append(call)
    }
  }

  /// Answers each call's `x-seen-by` in its trailers, and fails the first calls.
  private final class Mirror: ServerInterceptor {
    var failures = 0

    func begin(_ context: ServerContext) throws {
      for entry in context.metadata.entries where entry.name == "x-seen-by" {
        if case .text(let text) = entry.value { context.trailingMetadata.append("x-saw", text) }
      }
      failures -= 1
      if failures >= 0 { throw RPCError(.unavailable, "not yet") }
    }
  }

  /// A server, and a client of it whose channel has interceptors.
  private struct Intercepted {
    let echo: EchoServer
    let mirror = Mirror()
    let channel: Channel
    let client: TestingV1.EchoServiceClient

    init(
      _ reactor: isolated Reactor, _ interceptors: [any ClientInterceptor],
      _ configuration: ChannelConfiguration = ChannelConfiguration()
    ) throws {
      echo = try EchoServer(reactor, interceptors: [mirror])
      channel = Channel(
        reactor: reactor, configuration: configuration, interceptors: interceptors,
        address: echo.address)
      client = TestingV1.EchoServiceClient(channel: channel)
    }
  }

  @Test func theyAddMetadataInTheirOrderAndSeeTheEnd() async throws {
    try await withReactor { reactor in
      let outer = Recorder("outer")
      let inner = Recorder("inner")
      let intercepted = try Intercepted(reactor, [outer, inner])
      var metadata = Metadata()
      metadata.append("x-seen-by", "caller")
      _ = try await intercepted.client.echo(
        EchoServer.request("x"), options: CallOptions(metadata: metadata))
      #expect(outer.log == ["began Echo", "ended Echo OK"])
      let saw = try #require(outer.ends.first).trailingMetadata.entries.map(\.value)
      #expect(saw == ["caller", "outer", "inner"].map { .text($0) })
    }
  }

  @Test func callsHaveTheDeadlineOfTheRequestThatMakesThem() async throws {
    try await withReactor { reactor in
      let recorder = Recorder()
      let intercepted = try Intercepted(reactor, [recorder])
      let deadline = Instant.now() + .seconds(25)
      let scope = RequestScope(context: nil, deadline: deadline.nanoseconds)
      try await RequestScope.$current.bound(to: scope) {
        _ = try await intercepted.client.echo(EchoServer.request("x"))
        _ = try await intercepted.client.expand(TestingV1.ExpandRequest(text: "x", count: 3))
        _ = try await intercepted.client.echo(
          EchoServer.request("x"), options: CallOptions(timeout: .seconds(10)))
      }
      #expect(recorder.deadlines.count == 3)
      #expect(recorder.deadlines.prefix(2).allSatisfy { $0 == deadline })
      #expect(recorder.deadlines.allSatisfy { $0 <= deadline } && recorder.deadlines[2] < deadline)
    }
  }

  @Test func whatOneCallCarriesStaysOutOfTheNext() async throws {
    try await withReactor { reactor in
      let recorder = Recorder()
      let intercepted = try Intercepted(reactor, [recorder])
      for carried in [["a", "b"], [], ["c"], ["c"]] {
        var metadata = Metadata()
        for text in carried { metadata.append("x-seen-by", text) }
        let options = CallOptions(metadata: metadata)
        _ = try await intercepted.client.echo(EchoServer.request("x"), options: options)
        let saw = recorder.ends.last?.trailingMetadata.entries.map(\.value)
        #expect(saw == (carried + ["recorder"]).map { .text($0) })
      }
    }
  }

  @Test func aCallOfSeveralAttemptsIsOne() async throws {
    try await withReactor { reactor in
      let recorder = Recorder()
      var configuration = ChannelConfiguration()
      configuration.service.defaults.retry = RetryPolicy(backoff: .milliseconds(1))
      let intercepted = try Intercepted(reactor, [recorder], configuration)
      intercepted.mirror.failures = 2
      _ = try await intercepted.client.echo(EchoServer.request("x"))
      #expect(recorder.log == ["began Echo", "ended Echo OK"])
      let end = try #require(recorder.ends.first)
      #expect(end.attempts == 3)
      // Each attempt carried it once.
      #expect(end.trailingMetadata.entries.count == 1)
    }
  }

  @Test func aCallThatNeverBeganIsNotTold() async throws {
    try await withReactor { reactor in
      let recorder = Recorder()
      let intercepted = try Intercepted(reactor, [recorder])
      let task = reactor.loop.spawn(on: reactor) {
        withUnsafeCurrentTask { $0?.cancel() }
        _ = await rpcError { _ = try await intercepted.client.echo(EchoServer.request("x")) }
      }
      await task.value
      #expect(recorder.log.isEmpty)
    }
  }

  /// Each way in which a call ends, and the code it is counted under.
  private enum Ending: String, CaseIterable {
    case unary = "OK"
    case clientStream = "OK collect"
    case serverStream = "OK expand"
    case bidirectional = "OK converse"
    case error = "FAILED_PRECONDITION"
    case cancelled = "CANCELLED"
    case deadline = "DEADLINE_EXCEEDED"
    case droppedStream = "CANCELLED expand"
    case channelClosed = "UNAVAILABLE"
    case tooLarge = "RESOURCE_EXHAUSTED"

    var code: String { String(rawValue.prefix { $0 != " " }) }
    var method: MethodDescriptor {
      switch self {
      case .clientStream: TestingV1.EchoServiceMethods.collect
      case .serverStream, .droppedStream: TestingV1.EchoServiceMethods.expand
      case .bidirectional: TestingV1.EchoServiceMethods.converse
      default: TestingV1.EchoServiceMethods.echo
      }
    }
  }

  private static func run(_ ending: Ending, _ part: Intercepted, _ reactor: Reactor) async throws {
    let client = part.client
    switch ending {
    case .unary: _ = try await client.echo(EchoServer.request("x"))
    case .clientStream:
      _ = try await client.collect { try await $0.write(EchoServer.request("x")) }
    case .serverStream:
      let stream = try await client.expand(TestingV1.ExpandRequest())
      while try await stream.next() != nil {}
    case .bidirectional:
      let (writer, stream) = try await client.converse()
      writer.finish()
      while try await stream.next() != nil {}
    case .error: _ = await rpcError { _ = try await client.echo(EchoServer.request("fail")) }
    case .deadline:
      let options = CallOptions(timeout: .milliseconds(50))
      _ = await rpcError {
        _ = try await client.echo(EchoServer.request("sleep"), options: options)
      }
    case .cancelled:
      let task = reactor.loop.spawn(on: reactor) {
        _ = await rpcError { _ = try await client.echo(EchoServer.request("sleep")) }
      }
      while part.echo.server.callsInProgress == 0 {
        _ = try await part.echo.client.echo(EchoServer.request("wait"))
      }
      task.cancel()
      await task.value
    case .droppedStream:
      var request = TestingV1.ExpandRequest()
      request.count = 1_000_000
      _ = try await client.expand(request).next()
    case .channelClosed:
      part.channel.close()
      _ = await rpcError { _ = try await client.echo(EchoServer.request("x")) }
    case .tooLarge:
      let request = EchoServer.request("x", payload: [UInt8](repeating: 1, count: 2000))
      _ = await rpcError { _ = try await client.echo(request) }
    }
  }

  @Test func bytesOfMessagesAreCounted() async throws {
    try await withReactor { reactor in
      let metrics = MetricsRegistry()
      let intercepted = try Intercepted(reactor, [ClientCallObserver(metrics: metrics)])
      let client = intercepted.client
      for text in ["12345", "123"] { _ = try await client.echo(EchoServer.request(text)) }
      let (writer, stream) = try await client.converse()
      for text in ["1", "22", "333"] { try await writer.write(EchoServer.request(text)) }
      writer.finish()
      while try await stream.next() != nil {}
      let seen = String(decoding: metrics.exposition(), as: UTF8.self)
      // Five bytes before each message, two in it before the text; of the answers the later two have an
      // index of two.
      for (method, sent, received) in [("Echo", 22, 22), ("Converse", 27, 31)] {
        let label = "{method=\"/storeplane.testing.v1.EchoService/\(method)\"}"
        #expect(seen.contains("\ngrpc_client_sent_message_bytes_total\(label) \(sent)\n"))
        #expect(seen.contains("\ngrpc_client_received_message_bytes_total\(label) \(received)\n"))
      }
    }
  }

  @Test(arguments: Ending.allCases)
  private func everyOutcomeIsCountedOnce(ending: Ending) async throws {
    try await withReactor { reactor in
      let metrics = MetricsRegistry()
      var configuration = ChannelConfiguration()
      configuration.service.defaults.requestBytesMax = 1000
      let intercepted = try Intercepted(
        reactor, [ClientCallObserver(metrics: metrics)], configuration)
      try await Self.run(ending, intercepted, reactor)
      let lines = Set(
        String(decoding: metrics.exposition(), as: UTF8.self).split(separator: "\n").map(
          String.init))
      let method = "method=\"\(ending.method.path)\""
      #expect(lines.contains("grpc_client_started_total{\(method)} 1"))
      #expect(lines.contains("grpc_client_handled_total{\(method),code=\"\(ending.code)\"} 1"))
      #expect(lines.contains("grpc_client_handling_seconds_count{\(method)} 1"))
      #expect(lines.contains("grpc_client_in_progress{\(method)} 0"))
      #expect(lines.count { $0.hasPrefix("grpc_client_handled_total{") } == 1)
    }
  }
}
