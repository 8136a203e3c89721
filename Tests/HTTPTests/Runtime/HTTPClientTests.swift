import HTTP
import PythonPeer
import Reactor
import Testing

/// The client against a server of Python's h11, and against one that breaks the rules.
@Suite struct HTTPClientTests {
  private static let server = Result {
    try PythonServer("Tests/HTTPTests/Peers/http1_server.py")
  }

  private func send(
    _ path: String, method: HTTPMethod = .get, body: String = "", port: UInt16? = nil,
    limits: HTTPClientLimits = HTTPClientLimits(), timeout: Duration = .seconds(20)
  ) async throws -> HTTPClientResponse {
    let port = try port ?? Self.server.get().port
    let reactor = try Reactor.start(name: "client")
    defer { reactor.loop.stop() }
    return try await reactor.run { reactor in
      try await HTTPClient(reactor: reactor, limits: limits).send(
        HTTPRequestHead(method: method, authority: "shop.localhost:\(port)", path: path),
        body: Array(body.utf8), to: .ipv4(address: 0x7F00_0001, port: port),
        deadline: .now() + timeout)
    }
  }

  private func failure(
    _ path: String, method: HTTPMethod = .get, port: UInt16? = nil,
    limits: HTTPClientLimits = HTTPClientLimits(), timeout: Duration = .seconds(20)
  ) async -> HTTPClientError.Kind? {
    do {
      _ = try await send(path, method: method, port: port, limits: limits, timeout: timeout)
      return nil
    } catch {
      return (error as? HTTPClientError)?.kind
    }
  }

  @Test(arguments: ["/plain", "/chunked"]) func asksAndReads(path: String) async throws {
    let answer = try await send(path)
    let port = try Self.server.get().port
    let body = String(decoding: answer.body, as: UTF8.self)
    #expect(answer.head.status == .ok)
    #expect(answer.head.headers.values(of: "set-cookie") == ["a=1", "b=2"])
    #expect(
      body.hasPrefix(#"{"method": "GET", "path": "\#(path)", "host": "shop.localhost:\#(port)""#))
  }

  @Test func sendsABody() async throws {
    let answer = try await send("/form", method: .post, body: "log=admin&pwd=%25")
    let body = String(decoding: answer.body, as: UTF8.self)
    #expect(body.contains(#""length": "17", "body": "log=admin&pwd=%25""#))
    let empty = try await send("/form", method: .post)
    #expect(String(decoding: empty.body, as: UTF8.self).contains(#""length": "0", "body": """#))
  }

  @Test func followsNoRedirect() async throws {
    #expect(try await send("/elsewhere").head.status.code == 302)
  }

  @Test func readsWhatHasNoLength() async throws {
    #expect(String(decoding: try await send("/until-close").body, as: UTF8.self) == "all of it")
    #expect(try await send("/early-hints").head.status.code == 204)
  }

  @Test(arguments: [
    ("/garbage", HTTPClientError.Kind.badAnswer), ("/two-lengths", .badAnswer),
    ("/bare-lf", .badAnswer), ("/unasked-switch", .badAnswer), ("/cut", .transport),
    ("/cut-chunk", .transport), ("/nothing", .transport), ("/too-large", .limitReached),
    ("/large-head", .limitReached), ("/many-fields", .limitReached), ("/endless", .limitReached),
  ])
  func refusesWhatIsNoAnswer(path: String, kind: HTTPClientError.Kind) async {
    #expect(await failure(path) == kind)
  }

  @Test func waitsNoLongerThanItIsTold() async {
    #expect(await failure("/silent", timeout: .milliseconds(100)) == .timeout)
  }

  @Test func stopsWhenCancelled() async throws {
    let task = Task { await failure("/silent") }
    task.cancel()
    #expect(await task.value == .cancelled)
  }

  @Test func saysThatNobodyListens() async {
    // The port of a server that is gone again is nobody's.
    #expect(await failure("/", port: 1) == .transport)
  }

  @Test(arguments: ["", "no-slash", "/a b", "/\r\nx: y"])
  func sendsNoRequestThatIsNone(path: String) async {
    #expect(await failure(path) == .badRequest)
  }

  @Test func hasALimitOfRequests() async {
    var limits = HTTPClientLimits()
    limits.requestsMax = 0
    #expect(await failure("/plain", limits: limits) == .limitReached)
  }

  @Test func speaksTLSWithWhomItExpects() async throws {
    let certificate = try TestCertificate()
    let server = try await TestServer(tls: certificate.server())
    let reactor = try Reactor.start(name: "client")
    defer { reactor.loop.stop() }
    let context = try certificate.client(["http/1.1"])
    func ask(_ host: String) async throws -> Int {
      let port = server.port
      return try await reactor.run { reactor in
        try await HTTPClient(reactor: reactor).send(
          HTTPRequestHead(method: .get, authority: "localhost:\(port)", path: "/hello"),
          to: .ipv4(address: 0x7F00_0001, port: port), tls: (context, .hostName(host)),
          deadline: .now() + .seconds(20)
        ).head.status.code
      }
    }
    #expect(try await ask("localhost") == 200)
    await #expect(throws: HTTPClientError.self) { try await ask("other.example.com") }
  }
}
