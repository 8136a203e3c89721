import RPCCore
import Testing

@Suite struct WireValueTests {
  private func decode(_ text: String) -> Duration? {
    var text = text
    return text.withUTF8 { GRPCTimeout.decode($0) }.map { .nanoseconds($0) }
  }

  @Test func decodesTimeouts() {
    #expect(decode("1H") == .seconds(3600))
    #expect(decode("2M") == .seconds(120))
    #expect(decode("3S") == .seconds(3))
    #expect(decode("99999999m") == .milliseconds(99_999_999))
    #expect(decode("5u") == .microseconds(5))
    #expect(decode("6n") == .nanoseconds(6))
    #expect(decode("99999999H") == .nanoseconds(Int64.max))
  }

  @Test(arguments: ["", "1", "S", "123456789S", "-1S", "1.5S", "1s", "1 S", "0x1S"])
  func refusesBadTimeouts(text: String) {
    #expect(decode(text) == nil)
  }

  @Test(arguments: [1, 99_999_999, 100_000_000, 3_600_000_000_000, Int64.max])
  func neverShortensATimeout(nanoseconds: Int64) throws {
    let text = GRPCTimeout.encode(nanoseconds: nanoseconds)
    #expect(text.utf8.count <= 9)
    if nanoseconds < Int64.max {
      #expect(try #require(decode(text)) >= .nanoseconds(nanoseconds))
    }
  }

  @Test func percentEncodesMessages() {
    let text = "50 % of “x”\n"
    let encoded = GRPCMessageText.encode(text)
    #expect(encoded == "50 %25 of %E2%80%9Cx%E2%80%9D%0A")
    #expect(GRPCMessageText.decode(encoded) == text)
  }

  @Test func decodingMessagesNeverFails() {
    #expect(GRPCMessageText.decode("100%") == "100%")
    #expect(GRPCMessageText.decode("%zz%4") == "%zz%4")
    #expect(GRPCMessageText.decode("%FF") == "\u{FFFD}")
  }

  @Test func base64TakesPaddingOrNone() throws {
    for length in 0...6 {
      let bytes = (0..<length).map { UInt8($0 * 40) }
      let text = Base64.encode(bytes)
      #expect(!text.contains("="))
      let padded = text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
      #expect(Base64.decode(text.utf8) == bytes)
      #expect(Base64.decode(padded.utf8) == bytes)
    }
  }

  @Test(arguments: ["A", "AA=", "A===", "AA=A", "A*AA", "AAA=="])
  func refusesBadBase64(text: String) {
    #expect(Base64.decode(text.utf8) == nil)
  }

  @Test func metadataKeepsOrderAndDuplicates() {
    var metadata = Metadata()
    metadata.append("a", "1")
    metadata.append("b-bin", bytes: [1, 2])
    metadata.append("a", "2")
    #expect(metadata.entries.map(\.name) == ["a", "b-bin", "a"])
    #expect(metadata["a"] == "1")
  }

  @Test func metadataThatWereCopiedChangeAlone() {
    var metadata = Metadata()
    metadata.append("a", "1")
    let copy = metadata
    metadata.append("b", String(repeating: "2", count: 3000))
    metadata.append("b-bin", bytes: [0, 255])
    #expect(copy.entries.map(\.name) == ["a"])
    #expect(copy != metadata)
    #expect(metadata["b"]?.utf8.count == 3000)
    #expect(metadata.bytes("b-bin") == [0, 255])
    #expect(metadata["b-bin"] == nil)
    var same = copy
    same.append("b", String(repeating: "2", count: 3000))
    same.append("b-bin", bytes: [0, 255])
    #expect(same == metadata)
  }

  private static func received(_ value: String) -> Metadata? {
    var metadata = Metadata()
    return metadata.appendReceived(name: "x-bin", value: value) ? metadata : nil
  }

  @Test func binaryMetadataIsSplitAtCommasBeforeDecoding() throws {
    let metadata = try #require(Self.received("AQI,Aw=="))
    #expect(metadata.entries.map(\.value) == [.bytes([1, 2]), .bytes([3])])
    #expect(Self.received("?") == nil)
  }

  /// Each of them has the name again, so that a few kilobytes could become megabytes.
  @Test func whatJoinedValuesComeToIsBounded() {
    let commas = String(repeating: ",", count: 8000)
    var metadata = Metadata()
    let fits = metadata.appendReceived(name: "x-bin", value: String(commas.prefix(1000)))
    let name = String(repeating: "n", count: 8000) + "-bin"
    let isTaken = metadata.appendReceived(name: name, value: commas)
    #expect(fits && !isTaken)
    #expect(metadata.byteCount < Metadata.joinedBytesMax + 10_000)
  }
}
