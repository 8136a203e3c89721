import RPCCore
import Reactor
import Testing

@testable import RPC

@Suite struct MessageQueueTests {
  /// A peer that resets a stream half read must reach the reader as an error, and nothing else.
  @Test func aStreamThatBreaksHalfReadFails() async throws {
    try await withReactor { reactor in
      let queue = MessageQueue<Int>()
      for message in 1...3 { queue.push(message, memoryBytes: 1) }
      let first = try await queue.next(on: reactor)
      #expect(first == 1)
      queue.finish(.failure(RPCError(.cancelled, "reset")))
      let error = await rpcError { _ = try await queue.next(on: reactor) }
      #expect(error?.code == .cancelled)
    }
  }

  @Test func aStreamThatEndsHalfReadIsReadToItsEnd() async throws {
    try await withReactor { reactor in
      let queue = MessageQueue<Int>()
      for message in 1...2 { queue.push(message, memoryBytes: 1) }
      let first = try await queue.next(on: reactor)
      #expect(first == 1)
      queue.finish(.success(()))
      #expect(try await queue.next(on: reactor) == 2)
      #expect(try await queue.next(on: reactor) == nil)
    }
  }

  /// What comes of the cancellation comes after the message.
  @Test func aLateCancellationDoesNotStopTheNextReader() async throws {
    try await withReactor { reactor in
      let queue = MessageQueue<Int>()
      var taken: [Int?] = []
      func read() -> Task<Void, Never> {
        reactor.loop.spawn(on: reactor) { taken.append(try? await queue.next(on: reactor)) }
      }
      let first = read()
      queue.push(1, memoryBytes: 1)
      first.cancel()
      let second = read()
      await first.value
      for _ in 0..<10 { await Task.yield() }
      queue.push(2, memoryBytes: 1)
      await second.value
      #expect(taken == [1, 2])
    }
  }
}
