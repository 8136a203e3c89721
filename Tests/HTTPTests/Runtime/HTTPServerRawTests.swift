import Foundation
import HTTP
import Reactor
import Synchronization
import TestKit
import Testing

/// The server against exact bytes: what curl never sends.
@Suite(.serialized) struct HTTPServerRawTests {
  private let next = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"

  /// The request is refused, the connection closed, and nothing behind it is served.
  @Test(arguments: [
    "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcd",
    "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 4, 4\r\n\r\nabcd",
    "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: +4\r\n\r\nabcd",
    "GET /x HTTP/1.1\nhost: a\n\n",
    "GET /x HTTP/1.1\r\nhost: a\r\nfolded: a\r\n b\r\n\r\n",
    "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length : 4\r\n\r\nabcd",
    "GET /x HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "GET /x HTTP/1.1\r\n\r\n",
    "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n",
    "GET /x HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n",
  ])
  func neverServesWhatFollowsAMalformedRequest(request: String) async throws {
    let server = try await TestServer()
    let client = try RawClient(port: server.port)
    try client.send(request + next)
    let answer = try client.readToEnd()
    #expect(answer.hasPrefix("HTTP/1.1 400 "))
    #expect(answer.contains("connection: close\r\n"))
    #expect(answer.components(separatedBy: "HTTP/1.1 ").count == 2)
    #expect(server.seen.paths.withLock { $0 }.isEmpty)
  }

  @Test func refusesABadChunkAndWhatFollowsIt() async throws {
    let server = try await TestServer()
    let client = try RawClient(port: server.port)
    let head = "POST /collect HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    try client.send(head + "4\r\nabcdXX0\r\n\r\n" + next)
    let answer = try client.readToEnd()
    #expect(answer.hasPrefix("HTTP/1.1 400 "))
    #expect(answer.components(separatedBy: "HTTP/1.1 ").count == 2)
    #expect(server.seen.paths.withLock { $0 } == ["/collect"])
  }

  @Test func answersPipelinedRequestsInOrder() async throws {
    let server = try await TestServer()
    let client = try RawClient(port: server.port)
    var requests = ""
    for index in 0..<50 {
      requests += "POST /collect?\(index) HTTP/1.1\r\nhost: a\r\ncontent-length: \(index)\r\n\r\n"
      requests += String(repeating: "x", count: index)
    }
    try client.send(requests + "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    let bodies = try client.readToEnd().components(separatedBy: "HTTP/1.1 200 OK\r\n").dropFirst()
      .map { $0.components(separatedBy: "\r\n\r\n")[1] }
    #expect(bodies == (0..<50).map(String.init) + ["hello"])
  }

  @Test func keepsTheConnectionAndSkipsAnUnwantedBody() async throws {
    let server = try await TestServer()
    let client = try RawClient(port: server.port)
    try client.send("POST /ignore-body HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nGET /")
    _ = try client.read(through: "\r\n\r\nignored")
    try client.send("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
    _ = try client.read(through: "\r\n\r\nhello")
    #expect(server.seen.paths.withLock { $0 } == ["/ignore-body", "/hello"])
  }

  /// A reset would take the answer from a client that is still sending.
  @Test func aRefusedUploadCanReadItsAnswer() async throws {
    var limits = HTTPServerLimits()
    limits.lingerTimeout = .seconds(30)
    let server = try await TestServer(limits)
    let client = try RawClient(port: server.port)
    try client.send("POST /ignore-body HTTP/1.1\r\nhost: a\r\ncontent-length: 4000000\r\n\r\n")
    try client.send([UInt8](repeating: 0, count: 4_000_000))
    #expect(try client.readToEnd().hasSuffix("ignored"))
  }

  @Test func closesAfterTheAgreedNumberOfRequests() async throws {
    var limits = HTTPServerLimits()
    limits.requestsPerConnection = 3
    let server = try await TestServer(limits)
    let client = try RawClient(port: server.port)
    let request = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n"
    try client.send(request + request + request + request)
    let answer = try client.readToEnd()
    #expect(answer.components(separatedBy: "HTTP/1.1 200").count == 4)
    #expect(answer.components(separatedBy: "connection: close").count == 2)
  }

  // MARK: Time limits

  @Test(arguments: ["", "G", "PRI * HT", "GET / HTTP/1.1\r\nhost: a\r\nx-slow: "])
  func givesUpOnAHeadThatDoesNotEnd(start: String) async throws {
    var limits = HTTPServerLimits()
    limits.headTimeout = .seconds(1)
    let server = try await TestServer(limits)
    let client = try RawClient(port: server.port)
    try client.send(start)
    let answer = try client.readToEnd()
    let isHTTP1 = start.hasPrefix("G")
    #expect(isHTTP1 ? answer.hasPrefix("HTTP/1.1 408 ") : answer.isEmpty)
  }

  /// Each byte is no new time: the head as a whole has a limit.
  @Test func givesUpOnAHeadSentByteByByte() async throws {
    var limits = HTTPServerLimits()
    limits.headTimeout = .seconds(1)
    let server = try await TestServer(limits)
    let client = try RawClient(port: server.port)
    try client.send("GET / HTTP/1.1\r\nhost: a\r\n")
    // Fewer than the fields that a head may have.
    await #expect(throws: RawClient.Failure.self) {
      for _ in 0..<90 {
        try client.send("x: y\r\n")
        try await Task.sleep(for: .milliseconds(50))
      }
    }
  }

  @Test func closesAnIdleConnection() async throws {
    var limits = HTTPServerLimits()
    limits.keepAliveTimeout = .seconds(1)
    let server = try await TestServer(limits)
    let client = try RawClient(port: server.port)
    try client.send("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
    #expect(try client.readToEnd().hasSuffix("hello"))
  }

  @Test func givesUpOnABodyThatDoesNotCome() async throws {
    var limits = HTTPServerLimits()
    limits.bodyIdleTimeout = .seconds(1)
    limits.headTimeout = .seconds(1)
    let server = try await TestServer(limits)
    let client = try RawClient(port: server.port)
    try client.send("POST /collect HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc")
    let answer = try client.readToEnd()
    #expect(answer.hasPrefix("HTTP/1.1 408 "))
    #expect(answer.contains("the body did not come in time"))
  }

  /// The client would take a second answer for that of its next request.
  @Test func aBodyThatNobodyWantedAndDoesNotComeHasOneAnswer() async throws {
    var limits = HTTPServerLimits()
    limits.headTimeout = .seconds(1)
    let server = try await TestServer(limits)
    let client = try RawClient(port: server.port)
    try client.send("POST /ignore-body HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc")
    let answer = try client.readToEnd()
    #expect(answer.hasPrefix("HTTP/1.1 200 "))
    #expect(answer.hasSuffix("ignored"))
  }

  @Test func cutsOffAReaderThatTakesNothing() async throws {
    var limits = HTTPServerLimits()
    limits.connection.writeStall = .milliseconds(200)
    let server = try await TestServer(limits)
    let client = try RawClient(port: server.port, receiveBufferBytes: 4096)
    try client.send("GET /chunks?100000 HTTP/1.1\r\nhost: a\r\n\r\n")
    await server.seen.cancelled.wait()
    // What was accepted for sending is the kernel's buffers and ours, not the 1.6 GB asked for.
    #expect(server.seen.bytesWritten.load(ordering: .relaxed) < 16 * 1024 * 1024)
    withExtendedLifetime(client) {}
  }

  // MARK: Numbers

  @Test func answers503AboveItsNumberOfHandlers() async throws {
    var limits = HTTPServerLimits()
    limits.handlersMax = 1
    limits.retryAfterSeconds = 7
    let server = try await TestServer(limits)
    let first = try RawClient(port: server.port)
    try first.send("GET /gate HTTP/1.1\r\nhost: a\r\n\r\n")
    await server.seen.started.wait()
    let second = try RawClient(port: server.port)
    try second.send("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
    let refused = try second.read(through: "\r\n\r\n")
    #expect(refused.hasPrefix("HTTP/1.1 503 "))
    #expect(refused.contains("retry-after: 7\r\n"))
    server.seen.release.fire()
    _ = try first.read(through: "released")
    let third = try RawClient(port: server.port)
    try third.send("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
    #expect(try third.read(through: "hello").hasPrefix("HTTP/1.1 200"))
  }

  @Test func servesNoMoreConnectionsThanAllowed() async throws {
    var limits = HTTPServerLimits()
    limits.listener.connections = 1
    let server = try await TestServer(limits)
    var first: RawClient? = try RawClient(port: server.port)
    try first?.send("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
    _ = try first?.read(through: "hello")
    let second = try RawClient(port: server.port)
    try second.send("GET /hello?2 HTTP/1.1\r\nhost: a\r\n\r\n")
    #expect(await server.with { $0.connectionCount } == 1)
    try first?.send("GET /hello?1 HTTP/1.1\r\nhost: a\r\n\r\n")
    _ = try first?.read(through: "hello")
    first = nil
    _ = try second.read(through: "hello")
    #expect(server.seen.paths.withLock { $0 } == ["/hello", "/hello?1", "/hello?2"])
  }

  // MARK: Going away

  @Test func aClientThatGoesAwayCancelsItsHandler() async throws {
    let server = try await TestServer()
    var client: RawClient? = try RawClient(port: server.port)
    try client?.send("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
    await server.seen.started.wait()
    client = nil
    await server.seen.cancelled.wait()
    await server.drain(within: .seconds(5))
    #expect(await server.with { $0.connectionCount } == 0)
  }

  @Test func aClientThatResetsEndsAStreamedResponse() async throws {
    let server = try await TestServer()
    let client = try RawClient(port: server.port)
    try client.send("GET /chunks?100000 HTTP/1.1\r\nhost: a\r\n\r\n")
    await server.seen.started.wait()
    client.reset()
    await server.seen.cancelled.wait()
    #expect(server.seen.failures.withLock { $0 }.isEmpty)
  }

  @Test func aDrainLetsExchangesEnd() async throws {
    let server = try await TestServer()
    let idle = try RawClient(port: server.port)
    try idle.send("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
    _ = try idle.read(through: "hello")
    let busy = try RawClient(port: server.port)
    try busy.send("GET /gate HTTP/1.1\r\nhost: a\r\n\r\n")
    await server.seen.started.wait()
    let drained = server.beginDrain(within: .seconds(20))
    // The idle connection closes as soon as the drain has begun.
    #expect(try idle.readToEnd().isEmpty)
    server.seen.release.fire()
    let answer = try busy.readToEnd()
    #expect(answer.hasPrefix("HTTP/1.1 200 "))
    #expect(answer.contains("connection: close\r\n"))
    #expect(answer.hasSuffix("released"))
    await drained.wait()
    #expect(throws: RawClient.Failure.self) { try RawClient(port: server.port) }
  }

  @Test func aDrainEndsAtItsDeadline() async throws {
    let server = try await TestServer()
    let client = try RawClient(port: server.port)
    try client.send("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
    await server.seen.started.wait()
    await server.drain(within: .milliseconds(50))
    await server.seen.cancelled.wait()
    #expect(await server.with { $0.connectionCount } == 0)
  }

  @Test func readsNoFurtherAheadThanTheHandlerDoes() async throws {
    var limits = HTTPServerLimits()
    limits.bodyBytesMax = 1 << 30
    let server = try await TestServer(limits)
    let total = 64 * 1024 * 1024
    let client = try RawClient(port: server.port)
    try client.send("POST /count?gated HTTP/1.1\r\nhost: a\r\ncontent-length: \(total)\r\n\r\n")
    try client.send([UInt8](repeating: 1, count: 1024 * 1024))
    await server.seen.started.wait()
    server.seen.release.fire()
    for _ in 1..<64 { try client.send([UInt8](repeating: 1, count: 1024 * 1024)) }
    #expect(try client.read(through: "\(total)").hasPrefix("HTTP/1.1 200"))
  }
}
