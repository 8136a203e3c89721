import Contracts
import HTTP2
import RPC
import RPCCore
import Reactor
import TestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct HedgingTests {
  /// What a server does with one attempt.
  private enum Step {
    case answer
    /// Waits until it is cancelled, or `Script.release` is called; answers then.
    case hang
    case fail(StatusCode, pushback: String? = nil)
  }

  /// An echo service that does with each attempt what its step says, and answers when there are none
  /// left.
  private final class Script: TestingV1.EchoServiceHandler {
    private let service = EchoService()
    var steps: [Step]
    private(set) var calls = 0
    private(set) var cancelled = 0
    private var hanging: [AsyncStream<Void>.Continuation] = []

    init(_ steps: [Step]) { self.steps = steps }

    func echo(
      _ request: TestingV1.EchoRequest, context: ServerContext
    ) async throws -> TestingV1.EchoResponse {
      try await step(context)
      return try await service.echo(request, context: context)
    }

    func expand(
      _ request: TestingV1.ExpandRequest, responses: ResponseWriter<TestingV1.EchoResponse>,
      context: ServerContext
    ) async throws {
      try await step(context)
      try await service.expand(request, responses: responses, context: context)
    }

    func collect(
      _ requests: RequestReader<TestingV1.EchoRequest>, context: ServerContext
    ) async throws -> TestingV1.CollectResponse {
      try await step(context)
      return try await service.collect(requests, context: context)
    }

    func converse(
      _ requests: RequestReader<TestingV1.EchoRequest>,
      responses: ResponseWriter<TestingV1.EchoResponse>, context: ServerContext
    ) async throws {
      try await step(context)
      try await service.converse(requests, responses: responses, context: context)
    }

    private func step(_ context: ServerContext) async throws {
      if context.metadata["x-probe"] != nil { return }
      calls += 1
      switch steps.isEmpty ? .answer : steps.removeFirst() {
      case .answer: break
      case .hang: try await hang()
      case .fail(let code, let pushback):
        if let pushback {
          _ = context.trailingMetadata.appendReceived(
            name: "grpc-retry-pushback-ms", value: pushback)
        }
        throw RPCError(code, "as the script says")
      }
    }

    private func hang() async throws {
      let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
      hanging.append(continuation)
      var iterator = stream.makeAsyncIterator()
      _ = await iterator.next(isolation: #isolation)
      if Task.isCancelled {
        cancelled += 1
        throw CancellationError()
      }
    }

    func release() {
      for continuation in hanging { continuation.finish() }
    }
  }

  private final class Counter: ClientInterceptor {
    var begun = 0
    var ends: [CallEnd] = []

    func began(_ call: inout OutgoingCall) { begun += 1 }
    func ended(_ call: OutgoingCall, _ end: CallEnd) { ends.append(end) }
  }

  /// A server that follows a script, and a channel whose calls are hedged.
  private struct Hedged {
    let script: Script
    let echo: EchoServer
    let counter = Counter()
    let client: TestingV1.EchoServiceClient

    init(
      _ reactor: isolated Reactor, _ steps: [Step], _ policy: HedgingPolicy,
      limits: ServerLimits = ServerLimits(),
      configure: (inout ChannelConfiguration) -> Void = { _ in }
    ) throws {
      script = Script(steps)
      echo = try EchoServer(reactor, limits: limits, handler: script)
      var configuration = ChannelConfiguration()
      configuration.service.defaults.hedging = policy
      configure(&configuration)
      client = TestingV1.EchoServiceClient(
        channel: Channel(
          reactor: reactor, configuration: configuration, interceptors: [counter],
          address: echo.address))
    }

    /// Lets the server work until `condition` holds.
    func wait(until condition: () -> Bool) async throws {
      var probe = CallOptions()
      probe.metadata.append("x-probe", "1")
      while !condition() {
        _ = try await echo.client.echo(EchoServer.request("probe"), options: probe)
      }
    }
  }

  /// Longer than any test.
  private static let never = Duration.seconds(3600)
  private static let soon = Duration.milliseconds(5)

  @Test func aSlowAttemptIsOvertakenAndCancelled() async throws {
    try await withReactor { reactor in
      let hedged = try Hedged(reactor, [.hang], HedgingPolicy(attempts: 3, delay: Self.soon))
      let record = CallRecord()
      let answer = try await hedged.client.echo(
        EchoServer.request("x"), options: CallOptions(record: record))
      #expect(answer.text == "x")
      #expect(record.attempts >= 2)
      try await hedged.wait { hedged.script.cancelled == 1 }
      #expect(hedged.counter.begun == 1)
      #expect(hedged.counter.ends.map(\.status.code) == [.ok])
      #expect(hedged.counter.ends.map(\.attempts) == [record.attempts])
    }
  }

  @Test func aFailureThatIsNotFatalBringsTheNextAtOnce() async throws {
    try await withReactor { reactor in
      let hedged = try Hedged(
        reactor, [.fail(.unavailable), .fail(.aborted)],
        HedgingPolicy(attempts: 3, delay: Self.never, codes: [.unavailable, .aborted]))
      let record = CallRecord()
      _ = try await hedged.client.echo(
        EchoServer.request("x"), options: CallOptions(record: record))
      #expect(record.attempts == 3)
    }
  }

  @Test func aFatalStatusEndsAllAttempts() async throws {
    try await withReactor { reactor in
      let hedged = try Hedged(
        reactor, [.hang, .fail(.permissionDenied)],
        HedgingPolicy(attempts: 2, delay: Self.soon, codes: [.unavailable]))
      let error = await rpcError { _ = try await hedged.client.echo(EchoServer.request("x")) }
      #expect(error == RPCError(.permissionDenied, "as the script says"))
      try await hedged.wait { hedged.script.cancelled == 1 }
      #expect(hedged.counter.ends.map(\.attempts) == [2])
    }
  }

  @Test func attemptsAreBoundedAndTheLastFailureIsTheCalls() async throws {
    try await withReactor { reactor in
      let steps = (0..<10).map { Step.fail($0 == 4 ? .aborted : .unavailable) }
      let hedged = try Hedged(
        reactor, steps,
        HedgingPolicy(attempts: 50, delay: Self.never, codes: [.unavailable, .aborted]))
      let error = await rpcError { _ = try await hedged.client.echo(EchoServer.request("x")) }
      #expect(error?.code == .aborted)
      #expect(hedged.script.calls == RetryPolicy.attemptsMax)
    }
  }

  @Test func theOthersGoOnWhenTheLastFails() async throws {
    try await withReactor { reactor in
      let hedged = try Hedged(
        reactor, [.hang, .fail(.unavailable)],
        HedgingPolicy(attempts: 2, delay: Self.soon, codes: [.unavailable]))
      var answer: String?
      let call = reactor.loop.spawn(on: reactor) {
        answer = try? await hedged.client.echo(EchoServer.request("x")).text
      }
      try await hedged.wait { hedged.script.calls == 2 }
      #expect(answer == nil)
      hedged.script.release()
      await call.value
      #expect(answer == "x")
    }
  }

  @Test func attemptsWithoutADelayGoOutTogetherAndEndAtTheDeadline() async throws {
    try await withReactor { reactor in
      let hedged = try Hedged(reactor, [.hang, .hang, .hang], HedgingPolicy(attempts: 3))
      let error = await rpcError {
        _ = try await hedged.client.echo(
          EchoServer.request("x"), options: CallOptions(timeout: .milliseconds(300)))
      }
      #expect(error == RPCError(.deadlineExceeded, "no answer before the deadline"))
      try await hedged.wait { hedged.script.cancelled == 3 }
    }
  }

  // MARK: What servers and the channel say

  @Test func aServerMayAskForADelay() async throws {
    try await withReactor { reactor in
      let hedged = try Hedged(
        reactor, [.fail(.unavailable, pushback: "100")],
        HedgingPolicy(attempts: 2, delay: Self.never, codes: [.unavailable]))
      let begun = Instant.now()
      _ = try await hedged.client.echo(EchoServer.request("x"))
      #expect(Instant.now() - begun >= .milliseconds(100))
      #expect(hedged.script.calls == 2)
    }
  }

  @Test func aDelayPastTheDeadlineEndsTheCall() async throws {
    try await withReactor { reactor in
      let hedged = try Hedged(
        reactor, [.fail(.unavailable, pushback: "3600000")],
        HedgingPolicy(attempts: 2, delay: Self.never, codes: [.unavailable]))
      let error = await rpcError { _ = try await hedged.client.echo(EchoServer.request("x")) }
      #expect(error?.code == .unavailable)
    }
  }

  @Test(arguments: ["-1", "later"]) func aServerMayForbidFurtherAttempts(pushback: String)
    async throws
  {
    try await withReactor { reactor in
      let hedged = try Hedged(
        reactor, [.fail(.unavailable, pushback: pushback)],
        HedgingPolicy(attempts: 3, delay: Self.never, codes: [.unavailable]))
      let error = await rpcError { _ = try await hedged.client.echo(EchoServer.request("x")) }
      #expect(error?.code == .unavailable)
      #expect(hedged.script.calls == 1)
    }
  }

  @Test func thereIsOneAttemptWhileMostCallsFail() async throws {
    try await withReactor { reactor in
      let hedged = try Hedged(
        reactor, Array(repeating: .fail(.unavailable), count: 6),
        HedgingPolicy(attempts: 5, delay: Self.never, codes: [.unavailable])
      ) { $0.service.throttling = RetryThrottling(tokensMax: 4, tokenRatio: 0.5) }
      for _ in 0..<5 {
        _ = await rpcError { _ = try await hedged.client.echo(EchoServer.request("x")) }
      }
      // The second failure brings four tokens to half; from then on each call is made once.
      #expect(hedged.script.calls == 2 + 4)
      for _ in 0..<8 { _ = try await hedged.client.echo(EchoServer.request("x")) }
      hedged.script.steps = [.fail(.unavailable)]
      #expect(try await hedged.client.echo(EchoServer.request("x")).text == "x")
      #expect(hedged.script.calls == 6 + 8 + 2)
    }
  }

  @Test func dueAttemptsAreNotMadeWhileMostCallsFail() async throws {
    try await withReactor { reactor in
      let hedged = try Hedged(
        reactor, [.fail(.unavailable), .fail(.unavailable), .hang],
        HedgingPolicy(attempts: 2, delay: Self.soon, codes: [.unavailable])
      ) { $0.service.throttling = RetryThrottling(tokensMax: 4, tokenRatio: 0.5) }
      _ = await rpcError { _ = try await hedged.client.echo(EchoServer.request("x")) }
      let error = await rpcError {
        _ = try await hedged.client.echo(
          EchoServer.request("x"), options: CallOptions(timeout: .milliseconds(200)))
      }
      #expect(error?.code == .deadlineExceeded)
      #expect(hedged.counter.ends.map(\.attempts) == [2, 1])
    }
  }

  // MARK: Connections

  @Test func attemptsGoToDifferentServers() async throws {
    try await withReactor { reactor in
      let hedged = try Hedged(reactor, [], HedgingPolicy(attempts: 2))
      let stuck = Script(Array(repeating: .hang, count: 100))
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
    _ reactor: isolated Reactor, _ steps: [Step], waiting: Int
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

  // MARK: Streams

  @Test func streamsAreHedgedWithAllTheirMessages() async throws {
    try await withReactor { reactor in
      let hedged = try Hedged(reactor, [.hang], HedgingPolicy(attempts: 2, delay: Self.soon))
      let collected = try await hedged.client.collect { writer in
        for text in ["a", "b"] { try await writer.write(EchoServer.request(text)) }
        try await hedged.wait { hedged.script.calls == 2 }
        try await writer.write(EchoServer.request("c"))
      }
      #expect(collected.text == "abc")
      try await hedged.wait { hedged.script.cancelled == 1 }

      hedged.script.steps = [.hang]
      var request = TestingV1.ExpandRequest()
      request.count = 1000
      let expanded = try await hedged.client.expand(request)
      var count = 0
      while try await expanded.next() != nil { count += 1 }
      #expect(count == 1000)

      hedged.script.steps = [.hang]
      let (writer, stream) = try await hedged.client.converse()
      for text in ["x", "y"] {
        try await writer.write(EchoServer.request(text))
        #expect(try await stream.next()?.text == text)
      }
      writer.finish()
      #expect(try await stream.next() == nil)
      try await hedged.wait { hedged.script.cancelled == 3 }
    }
  }

  @Test func cancellationReachesAllAttempts() async throws {
    try await withReactor { reactor in
      let hedged = try Hedged(reactor, [.hang, .hang], HedgingPolicy(attempts: 2))
      let (_, stream) = try await hedged.client.converse()
      try await hedged.wait { hedged.script.calls == 2 }
      stream.cancel()
      try await hedged.wait { hedged.script.cancelled == 2 }
    }
  }

  @Test func aRequestThatIsTooLargeToKeepHasOneAttempt() async throws {
    try await withReactor { reactor in
      let hedged = try Hedged(
        reactor, [.answer, .hang, .hang], HedgingPolicy(attempts: 2, delay: Self.soon)
      ) { $0.replayBytes = 1000 }
      // To be connected may take longer than the calls may.
      _ = try await hedged.client.echo(EchoServer.request("connect"))
      let large = EchoServer.request("x", payload: [UInt8](repeating: 1, count: 2000))
      let options = CallOptions(timeout: .milliseconds(200))
      let unary = await rpcError { _ = try await hedged.client.echo(large, options: options) }
      #expect(unary?.code == .deadlineExceeded)
      let streamed = await rpcError {
        _ = try await hedged.client.collect(options: options) { try await $0.write(large) }
      }
      #expect(streamed?.code == .deadlineExceeded)
      #expect(hedged.counter.ends.dropFirst().map(\.attempts) == [1, 1])
    }
  }

  @Test func theFirstAttemptStaysWhenARequestOutgrowsWhatIsKept() async throws {
    try await withReactor { reactor in
      let hedged = try Hedged(reactor, [.hang, .hang], HedgingPolicy(attempts: 2)) {
        $0.replayBytes = 1000
      }
      let (writer, stream) = try await hedged.client.converse()
      try await hedged.wait { hedged.script.calls == 2 }
      try await writer.write(EchoServer.request("x", payload: [UInt8](repeating: 1, count: 2000)))
      try await hedged.wait { hedged.script.cancelled == 1 }
      hedged.script.release()
      #expect(try await stream.next()?.payload.count == 2000)
      writer.finish()
      #expect(try await stream.next() == nil)
    }
  }
}
