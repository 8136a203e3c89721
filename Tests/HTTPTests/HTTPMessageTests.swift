import Testing

@testable import HTTP

@Suite struct HTTPHeadersTests {
  @Test func keepsOrderAndIgnoresCase() {
    var headers: HTTPHeaders = ["Accept": "a", "X": "1", "x": "2"]
    #expect(headers.count == 3)
    #expect(headers["ACCEPT"] == "a")
    #expect(headers["x"] == "1")
    #expect(headers.values(of: "X") == ["1", "2"])
    #expect(headers["missing"] == nil)
    #expect(headers.map(\.name) == ["accept", "x", "x"])
    headers["X"] = "3"
    #expect(headers == ["accept": "a", "x": "3"])
    headers.remove("accept")
    #expect(headers == ["x": "3"])
    #expect(headers != ["x": "4"])
    #expect(headers.listSizeBytes == 1 + 1 + 32)
    headers["x"] = nil
    #expect(headers.isEmpty)
  }

  @Test func splitsTokenLists() {
    let headers: HTTPHeaders = [
      "connection": " Keep-Alive ,, x", "connection": "", "Connection": "Y",
    ]
    #expect(headers.tokens(of: "connection") == ["keep-alive", "x", "y"])
  }

  @Test func keepsBytesThatAreNotUTF8() {
    var headers = HTTPHeaders()
    headers.append(name: "X-Raw".bytes.span, value: ([0xFF, 0x61] as [UInt8]).span)
    #expect(headers["x-raw"] == "\u{FFFD}a")
    var bytes: [UInt8] = []
    headers.forEachField { _, value in bytes = (0..<value.count).map { value[$0] } }
    #expect(bytes == [0xFF, 0x61])
  }

  @Test func describesNamesOnly() {
    let headers: HTTPHeaders = ["authorization": "Bearer s3cret"]
    #expect("\(headers)" == "[authorization]")
  }
}

@Suite struct HTTPTargetTests {
  @Test(arguments: [
    ("/", []), ("/a/b", ["a", "b"]), ("/a/", ["a", ""]), ("//a", ["", "a"]),
    ("/a%2Fb/%C3%A9", ["a/b", "é"]), ("/a+b", ["a+b"]), ("/.a/...", [".a", "..."]),
    ("/v1/stores/x:retry", ["v1", "stores", "x:retry"]),
  ])
  func splitsPaths(path: String, segments: [String]) throws {
    #expect(try HTTPPath(path).segments == segments)
  }

  @Test(arguments: [
    ("", HTTPTargetError.notAbsolute), ("*", .notAbsolute), ("/a/%", .invalidEscape(offset: 0)),
    ("/a/x%4", .invalidEscape(offset: 1)), ("/%zz", .invalidEscape(offset: 0)),
    ("/%+1", .invalidEscape(offset: 0)), ("/a b", .invalidCharacter(offset: 1)),
    ("/%ff", .notUTF8), ("/%C0%80", .notUTF8), ("/%ED%A0%80", .notUTF8), ("/%00", .containsNUL),
    ("/a/..", .dotSegment), ("/./a", .dotSegment), ("/%2e%2E/a", .dotSegment),
    ("/.%2e", .dotSegment),
    (String(repeating: "/a", count: 65), .tooManySegments(limit: 64)),
  ])
  func rejectsPaths(path: String, error: HTTPTargetError) {
    #expect(throws: error) { try HTTPPath(path) }
  }

  @Test func pathAtItsLimit() throws {
    #expect(try HTTPPath(String(repeating: "/a", count: 64)).segments.count == 64)
    #expect(try HTTPPath(String(repeating: "/", count: 64)).segments.count == 64)
  }

  @Test func readsQueries() throws {
    let query = try HTTPQuery("a=1&b=x+y%2B&a=%C3%A9&&flag&c==d&=e")
    #expect(query.values(of: "a") == ["1", "é"])
    #expect(query.values(of: "b") == ["x y+"])
    #expect(query.values(of: "flag") == [""])
    #expect(query.values(of: "c") == ["=d"])
    #expect(query.values(of: "") == ["e"])
    #expect(try HTTPQuery(nil).parameters.isEmpty)
    #expect(try HTTPQuery("").parameters.isEmpty)
  }

  @Test func rejectsQueries() throws {
    #expect(throws: HTTPTargetError.invalidEscape(offset: 1)) { try HTTPQuery("a=b&c=d%") }
    #expect(throws: HTTPTargetError.notUTF8) { try HTTPQuery("%ff=1") }
    #expect(throws: HTTPTargetError.containsNUL) { try HTTPQuery("a=%00") }
    let most = Array(repeating: "a=1", count: HTTPQuery.parametersMax).joined(separator: "&")
    #expect(try HTTPQuery(most).parameters.count == HTTPQuery.parametersMax)
    #expect(throws: HTTPTargetError.tooManyParameters(limit: HTTPQuery.parametersMax)) {
      try HTTPQuery(most + "&a=1")
    }
  }

  @Test func encodingIsUndone() throws {
    let text = String(String.UnicodeScalarView((1...0x2FF).compactMap(Unicode.Scalar.init)))
    let encoded = PercentEncoding.encode(text)
    #expect(try PercentEncoding.decode(encoded.utf8) == text)
    #expect(try PercentEncoding.decode(encoded.utf8, plusIsSpace: true) == text)
    #expect(PercentEncoding.encode("a/b é~") == "a%2Fb%20%C3%A9~")
  }
}
