import Testing

@testable import HTTP

/// Reaches each limit from both sides, whole and byte by byte.
@Suite struct HTTP1LimitTests {
  private let head = "POST / HTTP/1.1\r\nhost: a\r\n"

  private func violation(_ text: String, _ limits: HTTP1Limits) -> HTTP1Violation? {
    let whole = Reading<HTTP1RequestEvent>(text.bytes, closing: false, limits: limits)
    let bytewise = Reading<HTTP1RequestEvent>(
      text.bytes, step: 1, closing: false, limits: limits)
    #expect(whole == bytewise)
    return whole.error?.violation
  }

  @Test func targetLength() {
    var limits = HTTP1Limits()
    limits.targetBytesMax = 10
    let request = { (length: Int) in
      "GET /" + String(repeating: "a", count: length - 1) + " HTTP/1.1\r\nhost: a\r\n\r\n"
    }
    #expect(violation(request(10), limits) == nil)
    #expect(violation(request(11), limits) == .targetTooLong)
    #expect(violation(request(1000), limits) == .targetTooLong)
    #expect(violation("GET /" + String(repeating: "a", count: 1000), limits) == .targetTooLong)
  }

  @Test func fieldSection() {
    var limits = HTTP1Limits()
    limits.fieldSectionBytesMax = 40
    // "host: a" and "x: " with their line ends take 14 of the 40 bytes.
    let request = { (length: Int) in
      "GET / HTTP/1.1\r\nhost: a\r\nx: " + String(repeating: "v", count: length) + "\r\n\r\n"
    }
    #expect(violation(request(26), limits) == nil)
    #expect(violation(request(27), limits) == .fieldSectionTooLarge)
    #expect(violation(request(500), limits) == .fieldSectionTooLarge)
    let endless = "GET / HTTP/1.1\r\nhost: a\r\nx: " + String(repeating: "v", count: 500)
    #expect(violation(endless, limits) == .fieldSectionTooLarge)
    // 31 bytes are left for a line, and two for its end.
    let partial = "GET / HTTP/1.1\r\nhost: a\r\n"
    #expect(violation(partial + String(repeating: "x", count: 32), limits) == nil)
    #expect(violation(partial + String(repeating: "x", count: 33), limits) == .fieldSectionTooLarge)
  }

  @Test func fieldCount() {
    var limits = HTTP1Limits()
    limits.fieldsMax = 3
    let request = { (count: Int) in
      "GET / HTTP/1.1\r\nhost: a\r\n" + String(repeating: "x: y\r\n", count: count - 1) + "\r\n"
    }
    #expect(violation(request(3), limits) == nil)
    #expect(violation(request(4), limits) == .tooManyFields)
  }

  @Test func leadingEmptyLines() {
    var limits = HTTP1Limits()
    limits.leadingEmptyLinesMax = 2
    #expect(violation("\r\n\r\n" + head + "\r\n", limits) == nil)
    #expect(violation("\r\n\r\n\r\n" + head + "\r\n", limits) == .requestLineMalformed)
  }

  @Test func bodySize() {
    var limits = HTTP1Limits()
    limits.bodyBytesMax = 8
    #expect(violation(head + "content-length: 8\r\n\r\n12345678", limits) == nil)
    #expect(violation(head + "content-length: 9\r\n\r\n", limits) == .bodyTooLarge)
    let chunked = head + "transfer-encoding: chunked\r\n\r\n"
    #expect(violation(chunked + "4\r\n1234\r\n4\r\n5678\r\n0\r\n\r\n", limits) == nil)
    #expect(violation(chunked + "4\r\n1234\r\n5\r\n", limits) == .bodyTooLarge)
  }

  @Test func chunkExtensions() {
    var limits = HTTP1Limits()
    limits.chunkExtensionBytesMax = 20
    let chunked = head + "transfer-encoding: chunked\r\n\r\n"
    let chunk = { (length: Int) in
      "5;" + String(repeating: "e", count: length - 1) + "\r\nhello\r\n0\r\n\r\n"
    }
    #expect(violation(chunked + chunk(20), limits) == nil)
    #expect(violation(chunked + chunk(21), limits) == .chunkExtensionTooLong)
    #expect(
      violation(chunked + "5;" + String(repeating: "e", count: 99), limits)
        == .chunkExtensionTooLong)
  }

  @Test func chunkOverhead() {
    var limits = HTTP1Limits()
    limits.chunkOverheadBytesMax = 100
    let chunked = head + "transfer-encoding: chunked\r\n\r\n"
    // Each has 24 bytes of framing and 18 free: 6 too many.
    let padded = "1;eeeeeeeeeeeeeeeeee\r\nx\r\n"
    #expect(violation(chunked + String(repeating: padded, count: 16), limits) == nil)
    #expect(
      violation(chunked + String(repeating: padded, count: 17), limits) == .chunkOverheadTooLarge)
    #expect(violation(chunked + String(repeating: "1\r\nx\r\n", count: 2000), limits) == nil)
  }

  @Test func trailers() {
    var limits = HTTP1Limits()
    limits.trailerSectionBytesMax = 20
    limits.trailersMax = 2
    let chunked = head + "transfer-encoding: chunked\r\n\r\n0\r\n"
    #expect(violation(chunked + "a: b\r\nc: d\r\n\r\n", limits) == nil)
    #expect(violation(chunked + "a: b\r\nc: d\r\ne:\r\n\r\n", limits) == .trailerSectionTooLarge)
    #expect(
      violation(chunked + "a: " + String(repeating: "b", count: 20), limits)
        == .trailerSectionTooLarge)
  }

  @Test func informationalResponsesAndReason() {
    var limits = HTTP1Limits()
    limits.informationalResponsesMax = 2
    limits.reasonBytesMax = 5
    let interim = "HTTP/1.1 103 Hints\r\n\r\n"
    let final = "HTTP/1.1 204 No\r\n\r\n"
    let read = { (text: String) in
      Reading<HTTP1ResponseEvent>(text.bytes, limits: limits).error?.violation
    }
    #expect(read(interim + interim + final) == nil)
    #expect(read(interim + interim + interim + final) == .tooManyInformationalResponses)
    #expect(read("HTTP/1.1 204 Nobody\r\n\r\n") == .statusLineMalformed)
  }
}
