import Contracts
import HTTP2
import RPC
import RPCCore
import Reactor
import TestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct HedgingTests {
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
      let steps = (0..<10).map { HedgedStep.fail($0 == 4 ? .aborted : .unavailable) }
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
}
