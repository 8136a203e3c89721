import Foundation
import HTTP
import PythonPeer
import Reactor
import Synchronization
import Testing

/// The server against Python's h2, for what curl does not do.
@Suite(.serialized) struct HTTPServerHTTP2Tests {
  private func verdict(_ server: TestServer, _ name: String) throws -> String {
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Peers/http2_client.py")
    return try PythonPeer.run(script, cases: ["\(server.port) \(name)"])[0]
  }

  @Test func aBodyOverTheLimitIsAnsweredAndThenStopped() async throws {
    var limits = HTTPServerLimits()
    limits.bodyBytesMax = 100
    let server = try await TestServer(limits)
    #expect(try verdict(server, "too_large") == "413 reset 0")
    #expect(server.seen.paths.withLock { $0 }.isEmpty)
  }

  @Test func refusesABodyOverTheHandlersLimit() async throws {
    #expect(try verdict(await TestServer(), "over_handlers_limit") == "413 413")
  }

  @Test func bodiesThatNobodyReadGiveTheirWindowBack() async throws {
    #expect(try verdict(await TestServer(), "unread_bodies") == "hello")
  }

  @Test func fieldsOfARefusedBlockDoNotLeakIntoTheNext() async throws {
    #expect(try verdict(await TestServer(), "bad_block") == "HTTP/2|GET|a|/head|-|-|plain")
  }

  @Test func aStreamThatIsNotReadIsReset() async throws {
    var limits = HTTPServerLimits()
    limits.connection.writeStall = .milliseconds(100)
    let server = try await TestServer(limits)
    #expect(try verdict(server, "slow_stream") == "reset 2 hello")
    await server.seen.cancelled.wait()
  }

  @Test func aResetStreamCancelsItsHandler() async throws {
    let server = try await TestServer()
    #expect(try verdict(server, "cancel") == "reset")
    await server.seen.cancelled.wait()
  }

  @Test func servesAHundredStreamsAtOnce() async throws {
    #expect(try verdict(await TestServer(), "many") == "True")
  }

  @Test func closesAnIdleConnection() async throws {
    var limits = HTTPServerLimits()
    limits.keepAliveTimeout = .seconds(1)
    #expect(try verdict(await TestServer(limits), "idle") == "closed")
  }

  @Test func aDrainLosesNoRequestOnItsWay() async throws {
    var limits = HTTPServerLimits()
    limits.shutdownNotice = .seconds(3)
    let server = try await TestServer(limits)
    server.releaseWhenServed("/hello")
    async let answer = onAThread { try verdict(server, "drain") }
    await server.seen.started.wait()
    let drained = server.beginDrain(within: .seconds(60))
    #expect(try await answer == "True hello released")
    await drained.wait()
  }

  /// Waits for the peer without a thread of the pool that this test's other half needs.
  private func onAThread(_ body: @escaping @Sendable () throws -> String) async throws -> String {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { continuation.resume(with: Result(catching: body)) }
    }
  }
}
