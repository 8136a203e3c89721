import JSON
import Testing

@Suite struct JSONNumberTests {
  @Test(
    arguments: [
      ("0", 0, 0, 0.0), ("-0", 0, 0, -0.0), ("42", 42, 42, 42), ("-7", -7, nil, -7),
      ("9223372036854775807", Int64.max, UInt64(Int64.max), 0x1p63),
      ("9223372036854775808", nil, UInt64(Int64.max) + 1, 0x1p63),
      ("-9223372036854775808", Int64.min, nil, -0x1p63),
      ("-9223372036854775809", nil, nil, -0x1p63),
      ("18446744073709551615", nil, UInt64.max, 0x1p64),
      ("18446744073709551616", nil, nil, 0x1p64),
      ("5.0", 5, 5, 5), ("50e-1", 5, 5, 5), ("1.5", nil, nil, 1.5), ("1e3", 1000, 1000, 1000),
      ("-9.223372036854775808e18", Int64.min, nil, -0x1p63),
      ("1e19", nil, 10_000_000_000_000_000_000, 1e19),
      ("1e20", nil, nil, 1e20), ("0e99999999999999999999", 0, 0, 0), ("1e-400", nil, nil, 0),
      ("1e99999999999999999999", nil, nil, nil), ("1e400", nil, nil, nil), ("0.1", nil, nil, 0.1),
    ] as [(String, Int64?, UInt64?, Double?)])
  func isExact(text: String, int64: Int64?, uint64: UInt64?, double: Double?) throws {
    let number = try #require(try JSON(parsing: text).number)
    #expect(number.text == text)
    #expect(number.int64 == int64)
    #expect(number.uint64 == uint64)
    #expect(number.double == double)
  }

  @Test func keepsDigitsThatDoublesLose() throws {
    let text = "[0.1000000000000000055511151231257827,12345678901234567890123]"
    #expect(try JSON(parsing: text).serializedText() == text)
    #expect(JSONNumber(Double.nan) == nil)
    #expect(JSONNumber(1.5)?.text == "1.5")
  }
}

@Suite struct JSONPathTests {
  let pod: JSON = [
    "metadata": ["name": "web-0", "labels": ["app.kubernetes.io/name": "web"]],
    "spec": ["containers": [["image": "wordpress:6", "ports": [["containerPort": 80]]]]],
  ]

  @Test func readsAlongAPath() throws {
    #expect(pod["spec", "containers", 0, "image"]?.string == "wordpress:6")
    #expect(pod["metadata", "labels", "app.kubernetes.io/name"] == "web")
    #expect(pod["spec", "containers", 1] == nil)
    #expect(pod["spec", "containers", -1] == nil)
    #expect(pod["spec", "containers", "image"] == nil)
    #expect(pod["metadata", 0] == nil)
    #expect(try pod.int64("spec", "containers", 0, "ports", 0, "containerPort") == 80)
    #expect(try pod.array("spec", "containers").count == 1)
    #expect(try pod.object("metadata").keys == ["name", "labels"])
  }

  @Test func saysWhatIsMissing() {
    let missing = #expect(throws: JSONAccessError.self) { try pod.string("status", "phase") }
    #expect(missing?.description == "$.status.phase: expected a string, found nothing")
    let wrong = #expect(throws: JSONAccessError.self) { try pod.bool("metadata", "name") }
    #expect(wrong?.description == "$.metadata.name: expected a boolean, found a string")
  }

  @Test func writesAlongAPath() throws {
    var value = pod
    try value.set("shop", at: "metadata", "annotations", "title")
    try value.set("nginx", at: "spec", "containers", 0, "image")
    try value.set("php", at: "spec", "containers", 1, "image")
    #expect(try value.string("metadata", "annotations", "title") == "shop")
    #expect(try value.array("spec", "containers").map { $0["image"] } == ["nginx", "php"])
    #expect(throws: JSONAccessError.self) { try value.set(1, at: "spec", "containers", 9) }
    let wrong = #expect(throws: JSONAccessError.self) {
      try value.set(1, at: "metadata", "name", "first")
    }
    #expect(wrong?.description == "$.metadata.name: expected an object, found a string")
  }

  @Test func quotesOddKeysAndCutsLongOnes() {
    let path = JSONPath([.key("a-b_1"), .key("c d"), .key(""), .index(3), .key("\"\n")])
    #expect(path.description == #"$.a-b_1["c d"][""][3]["\"\n"]"#)
    let long = JSONPath([.key(String(repeating: "k", count: 5000))])
    #expect(long.description.count < 80)
  }
}

@Suite struct JSONWriterTests {
  @Test func writesPieceByPiece() {
    var writer = JSONWriter()
    writer.openObject()
    writer.key("a")
    writer.openArray()
    writer.integer(-1)
    writer.bool(true)
    writer.null()
    writer.openObject()
    writer.closeObject()
    writer.double(1.5)
    writer.closeArray()
    writer.key("b")
    writer.string("x")
    writer.key("c")
    writer.double(-.infinity)
    writer.key("d")
    writer.integer(UInt64.max)
    writer.closeObject()
    #expect(
      writer.text
        == #"{"a":[-1,true,null,{},1.5],"b":"x","c":"-Infinity","d":18446744073709551615}"#)
  }

  @Test func escapesWhatMustBeAndNothingElse() throws {
    let text = "\u{0}\u{1F}\u{8}\t\n\u{C}\r\"\\/é😀\u{7F}"
    #expect(
      JSON.string(text).serializedText()
        == #""\u0000\u001f\b\t\n\f\r\"\\/é😀"# + "\u{7F}\"")
    #expect(try JSON(parsing: JSON.string(text).serialized()) == .string(text))
  }

  @Test func isDeterministic() throws {
    let one = try JSON(parsing: #"{"b":{"z":1,"é":2,"a":3},"a":[]}"#)
    let other = try JSON(parsing: #"{"a":[],"b":{"a":3,"z":1,"é":2}}"#)
    #expect(one == other)
    #expect(one.serializedText() == #"{"b":{"z":1,"é":2,"a":3},"a":[]}"#)
    #expect(one.serialized(sortingKeys: true) == other.serialized(sortingKeys: true))
    #expect(one.serializedText(sortingKeys: true) == #"{"a":[],"b":{"a":3,"z":1,"é":2}}"#)
  }

  @Test func objectsKeepOrderThroughChanges() {
    var object = JSONObject()
    for index in 0..<40 { object["k\(index)"] = .number(JSONNumber(index)) }
    object["k3"] = nil
    object["k20"] = "changed"
    object["new"] = nil
    #expect(object.count == 39)
    #expect(object.keys.prefix(4) == ["k0", "k1", "k2", "k4"])
    #expect(object["k3"] == nil)
    #expect(object["k20"] == "changed")
    #expect(object["k39"]?.int64 == 39)
  }
}
