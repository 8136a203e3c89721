import RPCCore
import Testing

@Suite struct MessageDeframerTests {
  private func frame(_ payload: [UInt8], flag: UInt8 = 0) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 5) + payload
    MessageDeframer.writePrefix(into: &bytes)
    bytes[0] = flag
    return bytes
  }

  private func feed(
    _ deframer: inout MessageDeframer, _ bytes: [UInt8]
  ) throws(RPCError) -> [[UInt8]] {
    var messages: [[UInt8]] = []
    try bytes.withUnsafeBufferPointer { buffer throws(RPCError) in
      try deframer.feed(UnsafeRawBufferPointer(buffer)) { bytes, _ in messages.append(Array(bytes))
      }
    }
    return messages
  }

  /// Chunk boundaries mean nothing: every way of cutting the same bytes gives the same messages.
  @Test(arguments: 1...17) func cutsAtAnyPlace(size: Int) throws {
    let payloads: [[UInt8]] = [[1, 2, 3], [], [UInt8](repeating: 7, count: 20), [9]]
    let bytes = payloads.flatMap { frame($0) }
    var deframer = MessageDeframer(messageBytesMax: 100)
    var messages: [[UInt8]] = []
    var start = 0
    while start < bytes.count {
      let end = min(start + size, bytes.count)
      messages += try feed(&deframer, Array(bytes[start..<end]))
      start = end
    }
    #expect(messages == payloads)
    #expect(!deframer.holdsPartOfAMessage)
  }

  @Test func refusesALengthOverTheLimitBeforeItsBytesCome() {
    var deframer = MessageDeframer(messageBytesMax: 100)
    #expect(throws: RPCError(.resourceExhausted, "message of 101 bytes exceeds the limit of 100")) {
      try self.feed(&deframer, [0, 0, 0, 0, 101])
    }
  }

  @Test func refusesUnknownFlags() {
    var deframer = MessageDeframer(messageBytesMax: 100)
    #expect(throws: RPCError(.internal, "bad message prefix: flag 2")) {
      try self.feed(&deframer, self.frame([1], flag: 2))
    }
  }

  @Test func inflatesWhatItsCallSaysIsCompressed() throws {
    let payload = [UInt8](repeating: 5, count: 90)
    let compressed = frame(payload.withUnsafeBytes { Gzip.compress($0) }, flag: 1)
    var deframer = MessageDeframer(messageBytesMax: 100)
    deframer.encoding = .gzip
    let bytes = frame([1]) + compressed + frame([2])
    let middle = bytes.count / 2
    var messages = try feed(&deframer, Array(bytes[..<middle]))
    messages += try feed(&deframer, Array(bytes[middle...]))
    #expect(messages == [[1], payload, [2]])
    let inflated = deframer.takeInflatedBytes()
    #expect(inflated == 90)
  }

  @Test func refusesCompressionThatNobodyAnnounced() {
    var deframer = MessageDeframer(messageBytesMax: 100)
    let error = RPCError(.internal, "a compressed message in a call without grpc-encoding")
    #expect(throws: error) { try self.feed(&deframer, self.frame([1], flag: 1)) }
  }

  @Test func theLimitHoldsForTheInflatedMessage() {
    var deframer = MessageDeframer(messageBytesMax: 100)
    deframer.encoding = .gzip
    let bomb = [UInt8](repeating: 5, count: 101).withUnsafeBytes { Gzip.compress($0) }
    let error = #expect(throws: RPCError.self) {
      try self.feed(&deframer, self.frame(bomb, flag: 1))
    }
    #expect(error?.code == .resourceExhausted)
    let inflated = [deframer.takeInflatedBytes(), deframer.takeInflatedBytes()]
    #expect(inflated == [101, 0])
  }

  @Test func knowsWhenItHoldsAPart() throws {
    var deframer = MessageDeframer(messageBytesMax: 100)
    #expect(try feed(&deframer, [0, 0, 0]).isEmpty)
    #expect(deframer.holdsPartOfAMessage)
  }
}
