import JSON
import Testing

@Suite struct JSONParserTests {
  private static let valid: [(String, JSON)] = [
    ("null", nil), (" true\n", true), ("\tfalse\r", false), ("\"\"", ""), ("[]", []),
    ("{}", [:]), ("[1,2,[3]]", [1, 2, [3]]), ("{\"a\":{\"b\":[null]}}", ["a": ["b": [nil]]]),
    ("{\"\":0}", ["": 0]), ("[ 1 , 2 ]", [1, 2]), ("{ \"a\" : 1 , \"b\" : 2 }", ["a": 1, "b": 2]),
    (#""\"\\\/\b\f\n\r\t""#, .string("\"\\/\u{8}\u{C}\n\r\t")),
    (#""\u0041\u00e9\u20AC""#, "Aé€"), (#""\ud83d\ude00""#, "😀"), (#""\uD83D\uDE00x""#, "😀x"),
    (#""\u0000""#, .string("\u{0}")), ("\"é€😀\"", "é€😀"), ("\"\u{7F}\u{2028}\"", "\u{7F}\u{2028}"),
    (#""é\n😀\té""#, "é\n😀\té"),
  ]

  @Test(arguments: valid)
  func accepts(text: String, value: JSON) throws {
    #expect(try JSON(parsing: text) == value)
  }

  private static let invalid: [(String, JSONParseError.Reason, Int, String)] = [
    ("", .empty, 0, "$"), ("  ", .empty, 2, "$"),
    ("\u{FEFF}1", .byteOrderMark, 0, "$"), ("1 2", .trailingData, 2, "$"),
    ("nul", .unexpectedEnd, 3, "$"), ("nulL", .literalInvalid, 0, "$"),
    ("True", .valueExpected, 0, "$"), ("[True]", .valueExpected, 1, "$[0]"),
    ("NaN", .valueExpected, 0, "$"), ("-Infinity", .numberInvalid, 1, "$"),
    ("[1,2", .unexpectedEnd, 4, "$"), ("[1 2]", .commaOrEndExpected, 3, "$"),
    ("[1,]", .trailingComma, 3, "$"), ("[,1]", .valueExpected, 1, "$[0]"),
    ("{\"a\":1,}", .trailingComma, 7, "$"), ("{a:1}", .keyExpected, 1, "$"),
    ("{'a':1}", .keyExpected, 1, "$"), ("{1:1}", .keyExpected, 1, "$"),
    ("{\"a\" 1}", .colonExpected, 5, "$.a"), ("{\"a\":}", .valueExpected, 5, "$.a"),
    ("{\"a\":1 \"b\":2}", .commaOrEndExpected, 7, "$"), ("{\"a\"", .unexpectedEnd, 4, "$.a"),
    ("{\"a\":[0,{\"b c\":tru}]}", .literalInvalid, 15, "$.a[1][\"b c\"]"),
    ("/* */1", .valueExpected, 0, "$"), ("[1]]", .trailingData, 3, "$"),
    ("01", .numberInvalid, 0, "$"), ("-", .unexpectedEnd, 1, "$"), ("-a", .numberInvalid, 1, "$"),
    ("1.", .unexpectedEnd, 2, "$"), ("[1.]", .numberInvalid, 3, "$[0]"),
    (".5", .valueExpected, 0, "$"), ("+1", .valueExpected, 0, "$"), ("1e", .unexpectedEnd, 2, "$"),
    ("[1e+]", .numberInvalid, 4, "$[0]"), ("0x10", .trailingData, 1, "$"),
    ("-01", .numberInvalid, 0, "$"), ("\"abc", .stringUnterminated, 0, "$"),
    ("[\"abc\\", .stringUnterminated, 1, "$[0]"), ("\"a\nb\"", .controlCharacter, 2, "$"),
    ("\"\u{0}\"", .controlCharacter, 1, "$"), (#""\x41""#, .escapeInvalid, 1, "$"),
    (#""ab\u12g4""#, .escapeInvalid, 3, "$"), (#""\u12"#, .escapeInvalid, 1, "$"),
    (#""\ud83d""#, .surrogateUnpaired, 1, "$"), (#""\ud83d\u0041""#, .surrogateUnpaired, 1, "$"),
    (#""a\ude00""#, .surrogateUnpaired, 2, "$"), (#""\ud83dx""#, .surrogateUnpaired, 1, "$"),
    ("{\"a\":1,\"b\":{\"c\":1,\"c\":2}}", .duplicateKey, 18, "$.b.c"),
    (#"{"a":1,"\u0061":2}"#, .duplicateKey, 7, "$.a"),
  ]

  @Test(arguments: invalid)
  func rejects(text: String, reason: JSONParseError.Reason, offset: Int, path: String) {
    let error = #expect(throws: JSONParseError.self) { try JSON(parsing: text) }
    #expect(error?.reason == reason)
    #expect(error?.offset == offset)
    #expect(error?.path.description == path)
  }

  @Test(
    arguments: [
      ([0x22, 0x61, 0xFF, 0x22], 2), ([0x22, 0xC0, 0x80, 0x22], 1),  // overlong
      ([0x22, 0xED, 0xA0, 0x80, 0x22], 1),  // a surrogate in UTF-8
      ([0x22, 0xF4, 0x90, 0x80, 0x80, 0x22], 1),  // above U+10FFFF
      ([0x22, 0x5C, 0x6E, 0xE2, 0x82, 0x22], 3),  // cut short, behind an escape
      ([0x22, 0xE2, 0x82, 0x5C, 0x6E, 0xAC, 0x22], 1),  // an escape inside a sequence
    ] as [([UInt8], Int)])
  func rejectsBadUTF8(bytes: [UInt8], offset: Int) {
    let error = #expect(throws: JSONParseError.self) { try JSON(parsing: bytes) }
    #expect(error?.reason == .notUTF8)
    #expect(error?.offset == offset)
  }

  @Test func comparesKeysByBytes() throws {
    let object = try JSON(parsing: "{\"\u{E9}\":1,\"e\u{301}\":2}").object
    #expect(object?.count == 2)
    #expect(object?["e\u{301}"]?.int64 == 2)
  }

  @Test func depthIsLimited() throws {
    let nested = { (depth: Int) in
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    _ = try JSON(parsing: nested(100))
    let error = #expect(throws: JSONParseError.self) { try JSON(parsing: nested(101)) }
    #expect(error?.reason == .tooDeep(depthMax: 100))
    #expect(error?.offset == 100)
    #expect(error?.path.steps.count == 100)
    let objects = String(repeating: "{\"a\":", count: 101)
    #expect(throws: JSONParseError.self) { try JSON(parsing: objects) }

    var limits = JSONLimits()
    limits.depthMax = .max
    _ = try JSON(parsing: nested(JSONLimits.depthCeiling), limits: limits)
    let ceiling = #expect(throws: JSONParseError.self) {
      try JSON(parsing: String(repeating: "[", count: 1_000_000), limits: limits)
    }
    #expect(ceiling?.reason == .tooDeep(depthMax: JSONLimits.depthCeiling))
  }

  @Test func everyOtherLimitIsReached() throws {
    var limits = JSONLimits()
    limits.bytesMax = 40
    limits.membersMax = 2
    limits.valuesMax = 5
    limits.keyBytesMax = 3
    limits.numberBytesMax = 4
    func reason(_ text: String) -> JSONParseError.Reason? {
      do {
        _ = try JSON(parsing: text, limits: limits)
        return nil
      } catch {
        return error.reason
      }
    }
    #expect(reason("\"" + String(repeating: "a", count: 38) + "\"") == nil)
    #expect(
      reason("\"" + String(repeating: "a", count: 39) + "\"") == .documentTooLarge(bytesMax: 40))
    #expect(reason("{\"a\":1,\"b\":2}") == nil)
    #expect(reason("{\"a\":1,\"b\":2,\"c\":3}") == .tooManyMembers(membersMax: 2))
    #expect(reason("[1,2,3,4]") == nil)
    #expect(reason("[1,2,3,4,5]") == .tooManyValues(valuesMax: 5))
    #expect(reason("{\"abc\":1}") == nil)
    #expect(reason("{\"abcd\":1}") == .keyTooLong(bytesMax: 3))
    #expect(reason("-1e5") == nil)
    #expect(reason("12345") == .numberTooLong(bytesMax: 4))
  }

  @Test func findsDuplicatesAmongManyKeys() throws {
    let members = (0..<5000).map { "\"key\($0)\":\($0)" }.joined(separator: ",")
    let object = try JSON(parsing: "{\(members)}").object
    #expect(object?["key4999"]?.int64 == 4999)
    let error = #expect(throws: JSONParseError.self) {
      try JSON(parsing: "{\(members),\"key77\":0}")
    }
    #expect(error?.path.description == "$.key77")
  }

  @Test func errorsShowNoValues() {
    let error = #expect(throws: JSONParseError.self) {
      try JSON(parsing: "{\"password\":\"hunter2\\q\"}")
    }
    #expect(error?.description == "$.password, byte 20: an unknown or incomplete escape")
  }
}
