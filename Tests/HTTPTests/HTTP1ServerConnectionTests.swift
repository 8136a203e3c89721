import Testing

@testable import HTTP

@Suite struct HTTP1ServerConnectionTests {
  private func connection(
    _ text: String, limits: HTTP1Limits = HTTP1Limits()
  ) throws -> HTTP1ServerConnection {
    var connection = HTTP1ServerConnection(limits: limits)
    connection.receive(text.wire.span)
    return connection
  }

  private func drainEvents(_ connection: inout HTTP1ServerConnection) throws -> [String] {
    var events: [String] = []
    while let event = try connection.next() {
      switch event {
      case .head(let head, _): events.append("\(head.method) \(head.target)")
      case .body(let data): events.append(String(decoding: data, as: UTF8.self))
      case .end: events.append("end")
      case .closed: events.append("closed")
      }
    }
    return events
  }

  private func answer(
    _ connection: inout HTTP1ServerConnection, _ status: HTTPStatus = .ok,
    _ text: String = "ok"
  ) throws -> String {
    try connection.sendHead(
      HTTPResponseHead(status: status), body: .length(UInt64(text.utf8.count)))
    try connection.sendBody(text.bytes.span)
    try connection.sendEnd()
    return output(&connection)
  }

  private func output(_ connection: inout HTTP1ServerConnection) -> String {
    String(decoding: connection.takeOutput(), as: UTF8.self)
      .replacing("\r\n", with: "\n")
  }

  @Test func answersPipelinedRequestsOneByOne() throws {
    var connection = try connection("GET /1 HTTP/1.1\nhost: a\n\nGET /2 HTTP/1.1\nhost: a\n\n")
    #expect(try drainEvents(&connection) == ["GET /1", "end"])
    #expect(!connection.isIdle)
    #expect(try answer(&connection) == "HTTP/1.1 200 OK\ncontent-length: 2\n\nok")
    #expect(try drainEvents(&connection) == ["GET /2", "end"])
    #expect(try answer(&connection).hasPrefix("HTTP/1.1 200 OK"))
    #expect(connection.isIdle)
    #expect(!connection.isFinished)
    connection.receiveEnd()
    #expect(try drainEvents(&connection) == ["closed"])
    #expect(connection.isFinished)
  }

  @Test func pipelinedInputIsBounded() throws {
    var limits = HTTP1Limits()
    limits.bufferedBytesMax = 100
    var connection = try connection("GET /1 HTTP/1.1\nhost: a\n\n", limits: limits)
    #expect(try drainEvents(&connection) == ["GET /1", "end"])
    #expect(connection.wantsInput)
    connection.receive(String(repeating: "GET /2 HTTP/1.1\r\nhost: a\r\n\r\n", count: 4).bytes.span)
    #expect(!connection.wantsInput)
    _ = try answer(&connection)
    #expect(try drainEvents(&connection) == ["GET /2", "end"])
    #expect(connection.wantsInput)
  }

  @Test func closesWhenTheClientAsks() throws {
    var connection = try connection("GET / HTTP/1.1\nhost: a\nconnection: close\n\n")
    _ = try drainEvents(&connection)
    #expect(
      try answer(&connection)
        == "HTTP/1.1 200 OK\ncontent-length: 2\nconnection: close\n\nok")
    #expect(connection.isFinished)
    connection.receive("GET / HTTP/1.1\r\nhost: a\r\n\r\n".bytes.span)
    #expect(try connection.next() == nil)
  }

  @Test func speaksHTTP10() throws {
    var kept = try connection("GET / HTTP/1.0\nconnection: keep-alive\n\n")
    _ = try drainEvents(&kept)
    #expect(try answer(&kept).contains("\nconnection: keep-alive\n"))
    #expect(!kept.isFinished)

    var streamed = try connection("GET / HTTP/1.0\nconnection: keep-alive\n\n")
    _ = try drainEvents(&streamed)
    try streamed.sendHead(HTTPResponseHead(status: .ok), body: .stream)
    try streamed.sendBody("data".bytes.span)
    #expect(throws: HTTP1EncodingError.trailersUnsupported) {
      try streamed.sendEnd(trailers: ["x": "y"])
    }
    try streamed.sendEnd()
    #expect(output(&streamed) == "HTTP/1.1 200 OK\nconnection: close\n\ndata")
    #expect(streamed.isFinished)
  }

  @Test func streamsInChunks() throws {
    var connection = try connection("GET / HTTP/1.1\nhost: a\n\n")
    _ = try drainEvents(&connection)
    try connection.sendHead(
      HTTPResponseHead(status: .ok, headers: ["x": "y"]), body: .stream)
    try connection.sendBody("".bytes.span)
    try connection.sendBody(String(repeating: "d", count: 26).bytes.span)
    try connection.sendEnd(trailers: ["digest": "z"])
    #expect(
      output(&connection)
        == "HTTP/1.1 200 OK\nx: y\ntransfer-encoding: chunked\n\n"
        + "1a\ndddddddddddddddddddddddddd\n0\ndigest: z\n\n")
    #expect(connection.isIdle)
  }

  @Test func headHasFieldsButNoBody() throws {
    for body in [HTTP1OutgoingBody.length(2), .stream, .none] {
      var connection = try connection("HEAD / HTTP/1.1\nhost: a\n\n")
      _ = try drainEvents(&connection)
      try connection.sendHead(HTTPResponseHead(status: .ok), body: body)
      try connection.sendBody("ok".bytes.span)
      try connection.sendEnd()
      let fields =
        switch body {
        case .length: "content-length: 2\n"
        case .stream: "transfer-encoding: chunked\n"
        case .none: ""
        }
      #expect(output(&connection) == "HTTP/1.1 200 OK\n\(fields)\n")
      #expect(!connection.isFinished)
    }
  }

  @Test func statusesWithoutContent() throws {
    for status in [HTTPStatus.noContent, .notModified] {
      var connection = try connection("GET / HTTP/1.1\nhost: a\n\n")
      _ = try drainEvents(&connection)
      #expect(throws: HTTP1EncodingError.contentForbidden(status)) {
        try connection.sendHead(HTTPResponseHead(status: status), body: .length(1))
      }
      try connection.sendHead(HTTPResponseHead(status: status), body: .none)
      try connection.sendEnd()
      #expect(output(&connection) == "HTTP/1.1 \(status)\n\n")
      #expect(connection.isIdle)
    }
  }

  @Test func continuesOnlyWhenTold() throws {
    let request = "POST / HTTP/1.1\nhost: a\nexpect: 100-continue\ncontent-length: 2\n\n"
    var continued = try connection(request)
    #expect(try drainEvents(&continued) == ["POST /"])
    try continued.sendContinue()
    try continued.sendContinue()
    #expect(output(&continued) == "HTTP/1.1 100 Continue\n\n")
    continued.receive("ok".bytes.span)
    #expect(try drainEvents(&continued) == ["ok", "end"])
    #expect(try !answer(&continued).contains("connection: close"))

    var refused = try connection(request)
    #expect(try drainEvents(&refused) == ["POST /"])
    #expect(try answer(&refused, .contentTooLarge, "").contains("connection: close"))
    #expect(refused.isFinished)

    var unasked = try connection("POST / HTTP/1.1\nhost: a\ncontent-length: 2\n\n")
    _ = try drainEvents(&unasked)
    try unasked.sendContinue()
    #expect(output(&unasked).isEmpty)
  }

  @Test func dropsABodyNobodyWants() throws {
    var limits = HTTP1Limits()
    limits.discardedBodyBytesMax = 10
    for (length, isKept) in [(10, true), (11, false)] {
      var connection = try connection(
        "POST / HTTP/1.1\nhost: a\ncontent-length: \(length)\n\n", limits: limits)
      #expect(try drainEvents(&connection) == ["POST /"])
      #expect(try answer(&connection, .notFound).hasPrefix("HTTP/1.1 404"))
      connection.receive(String(repeating: "x", count: length).bytes.span)
      connection.receive("GET /next HTTP/1.1\r\nhost: a\r\n\r\n".bytes.span)
      #expect(try drainEvents(&connection) == (isKept ? ["GET /next", "end"] : []))
      #expect(connection.isFinished == !isKept)
    }
  }

  @Test func rejectsAndCloses() throws {
    var connection = try connection("GET / HTTP/1.1\nhost: a\nhost: b\n\nGET / HTTP/1.1\n")
    let error = try #require(
      #expect(throws: HTTP1Error.self) { try connection.next() })
    connection.reject(error)
    connection.reject(error)
    #expect(
      output(&connection)
        == "HTTP/1.1 400 Bad Request\ncontent-type: application/problem+json\n"
        + "content-length: 94\nconnection: close\n\n"
        + #"{"type":"about:blank","title":"Bad Request","status":400,"#
        + "\"detail\":\"more than one Host field\"}\n")
    #expect(connection.isFinished)
    #expect(!connection.wantsInput)
  }

  @Test func cutsAResponseOffRatherThanAddAHeadToIt() throws {
    var connection = try connection(
      "POST / HTTP/1.1\nhost: a\ntransfer-encoding: chunked\n\n")
    #expect(try drainEvents(&connection) == ["POST /"])
    try connection.sendHead(HTTPResponseHead(status: .ok), body: .stream)
    connection.receive("x\r\n".bytes.span)
    let error = try #require(#expect(throws: HTTP1Error.self) { try connection.next() })
    connection.reject(error)
    #expect(output(&connection) == "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n")
    #expect(connection.isFinished)
  }

  @Test func drainsAfterTheCurrentExchange() throws {
    var idle = HTTP1ServerConnection()
    idle.drain()
    #expect(idle.isFinished)

    var busy = try connection("GET /1 HTTP/1.1\nhost: a\n\nGET /2 HTTP/1.1\nhost: a\n\n")
    _ = try drainEvents(&busy)
    busy.drain()
    #expect(!busy.isFinished)
    #expect(try answer(&busy).contains("connection: close"))
    #expect(busy.isFinished)
    #expect(try busy.next() == nil)
  }

  @Test func refusesTheHandlersMistakes() throws {
    var connection = try connection("GET / HTTP/1.1\nhost: a\n\n")
    #expect(throws: HTTP1EncodingError.outOfOrder) {
      try connection.sendHead(HTTPResponseHead(status: .ok), body: .none)
    }
    _ = try drainEvents(&connection)
    #expect(throws: HTTP1EncodingError.outOfOrder) { try connection.sendEnd() }
    for (name, value) in [("x", "a\r\nset-cookie: b"), ("x", "\u{0}"), ("x\r\ny", "a"), ("", "a")] {
      #expect(throws: HTTP1EncodingError.fieldInvalid(name: name)) {
        try connection.sendHead(
          HTTPResponseHead(status: .ok, headers: [name: value]), body: .none)
      }
    }
    for name in ["Connection", "content-length", "transfer-encoding"] {
      #expect(throws: HTTP1EncodingError.fieldReserved(name: name.lowercased())) {
        try connection.sendHead(
          HTTPResponseHead(status: .ok, headers: [name: "0"]), body: .none)
      }
    }
    #expect(output(&connection).isEmpty)
    try connection.sendHead(HTTPResponseHead(status: .ok), body: .length(3))
    #expect(throws: HTTP1EncodingError.bodyLongerThanDeclared) {
      try connection.sendBody("four".bytes.span)
    }
    try connection.sendBody("a".bytes.span)
    #expect(throws: HTTP1EncodingError.bodyShorterThanDeclared(missingBytes: 2)) {
      try connection.sendEnd()
    }
    #expect(connection.isFinished)
  }

  @Test func requestsSurviveTheWayThroughBothSides() throws {
    var encoder = HTTP1RequestEncoder()
    var server = HTTP1ServerConnection()
    for body in [HTTP1OutgoingBody.none, .length(4), .stream] {
      let sent = HTTPRequestHead(
        method: .post, authority: "a:1", path: "/x%20y", query: "q=1", headers: ["x": "y"])
      var wire: [UInt8] = []
      try encoder.writeHead(sent, body: body, into: &wire)
      if body != .none { try encoder.writeBody("data".bytes.span, into: &wire) }
      try encoder.writeEnd(trailers: body == .stream ? ["t": "u"] : [:], into: &wire)
      server.receive(wire.span)
      guard case .head(var head, _)? = try server.next() else {
        Issue.record("no head")
        return
      }
      head.headers.remove("host")
      head.headers.remove("content-length")
      head.headers.remove("transfer-encoding")
      #expect(head == sent)
      #expect(try drainEvents(&server) == (body == .none ? ["end"] : ["data", "end"]))
      _ = try answer(&server)
    }
  }

  @Test func requestEncoderRefusesUnsafeRequests() {
    let good = HTTPRequestHead(method: .get, authority: "a", path: "/")
    let refused: [(HTTP1EncodingError, (inout HTTPRequestHead) -> Void)] = [
      (.requestInvalid("method"), { $0.method = HTTPMethod("G T") }),
      (.requestInvalid("authority"), { $0.authority = "a\r\nx: y" }),
      (.requestInvalid("path"), { $0.path = "x" }), (.requestInvalid("path"), { $0.path = "*" }),
      (.requestInvalid("target"), { $0.path = "/ HTTP/1.1\r\n" }),
      (.requestInvalid("target"), { $0.path = "/?" }),
      (.requestInvalid("target"), { $0.query = "a b" }),
      (.fieldReserved(name: "host"), { $0.headers = ["Host": "b"] }),
      (.fieldInvalid(name: "x"), { $0.headers = ["x": "a\nb"] }),
    ]
    for (error, change) in refused {
      var request = good
      change(&request)
      var encoder = HTTP1RequestEncoder()
      var wire: [UInt8] = []
      #expect(throws: error) { try encoder.writeHead(request, body: .none, into: &wire) }
      #expect(wire.isEmpty)
    }
  }
}
