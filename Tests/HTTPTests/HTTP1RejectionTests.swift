import Testing

@testable import HTTP

/// One request, or a few, for each rule that a client can break.
@Suite struct HTTP1RejectionTests {
  private static let get = "GET / HTTP/1.1\r\nhost: a\r\n"
  private static let post = "POST / HTTP/1.1\r\nhost: a\r\n"
  private static let chunked = post + "transfer-encoding: chunked\r\n\r\n"

  private static let rejections: [(String, HTTP1Violation, Int)] = [
    ("GET / HTTP/1.1\nhost: a\r\n\r\n", .bareLineFeed, 400),
    ("GET / HTTP/1.1\r\nhost: a\n\r\n", .bareLineFeed, 400),
    (get + "\n", .bareLineFeed, 400),
    ("\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", .bareLineFeed, 400),
    (chunked + "1\nx\r\n0\r\n\r\n", .bareLineFeed, 400),
    (chunked + "0\r\nx: y\n\r\n", .bareLineFeed, 400),
    ("\r\n\r\n" + get + "\r\n", .requestLineMalformed, 400),
    ("GET\r\n\r\n", .requestLineMalformed, 400), ("GET /\r\n\r\n", .requestLineMalformed, 400),
    ("GET  / HTTP/1.1\r\n\r\n", .requestLineMalformed, 400),
    ("GET /  HTTP/1.1\r\n\r\n", .versionMalformed, 400),
    ("GET / x HTTP/1.1\r\n\r\n", .versionMalformed, 400),
    (" GET / HTTP/1.1\r\n\r\n", .methodInvalid, 400),
    ("G(T / HTTP/1.1\r\n\r\n", .methodInvalid, 400),
    ("GET\t/ HTTP/1.1\r\n\r\n", .requestLineMalformed, 400),
    (String(repeating: "M", count: 33) + " / HTTP/1.1\r\n\r\n", .methodTooLong, 501),
    (String(repeating: "M", count: 9000), .methodTooLong, 501),
    ("CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n", .connectUnsupported, 501),
    ("GET / HTTP/1.1 \r\n\r\n", .versionMalformed, 400),
    ("GET / http/1.1\r\n\r\n", .versionMalformed, 400),
    ("GET / HTTP/1.10\r\n\r\n", .versionMalformed, 400),
    ("GET / HTTP/1\r\n\r\n", .versionMalformed, 400),
    ("GET / HTTP/1.2\r\n\r\n", .versionUnsupported, 505),
    ("GET / HTTP/2.0\r\n\r\n", .versionUnsupported, 505),
    ("GET / HTTP/0.9\r\n\r\n", .versionUnsupported, 505),
    ("GET x HTTP/1.1\r\n\r\n", .targetInvalid, 400),
    ("GET * HTTP/1.1\r\n\r\n", .targetInvalid, 400),
    ("GET a:80 HTTP/1.1\r\n\r\n", .targetInvalid, 400),
    ("GET ftp://a/ HTTP/1.1\r\n\r\n", .targetInvalid, 400),
    ("GET http:///x HTTP/1.1\r\n\r\n", .targetInvalid, 400),
    ("GET http://u@a/ HTTP/1.1\r\n\r\n", .targetInvalid, 400),
    ("GET /a#b HTTP/1.1\r\n\r\n", .targetInvalid, 400),
    ("GET /a\"b HTTP/1.1\r\n\r\n", .targetInvalid, 400),
    ("GET /é HTTP/1.1\r\n\r\n", .targetInvalid, 400),
    ("GET /%g0 HTTP/1.1\r\n\r\n", .targetInvalid, 400),
    ("GET /a%2 HTTP/1.1\r\n\r\n", .targetInvalid, 400),
    ("GET /?a=%zz HTTP/1.1\r\n\r\n", .targetInvalid, 400),
    ("GET /\u{0} HTTP/1.1\r\n\r\n", .targetInvalid, 400),
    ("GET /\u{7F} HTTP/1.1\r\n\r\n", .targetInvalid, 400),
    (get + " folded\r\n\r\n", .lineFolding, 400), (get + "x: y\r\n\tz\r\n\r\n", .lineFolding, 400),
    ("GET / HTTP/1.1\r\n host: a\r\n\r\n", .lineFolding, 400),
    (get + "x : y\r\n\r\n", .spaceBeforeColon, 400),
    (get + "x\t: y\r\n\r\n", .spaceBeforeColon, 400),
    (get + "nocolon\r\n\r\n", .fieldLineMalformed, 400),
    (get + ": y\r\n\r\n", .fieldNameInvalid, 400), (get + "a b: y\r\n\r\n", .fieldNameInvalid, 400),
    (get + "a\u{0}: y\r\n\r\n", .fieldNameInvalid, 400),
    (get + "(a): y\r\n\r\n", .fieldNameInvalid, 400),
    (get + "é: y\r\n\r\n", .fieldNameInvalid, 400),
    (get + "x: a\u{0}b\r\n\r\n", .fieldValueInvalid, 400),
    (get + "x: a\rb\r\n\r\n", .fieldValueInvalid, 400),
    (get + "x: a\r\r\n\r\n", .fieldValueInvalid, 400),
    (get + "x: \u{1B}[0m\r\n\r\n", .fieldValueInvalid, 400),
    (get + "x: \u{7F}\r\n\r\n", .fieldValueInvalid, 400),
    ("GET / HTTP/1.1\r\n\r\n", .hostMissing, 400), (get + "host: a\r\n\r\n", .hostRepeated, 400),
    ("GET / HTTP/1.0\r\nhost: a\r\nHost: b\r\n\r\n", .hostRepeated, 400),
    ("GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n", .hostMismatch, 400),
    (post + "content-length: \r\n\r\n", .contentLengthInvalid, 400),
    (post + "content-length: +5\r\n\r\n", .contentLengthInvalid, 400),
    (post + "content-length: -5\r\n\r\n", .contentLengthInvalid, 400),
    (post + "content-length: 0x5\r\n\r\n", .contentLengthInvalid, 400),
    (post + "content-length: 5 5\r\n\r\n", .contentLengthInvalid, 400),
    (post + "content-length: ٥\r\n\r\n", .contentLengthInvalid, 400),
    (post + "content-length: 5\r\ncontent-length: 5\r\n\r\n", .contentLengthRepeated, 400),
    (post + "content-length: 5\r\ncontent-length: 6\r\n\r\n", .contentLengthRepeated, 400),
    (post + "content-length: 5, 5\r\n\r\n", .contentLengthRepeated, 400),
    (post + "content-length: 4194305\r\n\r\n", .bodyTooLarge, 413),
    (post + "content-length: 18446744073709551616\r\n\r\n", .bodyTooLarge, 413),
    (
      post + "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
      .contentLengthWithTransferEncoding, 400
    ),
    (
      "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", .transferEncodingInVersion10, 400
    ),
    (post + "transfer-encoding: gzip\r\n\r\n", .transferEncodingNotChunkedLast, 400),
    (post + "transfer-encoding: identity\r\n\r\n", .transferEncodingNotChunkedLast, 400),
    (post + "transfer-encoding: chunked, gzip\r\n\r\n", .transferEncodingNotChunkedLast, 400),
    (post + "transfer-encoding: chunked, chunked\r\n\r\n", .transferEncodingNotChunkedLast, 400),
    (post + "transfer-encoding: \r\n\r\n", .transferEncodingNotChunkedLast, 400),
    (post + "transfer-encoding: chunked,\r\n\r\n", .transferEncodingNotChunkedLast, 400),
    (post + "transfer-encoding: chunked;q=1\r\n\r\n", .transferEncodingNotChunkedLast, 400),
    (post + "transfer-encoding: \u{B}chunked\r\n\r\n", .fieldValueInvalid, 400),
    (post + "transfer-encoding: gzip, chunked\r\n\r\n", .transferEncodingUnknown, 501),
    (
      post + "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n",
      .transferEncodingUnknown, 501
    ),
    (post + "content-length: 5\r\nexpect: 200-ok\r\n\r\n", .expectationUnknown, 417),
    (chunked + "\r\n", .chunkSizeInvalid, 400), (chunked + "x\r\n", .chunkSizeInvalid, 400),
    (chunked + "0x5\r\nhello\r\n", .chunkSizeInvalid, 400),
    (chunked + " 5\r\nhello\r\n", .chunkSizeInvalid, 400),
    (chunked + "5 \r\nhello\r\n", .chunkSizeInvalid, 400),
    (chunked + "-5\r\nhello\r\n", .chunkSizeInvalid, 400),
    (chunked + "10000000000000000\r\n", .chunkSizeInvalid, 400),
    (chunked + "00000000000000005\r\nhello\r\n", .chunkSizeInvalid, 400),
    (chunked + "ffffffffffffffff\r\n", .bodyTooLarge, 413),
    (chunked + "400001\r\n", .bodyTooLarge, 413),
    (chunked + "5 ;a\r\nhello\r\n", .chunkSizeInvalid, 400),
    (chunked + "5;\r\nhello\r\n", .chunkExtensionInvalid, 400),
    (chunked + "5; a\r\nhello\r\n", .chunkExtensionInvalid, 400),
    (chunked + "5;a=\r\nhello\r\n", .chunkExtensionInvalid, 400),
    (chunked + "5;a=\"b\r\nhello\r\n", .chunkExtensionInvalid, 400),
    (chunked + "5;a=\"\\\r\nhello\r\n", .chunkExtensionInvalid, 400),
    (chunked + "5;a\u{0}\r\nhello\r\n", .chunkExtensionInvalid, 400),
    (chunked + "5\r\nhelloX\r\n", .chunkDataUnterminated, 400),
    (chunked + "5\r\nhello\rX", .chunkDataUnterminated, 400),
    (chunked + "5\r\nhello\n0\r\n\r\n", .chunkDataUnterminated, 400),
    (chunked + "0\r\ncontent-length: 5\r\n\r\n", .trailerForbidden, 400),
    (chunked + "0\r\nAuthorization: x\r\n\r\n", .trailerForbidden, 400),
    (chunked + "0\r\n x: y\r\n\r\n", .lineFolding, 400),
    (chunked + "0\r\nx : y\r\n\r\n", .spaceBeforeColon, 400),
  ]

  @Test(arguments: rejections)
  func rejects(text: String, violation: HTTP1Violation, status: Int) {
    let whole = Reading<HTTP1RequestEvent>(text.bytes, closing: false)
    #expect(whole.error?.violation == violation)
    #expect(whole.error?.status.code == status)
    #expect(Reading<HTTP1RequestEvent>(text.bytes, step: 1, closing: false) == whole)
    #expect(Reading<HTTP1RequestEvent>(text.bytes, step: 7, closing: false) == whole)
  }

  @Test(arguments: [
    "", " ", "a b", "a,b", "u@a", "a:", "a:0", "a:65536", "a:1x", "a:b:1", "[::1", "[::1]x",
    "[::g]", "[1]", "[fe80::1%25eth0]", "::1", "a/b", "a?b", "%61", "é", "a;b",
    String(repeating: "a", count: 254),
  ])
  func rejectsHosts(host: String) {
    let reading = Reading<HTTP1RequestEvent>(
      "GET / HTTP/1.1\r\nhost: \(host)\r\n\r\n".bytes, closing: false)
    #expect(reading.error?.violation == .hostInvalid)
    #expect(reading.error?.status == .badRequest)
  }

  @Test(arguments: [
    "a", "a.b-c_d", "127.0.0.1:80", "[::1]", "[2001:DB8::1]:65535", "a:1", "A.",
    String(repeating: "a", count: 253),
  ])
  func acceptsHosts(host: String) {
    #expect(HTTPAuthority.normalize(host) == host.lowercased())
  }

  @Test func errorsShowNoValues() {
    let reading = Reading<HTTP1RequestEvent>(
      (Self.get + "authorization: Bearer s3cret\u{1}\r\n\r\n").bytes)
    #expect(
      reading.error?.description
        == "a field value has a control character: in authorization")
  }

  @Test func everyViolationHasWords() {
    let texts = HTTP1Violation.allCases.map { HTTP1Error($0).description }
    #expect(Set(texts).count == texts.count)
  }
}
