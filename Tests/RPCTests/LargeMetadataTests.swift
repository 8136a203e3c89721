import Contracts
import HTTP2
import RPC
import RPCCore
import Testing

/// Header blocks that are larger than either side takes.
@Suite(.timeLimit(.minutes(1))) struct LargeMetadataTests {
  /// Fails calls, and adds trailers of the size that the call asks for.
  private final class Generous: ServerInterceptor {
    var error = RPCError(.failedPrecondition, "as asked")
    var trailerBytes = 0

    func begin(_ context: ServerContext) throws {
      context.trailingMetadata.append("x-large", String(repeating: "a", count: trailerBytes))
      throw error
    }
  }

  @Test func aLongStatusArrivesCutShort() async throws {
    try await withReactor { reactor in
      let generous = Generous()
      let echo = try EchoServer(reactor, interceptors: [generous])
      let largest = ServerLimits.statusDetailsBytesMax
      for text in ["long ", "ä"] {
        let message = String(repeating: text, count: 20_000)
        generous.error = RPCError(
          .failedPrecondition, message, details: [UInt8](repeating: 7, count: largest))
        let error = await rpcError { _ = try await echo.client.echo(EchoServer.request("x")) }
        #expect(error?.code == .failedPrecondition)
        let told = error?.message ?? ""
        #expect(message.hasPrefix(told) && told.utf8.count > 600)
        #expect(error?.details.count == largest)
      }
      generous.error = RPCError(
        .aborted, "short", details: [UInt8](repeating: 7, count: largest + 1))
      let error = await rpcError { _ = try await echo.client.echo(EchoServer.request("x")) }
      #expect(error == RPCError(.aborted, "short"))
    }
  }

  /// More than our client takes: it says so, and goes on with its connection.
  @Test func largeTrailersFailTheirCallAlone() async throws {
    try await withReactor { reactor in
      let generous = Generous()
      generous.trailerBytes = 20_000
      let echo = try EchoServer(reactor, interceptors: [generous])
      for _ in 0..<200 {
        let error = await rpcError { _ = try await echo.client.echo(EchoServer.request("x")) }
        #expect(error?.code == .resourceExhausted)
        #expect(error?.message.contains("headerListBytes") == true)
      }
      #expect(echo.server.connectionCount == 1)
    }
  }

  /// More than nghttp2 sends, of which it says nothing.
  @Test func trailersThatCannotBeSentEndTheirCall() async throws {
    try await withReactor { reactor in
      let generous = Generous()
      generous.trailerBytes = 70_000
      let echo = try EchoServer(reactor, interceptors: [generous])
      let error = await rpcError { _ = try await echo.client.echo(EchoServer.request("x")) }
      #expect(error?.code == .internal)
    }
  }

  /// Neither does it say so of requests: they would be tried again and again.
  @Test func requestsThatCannotBeSentAreNotTried() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      var options = CallOptions()
      options.metadata.append("x-large-bin", bytes: [UInt8](repeating: 7, count: 30_000))
      // Less than the limit: it is the server that does not take it.
      let refused = await rpcError {
        _ = try await echo.client.echo(EchoServer.request("x"), options: options)
      }
      #expect(refused?.code == .internal)
      options.metadata.append("x-more", String(repeating: "a", count: 3_000))
      let error = await rpcError {
        _ = try await echo.client.echo(EchoServer.request("x"), options: options)
      }
      #expect(error?.code == .resourceExhausted)
      #expect(error?.message.contains("bytes of metadata, more than 32768") == true)
    }
  }
}
