package import Contracts
package import RPC
import RPCCore
import Reactor

/// The service of tests and benchmarks: one call of each kind.
package final class EchoService: TestingV1.EchoServiceHandler {
  /// What the last call saw, for tests.
  package private(set) var sawLoopThread = true
  package private(set) var cancelledCalls = 0

  package init() {}

  package func echo(
    _ request: TestingV1.EchoRequest, context: ServerContext
  ) async throws -> TestingV1.EchoResponse {
    sawLoopThread = sawLoopThread && context.reactor.loop.isCurrent
    switch request.text {
    case "fail": throw RPCError(.failedPrecondition, "asked to fail – 100 %")
    case "crash": throw UnexpectedFailure()
    case "sleep":
      try await waitForCancellation()
    default: break
    }
    return response(request, 0)
  }

  package func expand(
    _ request: TestingV1.ExpandRequest, responses: ResponseWriter<TestingV1.EchoResponse>,
    context: ServerContext
  ) async throws {
    for index in 0..<request.count {
      var response = TestingV1.EchoResponse()
      response.text = request.text
      response.index = index
      try await responses.write(response)
    }
  }

  package func collect(
    _ requests: RequestReader<TestingV1.EchoRequest>, context: ServerContext
  ) async throws -> TestingV1.CollectResponse {
    var response = TestingV1.CollectResponse()
    while let request = try await requests.next() {
      response.count += 1
      response.text += request.text
    }
    sawLoopThread = sawLoopThread && context.reactor.loop.isCurrent
    return response
  }

  package func converse(
    _ requests: RequestReader<TestingV1.EchoRequest>,
    responses: ResponseWriter<TestingV1.EchoResponse>, context: ServerContext
  ) async throws {
    var index: Int32 = 0
    while let request = try await requests.next() {
      try await responses.write(response(request, index))
      index += 1
    }
    sawLoopThread = sawLoopThread && context.reactor.loop.isCurrent
  }

  private struct UnexpectedFailure: Error {}

  private func waitForCancellation() async throws {
    let (never, _) = AsyncStream.makeStream(of: Void.self)
    var iterator = never.makeAsyncIterator()
    _ = await iterator.next(isolation: #isolation)
    cancelledCalls += 1
    throw CancellationError()
  }

  private func response(_ request: TestingV1.EchoRequest, _ index: Int32) -> TestingV1.EchoResponse
  {
    var response = TestingV1.EchoResponse()
    response.text = request.text
    response.payload = request.payload
    response.index = index
    return response
  }
}
