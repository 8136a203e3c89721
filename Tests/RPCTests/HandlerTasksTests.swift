import Contracts
import RPCCore
import Reactor
import TestKit
import Testing

@testable import RPC

/// Handlers share tasks, which their calls must not notice.
@Suite(.timeLimit(.minutes(2))) struct HandlerTasksTests {
  /// Each of these handlers waits for its next request, in a task of its own.
  @Test func handlersThatWaitHoldUpNoOther() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      var calls: [Conversation] = []
      for _ in 0..<HandlerTasks.idleMax * 3 { calls.append(try await echo.client.converse()) }
      for round in 0..<2 {
        for (writer, stream) in calls {
          try await writer.write(EchoServer.request("\(round)"))
          #expect(try await stream.next()?.text == "\(round)")
        }
      }
      for (writer, stream) in calls {
        writer.finish()
        #expect(try await stream.next() == nil)
      }
      #expect(echo.server.callsInProgress == 0)
      #expect(echo.server.handlerTasks.idle.count == HandlerTasks.idleMax)
      #expect(try await echo.client.echo(EchoServer.request("after")).text == "after")
    }
  }

  @Test func aCancelledCallLeavesThoseAfterItAlone() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      for index in 0..<50 {
        let options = CallOptions(timeout: .milliseconds(5))
        let error = await rpcError {
          _ = try await echo.client.echo(EchoServer.request("sleep"), options: options)
        }
        #expect(error?.code == .deadlineExceeded)
        #expect(try await echo.client.echo(EchoServer.request("\(index)")).text == "\(index)")
      }
      // A deadline may pass before the call has come to its handler.
      #expect((1...50).contains(echo.service.cancelledCalls))
    }
  }

  /// More than one task takes in a row, sent at once.
  @Test func manyCallsAtOnceAreAllAnswered() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      _ = try await echo.client.echo(EchoServer.request("connect"))
      var answered = 0
      let calls = (0..<HandlerTasks.callsInARow * 2).map { index in
        reactor.loop.spawn(on: reactor) {
          let answer = try? await echo.client.echo(EchoServer.request("\(index)"))
          if answer?.text == "\(index)" { answered += 1 }
        }
      }
      for call in calls { await call.value }
      #expect(answered == HandlerTasks.callsInARow * 2)
    }
  }

  private typealias Conversation = (
    RequestWriter<TestingV1.EchoRequest>, ResponseStream<TestingV1.EchoResponse>
  )
}
