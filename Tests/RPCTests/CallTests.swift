import Contracts
import HTTP2
import RPCCore
import Reactor
import TestKit
import Testing

@testable import RPC

@Suite(.timeLimit(.minutes(1))) struct CallTests {
  @Test func unaryCallsAnswerOnTheReactorsThread() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      for index in 0..<10 {
        let response = try await echo.client.echo(EchoServer.request("hello \(index)"))
        #expect(response.text == "hello \(index)")
      }
      #expect(echo.service.sawLoopThread)
      #expect(reactor.loop.isCurrent)
      #expect(echo.server.connectionCount == 1)
    }
  }

  @Test func messagesLargerThanAWindowPass() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      let payload = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0) }
      let response = try await echo.client.echo(EchoServer.request("big", payload: payload))
      #expect(response.payload == payload)
    }
  }

  @Test func serverStreamingKeepsOrderAndEnds() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      var request = TestingV1.ExpandRequest()
      request.count = 5000
      request.text = "x"
      let stream = try await echo.client.expand(request)
      var count: Int32 = 0
      while let response = try await stream.next() {
        #expect(response.index == count)
        count += 1
      }
      #expect(count == 5000)
    }
  }

  @Test func clientStreamingCollects() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      let response = try await echo.client.collect { writer in
        for index in 0..<1000 { try await writer.write(EchoServer.request("\(index % 10)")) }
      }
      #expect(response.count == 1000)
      #expect(response.text.utf8.count == 1000)
      #expect(echo.service.sawLoopThread)
    }
  }

  @Test func bothSidesStreamInTurn() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      let (writer, stream) = try await echo.client.converse()
      for index in 0..<100 {
        try await writer.write(EchoServer.request("m\(index)"))
        #expect(try await stream.next()?.text == "m\(index)")
      }
      writer.finish()
      #expect(try await stream.next() == nil)
      #expect(echo.service.sawLoopThread)
    }
  }

  @Test func statusesAndMessagesArrive() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      let error = await rpcError { _ = try await echo.client.echo(EchoServer.request("fail")) }
      #expect(error == RPCError(.failedPrecondition, "asked to fail – 100 %"))
    }
  }

  @Test func unexpectedErrorsTellNothingOfTheInside() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      let error = await rpcError { _ = try await echo.client.echo(EchoServer.request("crash")) }
      #expect(error == RPCError(.unknown, "internal error"))
    }
  }

  @Test func deadlinesEndTheCallOnBothSides() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      _ = try await echo.client.echo(EchoServer.request("connect"))
      let options = CallOptions(timeout: .milliseconds(200))
      let error = await rpcError {
        _ = try await echo.client.echo(EchoServer.request("sleep"), options: options)
      }
      #expect(error?.code == .deadlineExceeded)
      // The handler's task is cancelled as well, so that its place becomes free.
      _ = try await echo.client.echo(EchoServer.request("after"))
      while echo.server.callsInProgress > 0 {
        _ = try await echo.client.echo(EchoServer.request("again"))
      }
      #expect(echo.service.cancelledCalls == 1)
    }
  }

  /// The client is told by a status, not by a reset that means something else to it.
  @Test func theServersOwnLimitOfACallIsADeadline() async throws {
    var limits = ServerLimits()
    limits.unaryCall = .milliseconds(50)
    limits.streamingCall = .milliseconds(50)
    try await withReactor { [limits] reactor in
      let echo = try EchoServer(reactor, limits: limits)
      let error = await rpcError { _ = try await echo.client.echo(EchoServer.request("sleep")) }
      #expect(error?.code == .deadlineExceeded)
      let (writer, stream) = try await echo.client.converse()
      try await writer.write(EchoServer.request("hello"))
      #expect(try await stream.next()?.text == "hello")
      let end = await rpcError { _ = try await stream.next() }
      #expect(end?.code == .deadlineExceeded)
    }
  }

  /// Its headers wait for the end of the loop's turn: the server never hears of the stream.
  @Test func aCallThatIsCancelledBeforeItIsSentHarmsNoOther() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      _ = try await echo.client.echo(EchoServer.request("connect"))
      var outcome: RPCError?
      var answer: String?
      let record = CallRecord()
      let other = reactor.loop.spawn(on: reactor) {
        answer = try? await echo.client.echo(
          EchoServer.request("other"), options: CallOptions(record: record)
        ).text
      }
      let unsent = reactor.loop.spawn(on: reactor) {
        outcome = await rpcError {
          let (_, answers) = try await echo.client.converse()
          answers.cancel()
          _ = try await answers.next()
        }
      }
      await unsent.value
      await other.value
      #expect(outcome?.code == .cancelled)
      // By another connection it would have been sent again.
      #expect(answer == "other" && record.attempts == 1)
    }
  }

  /// Nobody listens before `UnaryClientCall.unheard`; what was missed is heard then.
  @Test(arguments: [true, false])
  func cancellingTheCallersTaskReachesTheHandler(atOnce: Bool) async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      _ = try await echo.client.echo(EchoServer.request("connect"))
      var outcome: RPCError?
      let task = reactor.loop.spawn(on: reactor) {
        outcome = await rpcError { _ = try await echo.client.echo(EchoServer.request("sleep")) }
      }
      while !atOnce, echo.server.callsInProgress == 0 {
        _ = try await echo.client.echo(EchoServer.request("wait"))
        if echo.server.callsInProgress > 0 { break }
      }
      task.cancel()
      await task.value
      #expect(outcome?.code == .cancelled)
      while echo.service.cancelledCalls == 0 {
        _ = try await echo.client.echo(EchoServer.request("again"))
      }
      #expect(echo.server.callsInProgress == 0)
    }
  }

  @Test func unknownMethodsAreUnimplemented() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      let method = MethodDescriptor(
        service: "no.such.Service", name: "Nothing", clientStreaming: false, serverStreaming: false)
      let error = await rpcError {
        let _: TestingV1.EchoResponse = try await echo.channel.unary(
          method, EchoServer.request(""))
      }
      #expect(error?.code == .unimplemented)
    }
  }

  @Test func callsPastTheBoundAreRefused() async throws {
    try await withReactor { reactor in
      var limits = ServerLimits()
      limits.callsInProgress = 1
      let echo = try EchoServer(reactor, limits: limits)
      _ = try await echo.client.echo(EchoServer.request("connect"))
      let (writer, stream) = try await echo.client.converse()
      try await writer.write(EchoServer.request("first"))
      _ = try await stream.next()
      let error = await rpcError { _ = try await echo.client.echo(EchoServer.request("second")) }
      #expect(error?.code == .resourceExhausted)
      writer.finish()
      #expect(try await stream.next() == nil)
      #expect(try await echo.client.echo(EchoServer.request("third")).text == "third")
    }
  }

  /// A handler that goes on for a client that has left keeps its place.
  @Test func abandonedHandlersCountAsCallsInProgress() async throws {
    try await withReactor { reactor in
      var limits = ServerLimits()
      limits.callsInProgress = 1
      limits.retryPushback = .milliseconds(2)
      var configuration = ChannelConfiguration()
      // Only pushback makes the second attempt come before the deadline.
      configuration.service.defaults.retry = RetryPolicy(
        attempts: 2, codes: [.resourceExhausted], backoff: .seconds(60), backoffMax: .seconds(60))
      let echo = try EchoServer(reactor, limits: limits, configuration: configuration)
      let method = MethodDescriptor(
        service: "test.Stubborn", name: "Stay", clientStreaming: false, serverStreaming: false)
      var waiting: CheckedContinuation<Void, Never>?
      let stay: (TestingV1.EchoRequest, ServerContext) async throws -> TestingV1.EchoResponse = {
        _, _ in
        await withCheckedContinuation { waiting = $0 }
        return TestingV1.EchoResponse()
      }
      echo.server.register([.unary(method, stay)])
      let leaving = reactor.loop.spawn(on: reactor) {
        _ = await rpcError {
          let _: TestingV1.EchoResponse = try await echo.channel.unary(
            method, EchoServer.request("x"))
        }
      }
      while waiting == nil { await Task.yield() }
      leaving.cancel()
      await leaving.value
      let record = CallRecord()
      let error = await rpcError {
        _ = try await echo.client.echo(
          EchoServer.request("refused"), options: CallOptions(record: record))
      }
      #expect(error?.message == "too many calls in progress; try again later")
      #expect(record.attempts == 2)
      #expect(echo.server.callsInProgress == 1)
      waiting?.resume()
      while echo.server.callsInProgress > 0 { await Task.yield() }
      #expect(try await echo.client.echo(EchoServer.request("served")).text == "served")
    }
  }

  /// The policy's own delay is longer than the call may take: only pushback gets further attempts made.
  @Test func refusedCallsAreMadeAgainWhenTheServerSays() async throws {
    try await withReactor { reactor in
      var limits = ServerLimits()
      limits.callsInProgress = 1
      limits.retryPushback = .milliseconds(2)
      var configuration = ChannelConfiguration()
      configuration.service.defaults.retry = RetryPolicy(
        attempts: 4, codes: [.resourceExhausted], backoff: .seconds(60),
        backoffMax: .seconds(60))
      let echo = try EchoServer(reactor, limits: limits, configuration: configuration)
      let (writer, stream) = try await echo.client.converse()
      try await writer.write(EchoServer.request("first"))
      _ = try await stream.next()
      let record = CallRecord()
      let error = await rpcError {
        _ = try await echo.client.echo(
          EchoServer.request("second"), options: CallOptions(timeout: .seconds(20), record: record))
      }
      #expect(error?.code == .resourceExhausted)
      #expect(record.attempts == 4)
      writer.finish()
      #expect(try await stream.next() == nil)
    }
  }

  @Test func aSlowReaderStopsAFastWriter() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      var request = TestingV1.ExpandRequest()
      request.text = String(repeating: "x", count: 10_000)
      request.count = 10_000
      let stream = try await echo.client.expand(request)
      _ = try await stream.next()
      // While we read nothing, the server comes no further than a window and its own queue.
      for _ in 0..<50 { _ = try await echo.client.echo(EchoServer.request("tick")) }
      #expect(echo.server.callsInProgress == 1)
      // As many messages as come to the gate's limit and the one that passes it, and the call with its head.
      let held = echo.server.heldBytes - ServerLimits.callBytes
      let gate = OutputGate.highWaterBytes
      #expect((gate...gate + 10_000 + 1024).contains(held))
      var count = 1
      while try await stream.next() != nil { count += 1 }
      #expect(count == 10_000)
      while echo.server.callsInProgress > 0 { await Task.yield() }
      #expect(echo.server.heldBytes == 0)
    }
  }

  @Test func slowReadersHoldUpNoOtherCall() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      var request = TestingV1.ExpandRequest()
      request.text = String(repeating: "x", count: 10_000)
      request.count = 100
      var streams: [ResponseStream<TestingV1.EchoResponse>] = []
      for _ in 0..<8 { streams.append(try await echo.client.expand(request)) }
      for stream in streams { #expect(try await stream.next() != nil) }
      let options = CallOptions(timeout: .seconds(20))
      for _ in 0..<50 {
        _ = try await echo.client.echo(EchoServer.request("tick"), options: options)
      }
      for stream in streams {
        var count = 1
        while try await stream.next() != nil { count += 1 }
        #expect(count == 100)
      }
    }
  }

  @Test func metadataGoesBothWays() async throws {
    final class Mirror: ServerInterceptor {
      func begin(_ context: ServerContext) {
        for entry in context.metadata.entries where entry.name == "ask-bin" {
          if case .bytes(let bytes) = entry.value {
            context.trailingMetadata.append("answer-bin", bytes: bytes)
          }
        }
      }
    }
    try await withReactor { reactor in
      let echo = try EchoServer(reactor, interceptors: [Mirror()])
      var metadata = Metadata()
      metadata.append("ask-bin", bytes: [0, 255, 7])
      metadata.append("ask-bin", bytes: [1])
      let stream = try await echo.client.expand(
        TestingV1.ExpandRequest(), options: CallOptions(metadata: metadata))
      #expect(try await stream.next() == nil)
      let values = stream.trailingMetadata.entries.map(\.value)
      #expect(values == [.bytes([0, 255, 7]), .bytes([1])])
    }
  }
}
