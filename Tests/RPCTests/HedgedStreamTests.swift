import Contracts
import RPC
import RPCCore
import Reactor
import TestKit
import Testing

/// Hedged calls whose request or response streams.
@Suite(.timeLimit(.minutes(1))) struct HedgedStreamTests {
  private static let soon = Duration.milliseconds(5)

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
