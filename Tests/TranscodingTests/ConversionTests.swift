import Contracts
import JSON
import Protobuf
import PythonPeer
import Testing
import Transcoding

@Suite struct ConversionTests {
  @Test func bothNamesAndBothAlphabetsAreAccepted() throws {
    let message = try TestingV1.AllKinds(
      serialized: Contract.message(
        #"{"int64_value":"-5","uint64Value":1e3,"bytesValue":"-_8","bytes_value":null}"#
          .replacing(#","bytes_value":null"#, with: "")))
    #expect(message.int64Value == -5)
    #expect(message.uint64Value == 1000)
    #expect(message.bytesValue == [0xFB, 0xFF])
    let standard = try TestingV1.AllKinds(serialized: Contract.message(#"{"bytesValue":"+/8="}"#))
    #expect(standard.bytesValue == [0xFB, 0xFF])
  }

  @Test func nullIsNotSetButForValue() throws {
    #expect(
      try Contract.message(
        #"{"int32Value":null,"leaf":null,"choices":null,"repeated":null,"color":null}"#) == [])
    #expect(
      try Contract.json(
        Contract.message(#"{"choices":{"leaf":null,"stringValue":""}}"#), options: Contract.brief)
        == #"{"choices":{"stringValue":""}}"#)
    let known = try TestingV1.WellKnown(
      serialized: Contract.message(#"{"value":null,"stringWrapper":null}"#, "WellKnown"))
    #expect(known.value != nil)
    #expect(known.stringWrapper == nil)
  }

  @Test func presenceIsKept() throws {
    #expect(try Contract.message(#"{"int32Value":0,"stringValue":""}"#) == [])
    let zeros = #"{"int32Value":0,"stringValue":"","boolValue":false}"#
    #expect(try Contract.json(Contract.message(zeros, "Presence"), "Presence") == zeros)
    #expect(try Contract.message(#"{"doubleValue":-0}"#).count == 9)
  }

  @Test func defaultsAreWrittenWhereAbsenceMeansNothing() throws {
    #expect(try Contract.json([], "Leaf") == #"{"name":"","number":"0"}"#)
    #expect(try Contract.json([], "Presence") == "{}")
    #expect(try Contract.json([], "Nested") == #"{"children":[],"name":""}"#)
    #expect(try Contract.json([], options: Contract.brief) == "{}")
    #expect(try Contract.json([], "EchoRequest") == #"{"text":"","payload":""}"#)
  }

  @Test func wellKnownTypesHaveTheirForms() throws {
    let document =
      #"{"timestamp":"1969-12-31T23:59:59.500Z","duration":"-0.000001s","struct":{"a":[1,null]},"#
      + #""value":"x","list":[{},true],"mask":"aB.c,d","any":{"@type":"t/storeplane.testing.v1.Leaf","#
      + #""name":"n"},"stringWrapper":"","int64Wrapper":"7","boolWrapper":false}"#
    let bytes = try Contract.message(document, "WellKnown")
    #expect(try Contract.json(bytes, "WellKnown", options: Contract.brief) == document)
    let offset = try Contract.message(#"{"timestamp":"2026-03-01T00:30:00+01:00"}"#, "WellKnown")
    #expect(
      try Contract.json(offset, "WellKnown") == #"{"timestamp":"2026-02-28T23:30:00Z"}"#)
    let mask = try Contract.message(#"{"mask":"user_name,userName"}"#, "WellKnown")
    #expect(
      try TestingV1.WellKnown(serialized: mask).mask?.paths == ["user_name", "user_name"])
  }

  @Test func repeatedOccurrencesAreMerged() throws {
    // The child twice, with a name each time, and a child's child the first time.
    let bytes: [UInt8] = [10, 5, 10, 0, 26, 1, 97, 10, 3, 26, 1, 98]
    #expect(
      try Contract.json(bytes, "Nested", options: Contract.brief)
        == #"{"child":{"child":{},"name":"b"}}"#)
    // Of a oneof the last member counts: left, right, left.
    let choices: [UInt8] = [0xA2, 1, 1, 97, 0xA8, 1, 5, 0xA2, 1, 1, 98]
    #expect(
      try Contract.json(choices, "Choices", options: Contract.brief) == #"{"left":"b"}"#)
    #expect(
      try Contract.json(Array(choices.prefix(7)), "Choices", options: Contract.brief)
        == #"{"right":5}"#)
    // Equal keys of a map: the last value.
    let maps: [UInt8] = [10, 6, 10, 1, 97, 18, 1, 98, 10, 6, 10, 1, 97, 18, 1, 99]
    #expect(
      try Contract.json(maps, "Maps", options: Contract.brief) == #"{"strings":{"a":"c"}}"#)
    // Packed and not, and a field that the contract does not have.
    let numbers: [UInt8] = [0x1A, 2, 1, 2, 0x18, 3, 0xF8, 0x7F, 1]
    #expect(
      try Contract.json(numbers, "Repeated", options: Contract.brief)
        == #"{"int32Values":[1,2,3]}"#)
  }

  /// Neither damaged documents nor damaged bytes may do more than throw.
  @Test func damagedInputNeverCrashes() throws {
    var generator = SeededGenerator(seed: 20_261_121)
    let document =
      #"{"int32Value":1,"leaf":{"name":"a","number":"2"},"choices":{"color":"COLOR_RED"},"#
      + #""repeated":{"doubleValues":[1.5,"NaN"],"leaves":[{}],"unpackedValues":[1,2]},"maps":{"#
      + #""numbers":{"1":"2"},"flags":{"true":"x"}},"wellKnown":{"timestamp":"2026-01-01T00:00:00Z","#
      + #""duration":"1.5s","struct":{"a":[1,{"b":null}]},"mask":"a.bC","any":{"@type":"#
      + #""x/google.protobuf.Duration","value":"1s"},"int64Wrapper":"3"}}"#
    let bytes = try Contract.message(document)
    let transcoder = try Contract.transcoder()
    let type = try Contract.type("AllKinds", transcoder.pool)
    var outcomes = (converted: 0, refused: 0)
    for _ in 0..<4000 {
      let text = Self.damaged(Array(document.utf8), &generator)
      let message = Self.damaged(bytes, &generator)
      do {
        _ = try transcoder.message(JSON(parsing: text), type)
        outcomes.converted += 1
      } catch {
        outcomes.refused += 1
      }
      do throws(TranscodingError) {
        let document = try transcoder.json(message, type)
        outcomes.converted += 1
        // What comes out is JSON whatever came in.
        #expect(throws: Never.self) { try JSON(parsing: document) }
      } catch {
        outcomes.refused += 1
      }
    }
    #expect(outcomes.converted > 100)
    #expect(outcomes.refused > 100)
  }

  private static func damaged(
    _ bytes: [UInt8], _ generator: inout SeededGenerator
  ) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
      let index = Int.random(in: 0..<bytes.count, using: &generator)
      switch Int.random(in: 0..<4, using: &generator) {
      case 0: bytes[index] = .random(in: 0...255, using: &generator)
      case 1: bytes.remove(at: index)
      case 2: bytes.insert(generator.pick(bytes), at: index)
      default: bytes.swapAt(index, Int.random(in: 0..<bytes.count, using: &generator))
      }
    }
    return bytes
  }
}
