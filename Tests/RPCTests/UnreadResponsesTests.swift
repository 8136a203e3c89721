import Contracts
import RPC
import RPCCore
import Reactor
import TestKit
import Testing

/// A server that sends more than its client reads.
@Suite(.timeLimit(.minutes(1))) struct UnreadResponsesTests {
  private static let method = MethodDescriptor(
    service: "tests.Bombs", name: "Send", clientStreaming: false, serverStreaming: true)

  /// Half a kilobyte each that becomes half a megabyte: a window of them would be 256 MB.
  private func bombs(
    _ end: AsyncStream<Void>.Continuation
  ) -> (
    TestingV1.EchoRequest, ResponseWriter<TestingV1.EchoResponse>, ServerContext
  ) async throws -> Void {
    let bomb = TestingV1.EchoResponse(payload: [UInt8](repeating: 0, count: 500_000))
    return { _, responses, context in
      defer { end.finish() }
      context.compressesResponses = true
      // More than the window and what waits here take: the client's doing ends it.
      for _ in 0..<1000 { try await responses.write(bomb) }
    }
  }

  @Test func bombsThatNobodyReadsEndTheCall() async throws {
    try await withReactor { reactor in
      let (ended, end) = AsyncStream.makeStream(of: Void.self)
      var configuration = ChannelConfiguration()
      configuration.unreadResponseBytes = 3_000_000
      let echo = try EchoServer(reactor, configuration: configuration)
      echo.server.register([.serverStreaming(Self.method, self.bombs(end))])
      let responses: ResponseStream<TestingV1.EchoResponse> =
        try await echo.channel.serverStreaming(Self.method, TestingV1.EchoRequest())
      for await _ in ended {}
      let error = await rpcError { _ = try await responses.next() }
      #expect(
        error
          == RPCError(
            .resourceExhausted,
            "the messages that nobody has read take more than the limit of 3000000 bytes"))
    }
  }

  @Test func oneMessageMayAlwaysWait() async throws {
    try await withReactor { reactor in
      var configuration = ChannelConfiguration()
      configuration.unreadResponseBytes = 1
      let echo = try EchoServer(reactor, configuration: configuration)
      let (writer, responses) = try await echo.client.converse()
      for text in ["one", "two"] {
        try await writer.write(EchoServer.request(text))
        #expect(try await responses.next()?.text == text)
      }
    }
  }
}
