import Contracts
import Protobuf
import TestKit
import Testing

/// What must never reach protobuf-c, and how it is told.
struct ScannerTests {
  private func error<Message: ProtobufMessage>(
    _ type: Message.Type, _ bytes: [UInt8], limits: DecodingLimits = .default
  ) -> ProtobufError? {
    do throws(ProtobufError) {
      _ = try Message(serialized: bytes, limits: limits)
      return nil
    } catch {
      return error
    }
  }

  private func describe(_ bytes: [UInt8]) -> String? {
    error(TestingV1.AllKinds.self, bytes)?.description
  }

  @Test func namesThePathOfTheField() {
    let bad = Wire.field(1, [0xFF])
    let stores =
      Wire.field(1, Wire.field(2, Array("one".utf8)))
      + Wire.field(1, Wire.field(2, Array("two".utf8))) + Wire.field(1, Wire.field(2, [0xC3]))
    #expect(
      error(ProvisionerV1.ListStoresResponse.self, stores)?.description
        == "stores[2].name: not valid UTF-8")
    #expect(describe(Wire.field(17, bad)) == "leaf.name: not valid UTF-8")
    #expect(
      describe(Wire.field(20, Wire.field(7, []) + Wire.field(7, Wire.field(2, bad))))
        == "maps.leaves[1].value.name: not valid UTF-8")
    #expect(
      describe(Wire.field(18, Wire.field(10, bad))) == "choices.leaf.name: not valid UTF-8")
  }

  @Test func refusesNULInText() {
    #expect(describe(Wire.field(14, [0x61, 0, 0x62])) == "string_value: contains a NUL character")
    #expect(describe(Wire.field(15, [0x61, 0, 0x62])) == nil)
  }

  @Test(
    arguments: [
      [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80],
      [0xF0, 0x80, 0x80, 0x80],
      [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82], [0xFF], [0xC3, 0x28],
      Array("12345678".utf8) + [0xE2, 0x28, 0xA1], Array("1234567".utf8) + [0xF0, 0x9F, 0x98],
    ] as [[UInt8]])
  func refusesWhatIsNotUTF8(text: [UInt8]) {
    #expect(describe(Wire.field(14, text)) == "string_value: not valid UTF-8")
  }

  @Test(arguments: [
    "", "plain", "exactly8", "é", "日本語", "😀😀", "a long line with an é in it",
    "\u{10FFFF}\u{D7FF}\u{E000}",
  ])
  func acceptsUTF8(text: String) throws {
    let message = try TestingV1.AllKinds(serialized: Wire.field(14, Array(text.utf8)))
    #expect(message.stringValue == text)
  }

  @Test func refusesMalformedWire() {
    #expect(describe([0x00]) == "the message: has a malformed tag")
    #expect(describe([0x80, 0x00]) == "the message: has a malformed tag")
    #expect(
      describe(Wire.varint(1 << 32) + [0]) == "the message: has a malformed tag")
    #expect(
      describe([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]) == "the message: has a malformed tag")
    #expect(describe([0x80]) == "the message: ends in the middle of a field")
    #expect(describe(Wire.tag(3, 0)) == "int32_value: ends in the middle of a field")
    #expect(
      describe(Wire.tag(3, 0) + [UInt8](repeating: 0xFF, count: 10) + [0])
        == "int32_value: has a malformed number or length")
    #expect(describe(Wire.tag(14, 2) + [5, 0x61]) == "string_value: ends in the middle of a field")
    #expect(
      describe(Wire.tag(14, 2) + [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01])
        == "string_value: has a malformed number or length")
    #expect(describe(Wire.tag(1, 1) + [1, 2, 3]) == "double_value: ends in the middle of a field")
    #expect(describe(Wire.tag(9, 5) + [1]) == "fixed32_value: ends in the middle of a field")
  }

  @Test func refusesGroupsAndOtherWireTypes() {
    #expect(describe(Wire.tag(14, 3)) == "string_value: wire type 3 is not supported")
    #expect(describe(Wire.tag(500, 3)) == "field 500: wire type 3 is not supported")
    #expect(describe(Wire.tag(500, 6)) == "field 500: wire type 6 is not supported")
    #expect(
      describe(Wire.field(14, varint: 1))
        == "string_value: has wire type 0 where the contract has 2")
    // protobuf-c would read a boolean out of these eight bytes.
    #expect(
      describe(Wire.tag(13, 1) + [UInt8](repeating: 1, count: 8))
        == "bool_value: has wire type 1 where the contract has 0")
    #expect(
      describe(Wire.field(13, [1])) == "bool_value: has wire type 2 where the contract has 0")
  }

  @Test func refusesPackedFieldsThatDoNotFillTheirLength() {
    #expect(
      describe(Wire.field(19, Wire.field(9, [1, 2, 3])))
        == "repeated.fixed32_values[0]: has a length that its elements do not fill")
    #expect(
      describe(Wire.field(19, Wire.field(3, [0x80])))
        == "repeated.int32_values[0]: ends in the middle of a field")
  }

  @Test func readsRepeatedNumbersPackedOrNot() throws {
    let bytes = Wire.field(3, [1, 2]) + Wire.field(3, varint: 3) + Wire.field(18, [4])
    let message = try TestingV1.Repeated(serialized: bytes + Wire.field(18, varint: 5))
    #expect(message.int32Values == [1, 2, 3])
    #expect(message.unpackedValues == [4, 5])
  }

  @Test func refusesToMergeMessages() {
    let twice = Wire.field(17, []) + Wire.field(17, Wire.field(1, [0x61]))
    #expect(describe(twice) == "leaf: is there more than once but is not a repeated field")
    let choices = Wire.field(10, []) + Wire.field(10, [])
    #expect(
      error(TestingV1.Choices.self, choices)?.path == "leaf")
  }

  @Test func takesTheLastOfAChoice() throws {
    let bytes = Wire.field(7, Array("first".utf8)) + Wire.field(10, Wire.field(1, [0x61]))
    #expect(try TestingV1.Choices(serialized: bytes).kind == .leaf(TestingV1.Leaf(name: "a")))
    let back = bytes + Wire.field(3, varint: 7)
    #expect(try TestingV1.Choices(serialized: back).kind == .int32Value(7))
  }

  @Test func skipsUnknownFields() throws {
    let unknown =
      Wire.field(900, [0xFF, 0]) + Wire.field(901, varint: 7) + Wire.tag(902, 1)
      + [UInt8](repeating: 0, count: 8) + Wire.tag(903, 5) + [0, 0, 0, 0]
    let message = try TestingV1.Leaf(serialized: unknown + Wire.field(2, varint: 9) + unknown)
    #expect(message == TestingV1.Leaf(number: 9))
    #expect(try GoogleProtobuf.Empty(serialized: unknown) == GoogleProtobuf.Empty())
  }

  @Test func readsNoBytes() throws {
    #expect(try TestingV1.AllKinds(serialized: []) == TestingV1.AllKinds())
    #expect(
      try TestingV1.Leaf(serialized: UnsafeRawBufferPointer(start: nil, count: 0))
        == TestingV1.Leaf())
  }
}

/// Each limit, reached and just not reached.
struct DecodingLimitTests {
  private func nested(_ depth: Int) -> [UInt8] {
    (0..<depth).reduce([]) { inner, _ in Wire.field(1, inner) }
  }

  @Test func limitsDepth() throws {
    _ = try TestingV1.Nested(serialized: nested(100))
    #expect(throws: ProtobufError.self) { try TestingV1.Nested(serialized: nested(101)) }
    let shallow = DecodingLimits(depthMax: 2)
    _ = try TestingV1.Nested(serialized: nested(2), limits: shallow)
    #expect(
      throws: ProtobufError(.nestedTooDeeply(depthMax: 2), path: "child.child.child")
    ) {
      try TestingV1.Nested(serialized: nested(3), limits: shallow)
    }
  }

  @Test func refusesAMessageThatWouldOverflowTheStack() {
    // 30 KB of a message within itself: protobuf-c alone overflows a stack of 8 MB.
    let bytes = nested(9_500)
    #expect(bytes.count > 30_000)
    do throws(ProtobufError) {
      _ = try TestingV1.Nested(serialized: bytes)
      Issue.record("accepted")
    } catch {
      #expect(error.reason == .nestedTooDeeply(depthMax: 100))
    }
  }

  @Test func limitsElements() throws {
    let limits = DecodingLimits(elementsMax: 10)
    let fields = Array(repeating: Wire.field(18, varint: 1), count: 10).flatMap { $0 }
    _ = try TestingV1.Repeated(serialized: fields, limits: limits)
    #expect(
      throws: ProtobufError(.tooManyElements(elementsMax: 10), path: "unpacked_values[10]")
    ) {
      try TestingV1.Repeated(serialized: fields + Wire.field(18, varint: 1), limits: limits)
    }
    let packed = Wire.field(3, [UInt8](repeating: 1, count: 9))
    _ = try TestingV1.Repeated(serialized: packed, limits: limits)
    #expect(
      throws: ProtobufError(.tooManyElements(elementsMax: 10), path: "int32_values[1]")
    ) {
      try TestingV1.Repeated(serialized: packed + Wire.field(3, [1]), limits: limits)
    }
    // Unknown fields count too.
    #expect(throws: ProtobufError.self) {
      try GoogleProtobuf.Empty(serialized: fields + fields, limits: limits)
    }
  }

  @Test func limitsMemory() throws {
    let limits = DecodingLimits(memoryBytesMax: 4096)
    let text = { (count: Int) in Wire.field(1, [UInt8](repeating: 0x61, count: count)) }
    _ = try TestingV1.Leaf(serialized: text(4000), limits: limits)
    #expect(
      throws: ProtobufError(.needsTooMuchMemory(memoryBytesMax: 4096), path: "name")
    ) {
      try TestingV1.Leaf(serialized: text(4096), limits: limits)
    }
    // Two bytes each on the wire, a structure each in memory.
    let empties = Array(repeating: Wire.field(2, []), count: 1000).flatMap { $0 }
    #expect(empties.count == 2000)
    #expect(throws: ProtobufError.self) {
      try TestingV1.Nested(serialized: empties, limits: limits)
    }
  }
}
