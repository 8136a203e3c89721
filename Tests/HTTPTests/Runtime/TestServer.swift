import Foundation
import HTTP
import Reactor
import Synchronization

/// Something that happens once, and is awaited.
final class Event: Sendable {
  private let stream: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation

  init() { (stream, continuation) = AsyncStream.makeStream(of: Void.self) }

  func fire() {
    continuation.yield()
    continuation.finish()
  }

  /// Returns at once where it has happened; one waiter.
  func wait() async { for await _ in stream { return } }
}

/// What the handler of a test server tells its test.
final class Observations: Sendable {
  let started = Event()
  let cancelled = Event()
  let release = Event()
  let paths = Mutex<[String]>([])
  let failures = Mutex<[String]>([])
  /// The path whose request fires `release`.
  let releasing = Mutex<String?>(nil)
  let bytesWritten = Atomic<Int>(0)
  let bytesRead = Atomic<Int>(0)
}

/// The routes that the tests ask.
final class TestHandler: HTTPHandler {
  struct Refusal: Error { let secret = "s3cr3t" }

  let seen: Observations

  init(_ seen: Observations) { self.seen = seen }

  func handle(_ request: HTTPRequest, _ response: HTTPResponseWriter) async throws {
    seen.paths.withLock { $0.append(request.head.target) }
    if request.head.path == seen.releasing.withLock({ $0 }) { seen.release.fire() }
    switch request.head.path {
    case "/hello":
      try await response.send(.ok, ["content-type": "text/plain"], body: Array("hello".utf8))
    case "/head": try await response.send(.ok, body: Array(describe(request).utf8))
    case "/collect":
      let body = try await request.collectBody(upTo: 1000)
      try await response.send(.ok, body: Array("\(body.count)".utf8))
    case "/echo": try await echo(request, response)
    case "/count": try await count(request, response)
    case "/chunks": try await chunks(request, response)
    case "/wait": try await wait(request)
    case "/gate":
      seen.started.fire()
      await seen.release.wait()
      try await response.send(.ok, body: Array("released".utf8))
    case "/ignore-body": try await response.send(.ok, body: Array("ignored".utf8))
    case "/throw": throw Refusal()
    case "/nothing": break
    case "/cut":
      try response.start(HTTPResponseHead(status: .ok), length: 100)
      try await response.write(Array("half".utf8))
      throw Refusal()
    case "/short":
      try response.start(HTTPResponseHead(status: .ok), length: 100)
      try await response.write(Array("half".utf8))
    case "/bad-field": try await response.send(.ok, ["x": "a\r\nset-cookie: b"])
    case "/trailers":
      try response.start(HTTPResponseHead(status: .ok, headers: ["trailer": "x-sum"]))
      try await response.write(Array("body".utf8))
      try response.end(trailers: ["x-sum": "42"])
    default: try await response.send(.notFound)
    }
  }

  private func describe(_ request: HTTPRequest) -> String {
    let head = request.head
    let fields = [
      request.version.rawValue, head.method.name, head.authority, head.path, head.query ?? "-",
      head.headers["cookie"] ?? "-", request.isEncrypted ? "tls" : "plain",
    ]
    return fields.joined(separator: "|")
  }

  private func echo(_ request: HTTPRequest, _ response: HTTPResponseWriter) async throws {
    try response.start(HTTPResponseHead(status: .ok))
    while let bytes = try await request.readBody() { try await response.write(bytes) }
    try response.end(trailers: request.trailers)
  }

  private func count(_ request: HTTPRequest, _ response: HTTPResponseWriter) async throws {
    var total = 0
    while let bytes = try await request.readBody() {
      if total == 0 {
        seen.started.fire()
        if request.head.query == "gated" { await seen.release.wait() }
      }
      total += bytes.count
      seen.bytesRead.store(total, ordering: .relaxed)
    }
    try await response.send(.ok, body: Array("\(total)".utf8))
  }

  /// As many chunks of 16 KiB as the query says.
  private func chunks(_ request: HTTPRequest, _ response: HTTPResponseWriter) async throws {
    try response.start(HTTPResponseHead(status: .ok))
    let chunk = [UInt8](repeating: UInt8(ascii: "x"), count: 16 * 1024)
    do {
      for _ in 0..<(Int(request.head.query ?? "") ?? 0) {
        try await response.write(chunk)
        seen.bytesWritten.wrappingAdd(chunk.count, ordering: .relaxed)
        seen.started.fire()
      }
    } catch {
      seen.cancelled.fire()
      throw error
    }
  }

  /// Ends when its task is cancelled only.
  private func wait(_ request: HTTPRequest) async throws {
    let seen = self.seen
    await withTaskCancellationHandler {
      seen.started.fire()
      await seen.cancelled.wait()
    } onCancel: {
      seen.cancelled.fire()
    }
    try Task.checkCancellation()
  }
}

/// A server on a thread of its own.
final class TestServer: Sendable {
  private struct Parts: @unchecked Sendable {
    let server: HTTPServer
    let address: SocketAddress
  }

  let reactor: Reactor
  let seen = Observations()
  private let parts: Parts

  var port: UInt16 { parts.address.port ?? 0 }
  var address: SocketAddress { parts.address }

  init(
    _ limits: HTTPServerLimits = HTTPServerLimits(), tls: TLSContext? = nil
  ) async throws {
    let reactor = try Reactor.start(name: "http")
    self.reactor = reactor
    let seen = self.seen
    parts = try await reactor.run { reactor in
      let server = HTTPServer(reactor: reactor, limits: limits, handler: TestHandler(seen))
      server.handlerFailed = { request, error in
        seen.failures.withLock { $0.append("\(request.head.path): \(type(of: error))") }
      }
      let loopback = SocketAddress.ipv4(address: 0x7F00_0001, port: 0)
      return Parts(server: server, address: try server.listen(on: loopback, tls: tls))
    }
  }

  /// Asks the server something, on its reactor.
  func with<R: Sendable>(_ body: @escaping @Sendable (HTTPServer) -> R) async -> R {
    let parts = self.parts
    return await reactor.run { reactor in
      _ = reactor
      return body(parts.server)
    }
  }

  func drain(within time: Duration) async {
    let parts = self.parts
    await reactor.run { reactor in
      reactor.loop.checkIsolated()
      await parts.server.drain(until: Instant.now() + time)
    }
  }

  /// Starts a drain without anything of the global pool, whose threads the tests' clients block.
  func beginDrain(within time: Duration) -> Event {
    let drained = Event()
    let (reactor, parts) = (self.reactor, self.parts)
    reactor.loop.execute {
      reactor.loop.spawn(on: reactor) {
        await parts.server.drain(until: Instant.now() + time)
        drained.fire()
      }
    }
    return drained
  }

  func releaseWhenServed(_ path: String) { seen.releasing.withLock { $0 = path } }

  deinit {
    reactor.loop.stop()
  }
}
