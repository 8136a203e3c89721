import Testing

@testable import HTTP

@Suite struct HTTP1ResponseTests {
  private func read(
    _ text: String, to method: HTTPMethod = .get, requestedUpgrade: Bool = false
  ) -> Reading<HTTP1ResponseEvent> {
    let whole = Reading<HTTP1ResponseEvent>(
      text.bytes, to: method, requestedUpgrade: requestedUpgrade)
    let bytewise = Reading<HTTP1ResponseEvent>(
      text.bytes, to: method, requestedUpgrade: requestedUpgrade, step: 1)
    #expect(whole == bytewise)
    return whole
  }

  @Test func readsInterimHeadBodyAndTrailers() throws {
    let reading = read(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        + "2\r\nok\r\n0\r\nx: y\r\n\r\n")
    #expect(reading.error == nil)
    #expect(reading.events.count == 4)
    #expect(reading.events.first == .informational(HTTPResponseHead(status: .continue)))
    #expect(reading.events.suffix(2) == [.body("ok".bytes), .end(trailers: ["x": "y"])])
  }

  @Test(arguments: [
    (HTTPMethod.head, "200 OK", "content-length: 5\r\n"),
    (.head, "200 OK", "transfer-encoding: chunked\r\n"), (.head, "200 OK", ""),
    (.head, "200 OK", "content-length: 99999999999\r\n"),
    (.get, "204 No Content", "content-length: 5\r\n"),
    (.get, "304 Not Modified", "content-length: 5\r\n"),
    (.get, "304 Not Modified", ""), (.get, "200 OK", "content-length: 0\r\n"),
  ])
  func hasNoBody(method: HTTPMethod, status: String, fields: String) {
    let reading = read("HTTP/1.1 \(status)\r\n\(fields)\r\n", to: method)
    #expect(reading.error == nil)
    #expect(reading.events.last == .end(trailers: [:]))
    #expect(reading.events.count == 2)
  }

  @Test func bodyWithoutLengthEndsWithTheConnection() {
    let reading = read("HTTP/1.1 200\r\n\r\nall of it")
    #expect(reading.events.suffix(2) == [.body("all of it".bytes), .end(trailers: [:])])
    guard case .head(_, let control)? = reading.events.first else {
      Issue.record("no head")
      return
    }
    #expect(!control.persists)
    var limits = HTTP1Limits()
    limits.bodyBytesMax = 8
    let bounded = Reading<HTTP1ResponseEvent>(
      "HTTP/1.1 200\r\n\r\nall of it".bytes, limits: limits)
    #expect(bounded.error?.violation == .bodyTooLarge)
  }

  @Test(arguments: [
    ("HTTP/1.1 99 x\r\n\r\n", HTTP1Violation.statusLineMalformed),
    ("HTTP/1.1 099 x\r\n\r\n", .statusLineMalformed),
    ("HTTP/1.1  200 x\r\n\r\n", .statusLineMalformed),
    ("HTTP/1.1 2000\r\n\r\n", .statusLineMalformed),
    ("HTTP/1.1 200 a\u{1}\r\n\r\n", .statusLineMalformed),
    ("HTTP/2.0 200 OK\r\n\r\n", .versionUnsupported), ("ICY 200 OK\r\n\r\n", .statusLineMalformed),
    ("http/1.1 200 OK\r\n\r\n", .versionMalformed),
    ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfour", .incompleteMessage),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", .incompleteMessage),
    ("HTTP/1.1 200 OK\r\n", .incompleteMessage), ("", .incompleteMessage),
    ("HTTP/1.1 101 Switching Protocols\r\n\r\n", .switchUnrequested),
    (
      "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
      .contentLengthWithTransferEncoding
    ),
    ("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", .transferEncodingInVersion10),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", .transferEncodingNotChunkedLast),
  ])
  func rejects(text: String, violation: HTTP1Violation) {
    #expect(read(text).error?.violation == violation)
  }

  @Test func handsOverTheConnectionAfterASwitch() throws {
    var parser = HTTP1ResponseParser()
    parser.expectResponse(to: .get, requestedUpgrade: true)
    parser.receive("HTTP/1.1 101 x\r\nupgrade: websocket\r\n\r\n\u{1}\u{2}".bytes.span)
    #expect(
      try parser.next()
        == .switched(
          HTTPResponseHead(status: .switchingProtocols, headers: ["upgrade": "websocket"])))
    #expect(try parser.next() == nil)
    #expect(parser.takeRemaining() == [1, 2])
  }

  @Test func bytesWithoutARequestAreAnError() throws {
    var parser = HTTP1ResponseParser()
    #expect(try parser.next() == nil)
    parser.receive("HTTP/1.1 408 Request Timeout\r\n".bytes.span)
    let error = #expect(throws: HTTP1Error.self) { try parser.next() }
    #expect(error?.violation == .responseUnrequested)

    var closing = HTTP1ResponseParser()
    closing.receiveEnd()
    #expect(try closing.next() == .closed)
  }

  @Test func oneParserReadsManyResponses() throws {
    var parser = HTTP1ResponseParser()
    for status in [200, 404] {
      parser.expectResponse(to: .get)
      parser.receive("HTTP/1.1 \(status) x\r\ncontent-length: 0\r\n\r\n".bytes.span)
      guard case .head(let head, let control)? = try parser.next() else {
        Issue.record("no head")
        return
      }
      #expect(head.status.code == status)
      #expect(control.persists)
      #expect(try parser.next() == .end(trailers: [:]))
    }
  }
}
