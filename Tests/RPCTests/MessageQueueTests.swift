import RPCCore
import Testing

@testable import RPC

@Suite struct MessageQueueTests {
  /// A peer that resets a stream half read must reach the reader as an error, and nothing else.
  @Test func aStreamThatBreaksHalfReadFails() async throws {
    let queue = MessageQueue<Int>()
    for message in 1...3 { queue.push(message, memoryBytes: 1) }
    #expect(try await queue.next() == 1)
    queue.finish(.failure(RPCError(.cancelled, "reset")))
    var thrown: RPCError?
    do { _ = try await queue.next() } catch { thrown = error as? RPCError }
    #expect(thrown?.code == .cancelled)
  }

  @Test func aStreamThatEndsHalfReadIsReadToItsEnd() async throws {
    let queue = MessageQueue<Int>()
    for message in 1...2 { queue.push(message, memoryBytes: 1) }
    #expect(try await queue.next() == 1)
    queue.finish(.success(()))
    #expect(try await queue.next() == 2)
    #expect(try await queue.next() == nil)
  }
}
