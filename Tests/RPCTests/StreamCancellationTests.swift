import Contracts
import RPC
import RPCCore
import Reactor
import TestKit
import Testing

/// A task that waits on a stream is cancelled, and its call is not.
@Suite(.timeLimit(.minutes(1))) struct StreamCancellationTests {
  private typealias Handler = (
    RequestReader<TestingV1.EchoRequest>, ResponseWriter<TestingV1.EchoResponse>, ServerContext
  ) async throws -> Void

  /// A server with one method, and a client of it.
  private struct Served {
    let server: Server
    let client: TestingV1.EchoServiceClient

    init(_ reactor: isolated Reactor, _ handler: @escaping Handler) throws {
      server = Server(reactor: reactor)
      server.register([.bidirectional(TestingV1.EchoServiceMethods.converse, handler)])
      let address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: 0))
      client = TestingV1.EchoServiceClient(channel: Channel(reactor: reactor, address: address))
    }
  }

  @Test func aReaderStopsWithItsTaskAndAnotherGoesOn() async throws {
    try await withReactor { reactor in
      var outcome: (any Error)?
      let served = try Served(reactor) { requests, responses, context in
        let reading = context.reactor.loop.spawn(on: context.reactor) {
          do { _ = try await requests.next() } catch { outcome = error }
        }
        reading.cancel()
        await reading.value
        try await responses.write(TestingV1.EchoResponse(text: "stopped"))
        let request = try await requests.next()
        try await responses.write(TestingV1.EchoResponse(text: request?.text ?? "no request"))
      }
      let (writer, stream) = try await served.client.converse()
      #expect(try await stream.next()?.text == "stopped")
      #expect(outcome is CancellationError)
      try await writer.write(EchoServer.request("go on"))
      #expect(try await stream.next()?.text == "go on")
      #expect(try await stream.next() == nil)
    }
  }

  /// What has come for a call is there for its reader, also when the call is over.
  @Test func aReaderMayBeKeptForLongerThanItsCall() async throws {
    try await withReactor { reactor in
      var kept: RequestReader<TestingV1.EchoRequest>?
      let served = try Served(reactor) { requests, _, _ in
        _ = try await requests.next()
        kept = requests
      }
      let (writer, stream) = try await served.client.converse()
      for text in ["one", "two", "three"] { try await writer.write(EchoServer.request(text)) }
      writer.finish()
      #expect(try await stream.next() == nil)
      while served.server.heldBytes > 0 { await Task.yield() }
      #expect(try await kept?.next()?.text == "two")
      #expect(try await kept?.next()?.text == "three")
      #expect(try await kept?.next() == nil)
    }
  }

  @Test func aWriterStopsWithItsTaskAndAnotherGoesOn() async throws {
    try await withReactor { reactor in
      var outcome: (any Error)?
      let payload = [UInt8](repeating: 1, count: 100_000)
      let served = try Served(reactor) { requests, responses, context in
        let writing = context.reactor.loop.spawn(on: context.reactor) {
          do {
            while true {
              var response = TestingV1.EchoResponse(text: "large")
              response.payload = payload
              try await responses.write(response)
            }
          } catch {
            outcome = error
          }
        }
        // It waits: the client's window is full, and nobody reads there.
        writing.cancel()
        await writing.value
        _ = try await requests.next()
        try await responses.write(TestingV1.EchoResponse(text: "last"))
      }
      let (writer, stream) = try await served.client.converse()
      while outcome == nil { await Task.yield() }
      #expect(outcome is CancellationError)
      try await writer.write(EchoServer.request("read on"))
      var last: String?
      while let response = try await stream.next() { last = response.text }
      #expect(last == "last")
    }
  }

  @Test func aClientsReaderThatIsCancelledEndsTheCall() async throws {
    try await withReactor { reactor in
      var isOver = false
      var reason: RPCError?
      let served = try Served(reactor) { requests, responses, _ in
        try await responses.write(TestingV1.EchoResponse(text: "begun"))
        reason = await rpcError { _ = try await requests.next() }
        isOver = true
      }
      let (writer, stream) = try await served.client.converse()
      #expect(try await stream.next()?.text == "begun")
      var outcome: RPCError?
      let reading = reactor.loop.spawn(on: reactor) {
        outcome = await rpcError { _ = try await stream.next() }
      }
      reading.cancel()
      await reading.value
      #expect(outcome?.code == .cancelled)
      while !isOver { await Task.yield() }
      #expect(reason?.code == .cancelled)
      withExtendedLifetime(writer) {}
    }
  }
}
