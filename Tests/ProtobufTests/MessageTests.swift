import Contracts
import Protobuf
import TestKit
import Testing

struct MessageTests {
  @Test func leavesHeadroomForAPrefix() throws {
    let message = TestingV1.EchoRequest(text: "hello", payload: [1, 2, 3])
    let bytes = message.serialized(headroom: 5)
    #expect(bytes.prefix(5) == [0, 0, 0, 0, 0])
    #expect(Array(bytes.dropFirst(5)) == message.serialized())
    #expect(message.serialized() == [0x0A, 5] + Array("hello".utf8) + [0x12, 3, 1, 2, 3])
    #expect(GoogleProtobuf.Empty().serialized(headroom: 2) == [0, 0])
  }

  @Test func keepsPresence() throws {
    let absent = TestingV1.Presence()
    #expect(absent.serialized() == [])
    let present = TestingV1.Presence(
      int32Value: 0, stringValue: "", boolValue: false, bytesValue: [], color: .unspecified,
      doubleValue: 0)
    #expect(try TestingV1.Presence(serialized: present.serialized()) == present)
  }

  @Test func keepsEmptyMembersOfAChoice() throws {
    for kind: TestingV1.Choices.Kind in [
      .stringValue(""), .bytesValue([]), .int32Value(0), .boolValue(false), .color(.unspecified),
      .leaf(TestingV1.Leaf()), .nested(TestingV1.Nested()), .doubleValue(0),
    ] {
      let message = TestingV1.Choices(kind: kind, other: .left(""))
      #expect(try TestingV1.Choices(serialized: message.serialized()) == message)
    }
  }

  @Test func keepsEmptyElements() throws {
    let message = TestingV1.Repeated(
      stringValues: ["", "a", ""], bytesValues: [[], [1]], leaves: [TestingV1.Leaf()])
    #expect(try TestingV1.Repeated(serialized: message.serialized()) == message)
    let maps = TestingV1.Maps(strings: ["": ""], leaves: ["": TestingV1.Leaf()])
    #expect(try TestingV1.Maps(serialized: maps.serialized()) == maps)
  }

  @Test func readsMapEntriesWithoutKeyOrValue() throws {
    let message = try TestingV1.Maps(serialized: Wire.field(7, []) + Wire.field(1, []))
    #expect(message == TestingV1.Maps(strings: ["": ""], leaves: ["": TestingV1.Leaf()]))
  }

  @Test func writesMapsInTheOrderOfTheirKeys() {
    let keys = (0..<100).map { "key \($0)" }
    let one = TestingV1.Maps(
      strings: Dictionary(uniqueKeysWithValues: keys.map { ($0, $0) }),
      flags: [true: "yes", false: "no"])
    let other = TestingV1.Maps(
      strings: Dictionary(uniqueKeysWithValues: keys.reversed().map { ($0, $0) }),
      flags: [false: "no", true: "yes"])
    #expect(one.serialized() == other.serialized())
  }

  @Test func keepsUnknownEnumValues() throws {
    let message = try TestingV1.AllKinds(serialized: Wire.field(16, varint: 77))
    #expect(message.color == .unrecognized(77))
    #expect(message.color.name == nil)
    #expect(message.serialized() == Wire.field(16, varint: 77))
    let negative = TestingV1.AllKinds(color: .unrecognized(-1))
    #expect(try TestingV1.AllKinds(serialized: negative.serialized()) == negative)
  }

  @Test func namesEnumValues() {
    #expect(ProvisionerV1.Store.State.ready.name == "STATE_READY")
    #expect(ProvisionerV1.Store.State(name: "STATE_DELETED") == .deleted)
    #expect(ProvisionerV1.Store.State(name: "STATE_LOST") == nil)
    #expect(ProvisionerV1.Store.State(rawValue: 4) == .failed)
    #expect(TestingV1.AllKinds.Color.known == [.unspecified, .red, .green, .darkBlue])
  }

  @Test func replacesNULInTextThatIsWritten() throws {
    let message = TestingV1.Leaf(name: "a\0b")
    #expect(try TestingV1.Leaf(serialized: message.serialized()).name == "a\u{FFFD}b")
  }

  @Test func growsBeyondTheStack() throws {
    let leaves = (0..<5_000).map { TestingV1.Leaf(name: "leaf \($0)", number: Int64($0)) }
    let message = TestingV1.Repeated(
      doubleValues: (0..<5_000).map(Double.init), boolValues: [true, false],
      bytesValues: [[UInt8](repeating: 7, count: 3_000_000)], leaves: leaves)
    #expect(try TestingV1.Repeated(serialized: message.serialized()) == message)
  }

  @Test func showsNothingOfSecrets() {
    let request = ConfigV1.SetSecretRequest(name: "visible?", payload: .value("hunter2"))
    let login = GatewayV1.LoginResponse(tokens: GatewayV1.TokenPair(accessToken: "hunter2"))
    var dumped = ""
    dump(login, to: &dumped)
    dump(request, to: &dumped)
    for text in ["\(request)", "\(login)", String(reflecting: login), "\([request])", dumped] {
      #expect(!text.contains("hunter2"), "\(text)")
    }
    #expect("\(request)" == "storeplane.config.v1.SetSecretRequest(redacted)")
  }
}

struct WellKnownTypeTests {
  @Test(
    arguments: [
      (0, 0, 0), (1_500_000_000, 1, 500_000_000), (-1, -1, 999_999_999), (-1_000_000_000, -1, 0),
      (Int64.max, 9_223_372_036, 854_775_807), (Int64.min, -9_223_372_037, 145_224_192),
    ] as [(Int64, Int64, Int32)])
  func convertsTimestamps(nanoseconds: Int64, seconds: Int64, nanos: Int32) {
    let timestamp = GoogleProtobuf.Timestamp(nanosecondsSince1970: nanoseconds)
    #expect(timestamp == GoogleProtobuf.Timestamp(seconds: seconds, nanos: nanos))
    #expect(timestamp.nanosecondsSince1970 == nanoseconds)
    #expect(
      GoogleProtobuf.Timestamp(microsecondsSince1970: nanoseconds / 1000).microsecondsSince1970
        == nanoseconds / 1000)
  }

  @Test func refusesTimestampsThatAreNone() {
    #expect(GoogleProtobuf.Timestamp(seconds: 1, nanos: -1).microsecondsSince1970 == nil)
    #expect(GoogleProtobuf.Timestamp(seconds: 1, nanos: 1_000_000_000).nanosecondsSince1970 == nil)
    #expect(GoogleProtobuf.Timestamp(seconds: .max).microsecondsSince1970 == nil)
    #expect(GoogleProtobuf.Timestamp(seconds: 253_402_300_799).nanosecondsSince1970 == nil)
    #expect(
      GoogleProtobuf.Timestamp(seconds: 253_402_300_799).microsecondsSince1970
        == 253_402_300_799_000_000)
  }

  @Test func convertsDurations() {
    let duration = GoogleProtobuf.Duration(.milliseconds(-1_500))
    #expect(duration == GoogleProtobuf.Duration(seconds: -1, nanos: -500_000_000))
    #expect(duration.duration == .milliseconds(-1_500))
    #expect(GoogleProtobuf.Duration(seconds: 1, nanos: -1).duration == nil)
    #expect(GoogleProtobuf.Duration(seconds: .max).duration == nil)
  }

  @Test func packsAnyMessage() throws {
    let reason = GoogleRPC.ErrorInfo(reason: "QUOTA", metadata: ["store": "demo"])
    let status = GoogleRPC.Status(
      code: 8, message: "no", details: [GoogleProtobuf.AnyMessage(packing: reason)])
    let decoded = try GoogleRPC.Status(serialized: status.serialized())
    #expect(decoded == status)
    #expect(decoded.details[0].typeURL == "type.googleapis.com/google.rpc.ErrorInfo")
    #expect(try decoded.details[0].unpacked(as: GoogleRPC.ErrorInfo.self) == reason)
    #expect(try decoded.details[0].unpacked(as: GoogleRPC.BadRequest.self) == nil)
  }

  @Test func writesStructsAsLiterals() throws {
    let value: GoogleProtobuf.Struct = [
      "name": "demo", "count": 3, "ratio": 0.5, "on": true, "none": nil, "list": [1, "two"],
      "nested": ["deep": ["deeper": false]],
    ]
    #expect(try GoogleProtobuf.Struct(serialized: value.serialized()) == value)
    #expect(value["name"]?.string == "demo")
    #expect(value["count"]?.string == nil)
  }
}
