import Contracts
import Observability
import RPC
import RPCCore
import Reactor
import TestKit

/// What a server does with one attempt.
enum HedgedStep {
  case answer
  /// Waits until it is cancelled, or `HedgedScript.release` is called; answers then.
  case hang
  case fail(StatusCode, pushback: String? = nil)
}

/// An echo service that does with each attempt what its step says, and answers when there are none
/// left.
final class HedgedScript: TestingV1.EchoServiceHandler {
  private let service = EchoService()
  var steps: [HedgedStep]
  private(set) var calls = 0
  private(set) var cancelled = 0
  private var hanging: [AsyncStream<Void>.Continuation] = []

  init(_ steps: [HedgedStep]) { self.steps = steps }

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

final class CallCounter: ClientInterceptor {
  var begun = 0
  var ends: [OutgoingCall] = []

  func began(_ call: OutgoingCall, in scope: RequestScope?) { begun += 1 }
  func ended(_ call: OutgoingCall) { ends.append(call) }
}

/// A server that follows a script, and a channel whose calls are hedged.
struct Hedged {
  let script: HedgedScript
  let echo: EchoServer
  let counter = CallCounter()
  let client: TestingV1.EchoServiceClient

  init(
    _ reactor: isolated Reactor, _ steps: [HedgedStep], _ policy: HedgingPolicy,
    limits: ServerLimits = ServerLimits(),
    configure: (inout ChannelConfiguration) -> Void = { _ in }
  ) throws {
    script = HedgedScript(steps)
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
