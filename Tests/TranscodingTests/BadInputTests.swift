import Contracts
import JSON
import Protobuf
import Testing
import Transcoding

/// What clients get wrong, and what they are told.
@Suite struct BadInputTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let json: String
    let field: String
    let reason: String

    init(_ json: String, _ field: String, _ reason: String) {
      self.json = json
      self.field = field
      self.reason = reason
    }

    var testDescription: String { json }
  }

  @Test(arguments: [
    Case("[]", "", "expected an object, found an array"),
    Case(
      #"{"int32Valeu":1}"#, "int32Valeu",
      #"is not a field of storeplane.testing.v1.AllKinds; did you mean "int32Value"?"#),
    Case(#"{"leaf":{"nam":""}}"#, "leaf.nam", #"did you mean "name"?"#),
    Case(#"{"xyzzy":1}"#, "xyzzy", "is not a field of storeplane.testing.v1.AllKinds"),
    Case(
      #"{"int32Value":1,"int32_value":2}"#, "int32_value",
      "is there twice, as int32Value and as int32_value"),
    Case(
      #"{"int32Value":2147483648}"#, "int32Value",
      "expected an integer from -2147483648 to 2147483647"),
    Case(#"{"int32Value":1.5}"#, "int32Value", "expected an integer from"),
    Case(#"{"int32Value":"1x"}"#, "int32Value", "expected an integer, found other text"),
    Case(#"{"int32Value":" 1"}"#, "int32Value", "expected an integer, found other text"),
    Case(#"{"int32Value":"007"}"#, "int32Value", "expected an integer, found other text"),
    Case(#"{"int32Value":true}"#, "int32Value", "expected an integer, found a boolean"),
    Case(#"{"uint32Value":-1}"#, "uint32Value", "from 0 to 4294967295"),
    Case(#"{"uint64Value":"18446744073709551616"}"#, "uint64Value", "from 0 to"),
    Case(#"{"sint64Value":"9223372036854775808"}"#, "sint64Value", "to 9223372036854775807"),
    Case(#"{"floatValue":1e39}"#, "floatValue", "out of the range of a float"),
    Case(#"{"doubleValue":1e309}"#, "doubleValue", "out of the range of a double"),
    Case(#"{"doubleValue":"inf"}"#, "doubleValue", "expected a number, found other text"),
    Case(#"{"boolValue":"true"}"#, "boolValue", "expected true or false, found a string"),
    Case(#"{"stringValue":1}"#, "stringValue", "expected a string, found a number"),
    Case(#"{"stringValue":"a\u0000"}"#, "stringValue", "NUL"),
    Case(#"{"bytesValue":"?"}"#, "bytesValue", "expected base64, found other text"),
    Case(#"{"bytesValue":"AAAAA"}"#, "bytesValue", "expected base64"),
    Case(#"{"bytesValue":"AA="}"#, "bytesValue", "expected base64"),
    Case(#"{"color":"COLOR_REDD"}"#, "color", #"did you mean "COLOR_RED"?"#),
    Case(#"{"color":"Violet"}"#, "color", "such as COLOR_UNSPECIFIED, COLOR_RED"),
    Case(#"{"color":4294967296}"#, "color", "expected an integer from"),
    Case(
      #"{"choices":{"doubleValue":1,"leaf":{}}}"#, "choices.leaf",
      "cannot be set together with doubleValue"),
    Case(#"{"repeated":{"int32Values":[1,"a"]}}"#, "repeated.int32Values[1]", "an integer"),
    Case(#"{"repeated":{"int32Values":{}}}"#, "repeated.int32Values", "an array, found an object"),
    Case(#"{"repeated":{"leaves":[{},null]}}"#, "repeated.leaves[1]", "null is not allowed"),
    Case(#"{"repeated":{"leaves":[{"number":[]}]}}"#, "repeated.leaves[0].number", "an integer"),
    Case(#"{"maps":{"numbers":{"x":1}}}"#, "maps.numbers.x", "the key must be an integer"),
    Case(#"{"maps":{"numbers":{"01":1}}}"#, "maps.numbers.01", "the key must be an integer"),
    Case(#"{"maps":{"numbers":{"2147483648":1}}}"#, "maps.numbers.2147483648", "an integer from"),
    Case(#"{"maps":{"flags":{"yes":""}}}"#, "maps.flags.yes", #""true" or "false""#),
    Case(#"{"maps":{"leaves":{"a b":{"x":1}}}}"#, #"maps.leaves["a b"].x"#, "is not a field"),
    Case(#"{"maps":{"strings":{"a":null}}}"#, "maps.strings.a", "found null"),
    Case(#"{"maps":{"strings":[]}}"#, "maps.strings", "expected an object"),
    Case(#"{"wellKnown":{"timestamp":"2026-02-29T00:00:00Z"}}"#, "wellKnown.timestamp", "expected"),
    Case(#"{"wellKnown":{"timestamp":"2026-01-01t00:00:00Z"}}"#, "wellKnown.timestamp", "expected"),
    Case(#"{"wellKnown":{"timestamp":"2026-01-01T00:00:00"}}"#, "wellKnown.timestamp", "expected"),
    Case(#"{"wellKnown":{"timestamp":"2026-01-01T00:00:60Z"}}"#, "wellKnown.timestamp", "expected"),
    Case(#"{"wellKnown":{"timestamp":"0001-01-01T00:00:00+01:00"}}"#, "wellKnown.timestamp", "out"),
    Case(
      #"{"wellKnown":{"timestamp":"2026-01-01T00:00:00.1234567890Z"}}"#, "wellKnown.timestamp",
      "such as \"2026-01-31T12:00:00Z\""),
    Case(#"{"wellKnown":{"timestamp":0}}"#, "wellKnown.timestamp", "found a number"),
    Case(#"{"wellKnown":{"duration":"1"}}"#, "wellKnown.duration", "such as \"1.5s\""),
    Case(#"{"wellKnown":{"duration":"315576000001s"}}"#, "wellKnown.duration", "out of range"),
    Case(#"{"wellKnown":{"struct":[]}}"#, "wellKnown.struct", "expected an object"),
    Case(#"{"wellKnown":{"list":{}}}"#, "wellKnown.list", "expected an array"),
    Case(#"{"wellKnown":{"value":{"a":[1,1e999]}}}"#, "wellKnown.value.a[1]", "range of a double"),
    Case(#"{"wellKnown":{"mask":"a,,b"}}"#, "wellKnown.mask", "names of fields"),
    Case(#"{"wellKnown":{"int64Wrapper":{"value":1}}}"#, "wellKnown.int64Wrapper", "an integer"),
    Case(#"{"wellKnown":{"any":{"name":""}}}"#, #"wellKnown.any["@type"]"#, "is missing"),
    Case(
      #"{"wellKnown":{"any":{"@type":"x/a.B"}}}"#, #"wellKnown.any["@type"]"#, "no type that is"),
    Case(
      #"{"wellKnown":{"any":{"@type":"x/google.protobuf.Duration"}}}"#, "wellKnown.any.value",
      "is missing"),
    Case(
      #"{"wellKnown":{"any":{"@type":"x/google.protobuf.Duration","value":"1s","a":1}}}"#,
      "wellKnown.any.a", "beside @type"),
  ])
  func isRefusedWithItsField(_ bad: Case) throws {
    let error = try #require(Contract.error { try Contract.message(bad.json) })
    #expect(error.field == bad.field)
    #expect(error.reason.contains(bad.reason), "\(error.reason)")
    #expect(error.location == .body)
  }

  @Test func valuesDoNotStandInErrors() throws {
    for json in [#"{"int32Value":"hunter2"}"#, #"{"color":"hunter2"}"#, #"{"bytesValue":"hun?2"}"#]
    {
      let error = try #require(Contract.error { try Contract.message(json) })
      #expect(!error.description.contains("hun"))
    }
  }

  /// What passes here, services accept; one level more is refused here.
  @Test func depthIsThatOfServices() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: #"{"child":"#, count: depth) + "{}" + String(repeating: "}", count: depth)
    }
    let deepest = try Contract.message(nested(100 - 1), "Nested")
    #expect(throws: Never.self) { try TestingV1.Nested(serialized: deepest) }
    var options = TranscodingOptions()
    options.json.depthMax = 512
    let whole = try Contract.message(nested(100), "Nested", options: options)
    #expect(throws: Never.self) { try TestingV1.Nested(serialized: whole) }
    #expect(try Contract.json(whole, "Nested").utf8.count > 1000)
    let error = Contract.error { try Contract.message(nested(101), "Nested", options: options) }
    #expect(error?.reason == "nested more than 100 messages deep")
    #expect(error?.path.steps.count == 101)
  }

  @Test func depthOfStructsIsThatOfServices() throws {
    func nested(_ depth: Int) -> String {
      #"{"struct":"# + String(repeating: #"{"a":"#, count: depth) + "{}"
        + String(repeating: "}", count: depth) + "}"
    }
    // Each level is an entry, a value and a struct.
    let deepest = try Contract.message(nested(33), "WellKnown")
    #expect(throws: Never.self) { try TestingV1.WellKnown(serialized: deepest) }
    #expect(try Contract.json(deepest, "WellKnown", options: Contract.brief) == nested(33))
    let error = Contract.error { try Contract.message(nested(34), "WellKnown") }
    #expect(error?.reason == "nested more than 100 messages deep")
  }

  @Test func damagedResponsesAreRefused() throws {
    let deep = (0..<101).reduce([UInt8]()) { inner, _ in
      var length = inner.count
      var prefix: [UInt8] = [10]
      while length >= 0x80 {
        prefix.append(UInt8(length & 0x7F) | 0x80)
        length >>= 7
      }
      return prefix + [UInt8(length)] + inner
    }
    let cases: [(bytes: [UInt8], type: String, field: String, reason: String)] = [
      ([10, 5, 1], "Leaf", "", "ends in the middle"),
      ([8, 1], "Leaf", "name", "another type"),
      ([10, 1, 0xFF], "Leaf", "name", "not UTF-8"),
      ([10, 2, 16, 0xFF], "Nested", "child", "ends in the middle"),
      (
        [0x0A, 0x0B, 0x10] + [UInt8](repeating: 0xFF, count: 9) + [1], "WellKnown", "timestamp",
        "out of range"
      ),
      ([0x22, 9, 0x11, 0, 0, 0, 0, 0, 0, 0xF8, 0x7F], "WellKnown", "value", "no form"),
      (deep, "Nested", "child" + String(repeating: ".child", count: 100), "nested more than 100"),
    ]
    for (bytes, type, field, reason) in cases {
      let error = try #require(Contract.error { try Contract.json(bytes, type) })
      #expect(error.location == .response)
      #expect(error.reason.contains(reason), "\(error)")
      #expect(error.field == field)
    }
  }

  @Test func outputIsBounded() throws {
    var options = TranscodingOptions()
    options.outputBytesMax = 100_000
    // Three bytes each, and 25 in JSON.
    let bytes = (0..<5000).flatMap { _ -> [UInt8] in [0x8A, 0x01, 0] }
    let error = Contract.error { try Contract.json(bytes, "Repeated", options: options) }
    #expect(error?.reason.contains("more than 100000 bytes") == true)
  }
}
