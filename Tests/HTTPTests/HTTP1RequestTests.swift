import Testing

@testable import HTTP

@Suite struct HTTP1RequestTests {
  @Test func readsARequestWithABody() throws {
    let bytes = """
      POST /v1/stores?page=2 HTTP/1.1
      Host: Shop.Example:8080
      Content-Type:application/json
      X-Tag: \t one two \t
      Content-Length: 5

      hello
      """.wire
    let reading = Reading<HTTP1RequestEvent>(bytes)
    #expect(reading.error == nil)
    guard case .head(let head, let control)? = reading.events.first else {
      Issue.record("no head")
      return
    }
    #expect(head.method == .post)
    #expect(head.path == "/v1/stores")
    #expect(head.query == "page=2")
    #expect(head.authority == "shop.example:8080")
    #expect(head.scheme == nil)
    #expect(head.headers["content-TYPE"] == "application/json")
    #expect(head.headers["x-tag"] == "one two")
    #expect(control.framing == .length(5))
    #expect(control.persists)
    #expect(!control.expectsContinue)
    #expect(
      Array(reading.events.dropFirst()) == [.body("hello".bytes), .end(trailers: [:]), .closed])
  }

  @Test func readsChunksAndTrailers() {
    let bytes = """
      POST / HTTP/1.1
      host: a
      transfer-encoding: Chunked

      5;name=value;x="q\\"s";y
      hello
      00A
       wide worl
      1
      d
      0
      digest: abc
      x: y


      """.wire
    let reading = Reading<HTTP1RequestEvent>(bytes)
    #expect(
      Array(reading.events.dropFirst()) == [
        .body("hello wide world".bytes), .end(trailers: ["digest": "abc", "x": "y"]), .closed,
      ])
    guard case .head(let head, let control)? = reading.events.first else {
      Issue.record("no head")
      return
    }
    #expect(control.framing == .chunked)
    #expect(!head.headers.contains("digest"))
  }

  @Test func readsPipelinedRequests() {
    let bytes = "\nGET /1 HTTP/1.1\nhost: a\n\n\nHEAD /2 HTTP/1.0\n\n".wire
    let paths = Reading<HTTP1RequestEvent>(bytes).events.compactMap {
      if case .head(let head, _) = $0 { head.path } else { nil }
    }
    #expect(paths == ["/1", "/2"])
  }

  @Test(arguments: [
    ("HTTP/1.1", "", true), ("HTTP/1.1", "connection: close\n", false),
    ("HTTP/1.1", "connection: x, Close\n", false), ("HTTP/1.0", "", false),
    ("HTTP/1.1", "connection: keep-alive\nconnection: close\n", false),
    ("HTTP/1.0", "connection: Keep-Alive\n", true),
    ("HTTP/1.0", "connection: keep-alive, close\n", false),
  ])
  func persistsAsTheFieldsSay(version: String, fields: String, persists: Bool) throws {
    let control = try control("GET / \(version)\nhost: a\n\(fields)\n")
    #expect(control.persists == persists)
  }

  @Test func expectsContinueOnlyWithABody() throws {
    let expect = "host: a\nexpect: 100-Continue\n"
    #expect(try control("POST / HTTP/1.1\n\(expect)content-length: 3\n\n").expectsContinue)
    #expect(try control("POST / HTTP/1.1\n\(expect)transfer-encoding: chunked\n\n").expectsContinue)
    #expect(try !control("POST / HTTP/1.1\n\(expect)content-length: 0\n\n").expectsContinue)
    #expect(try !control("GET / HTTP/1.1\n\(expect)\n").expectsContinue)
    #expect(try !control("POST / HTTP/1.0\n\(expect)content-length: 3\n\n").expectsContinue)
  }

  @Test func upgradeNeedsConnection() throws {
    let upgrade = "upgrade: WebSocket, h2c\n"
    let named = try control("GET / HTTP/1.1\nhost: a\nconnection: Upgrade\n\(upgrade)\n")
    #expect(named.upgrade == ["websocket", "h2c"])
    #expect(try control("GET / HTTP/1.1\nhost: a\n\(upgrade)\n").upgrade.isEmpty)
    #expect(try control("GET / HTTP/1.0\nconnection: upgrade\n\(upgrade)\n").upgrade.isEmpty)
  }

  private static let targets: [(String, String?, String, String, String?)] = [
    ("GET /", nil, "a", "/", nil), ("GET /?", nil, "a", "/", ""),
    ("GET /a%2Fb;c=1/?x=/?&y", nil, "a", "/a%2Fb;c=1/", "x=/?&y"),
    ("GET //x", nil, "a", "//x", nil), ("OPTIONS *", nil, "a", "*", nil),
    ("GET http://A/x?y", "http", "a", "/x", "y"), ("GET HTTPS://a", "https", "a", "/", nil),
    ("GET http://a?q", "http", "a", "/", "q"), ("OPTIONS http://a", "http", "a", "*", nil),
  ]

  @Test(arguments: targets)
  func readsTargets(
    line: String, scheme: String?, authority: String, path: String, query: String?
  ) throws {
    let reading = Reading<HTTP1RequestEvent>("\(line) HTTP/1.1\nhost: a\n\n".wire)
    guard case .head(let head, _)? = reading.events.first else {
      Issue.record("no head: \(reading)")
      return
    }
    #expect(head.scheme == scheme)
    #expect(head.authority == authority)
    #expect(head.path == path)
    #expect(head.query == query)
  }

  @Test func connectionMayEndBetweenRequestsOnly() {
    #expect(Reading<HTTP1RequestEvent>([]).events == [.closed])
    let whole = "POST / HTTP/1.1\nhost: a\ncontent-length: 2\n\nok".wire
    for length in 1..<whole.count {
      let reading = Reading<HTTP1RequestEvent>(Array(whole[..<length]))
      #expect(reading.error?.violation == .incompleteMessage, "cut at \(length)")
    }
  }

  @Test func failsTheSameWayAgain() {
    var parser = HTTP1RequestParser()
    parser.receive("GET / HTTP/1.1\n\n".bytes.span)
    for _ in 0..<2 {
      let error = #expect(throws: HTTP1Error.self) { try parser.next() }
      #expect(error?.violation == .bareLineFeed)
    }
  }

  private func control(_ text: String) throws -> HTTP1MessageControl {
    var parser = HTTP1RequestParser()
    parser.receive(text.wire.span)
    guard case .head(_, let control)? = try parser.next() else {
      throw HTTP1Error(.incompleteMessage)
    }
    return control
  }
}
