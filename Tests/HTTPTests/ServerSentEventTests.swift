import Testing

@testable import HTTP

@Suite struct ServerSentEventTests {
  @Test func writesFields() throws {
    var output: [UInt8] = []
    try ServerSentEventEncoder.write(
      ServerSentEvent(id: "7", name: "state", data: "a\nb\r\nc\rd", retryMilliseconds: 500),
      into: &output)
    #expect(
      String(decoding: output, as: UTF8.self)
        == "id: 7\nevent: state\nretry: 500\ndata: a\ndata: b\ndata: c\ndata: d\n\n")
    for bad in ["a\nb", "a\rb", "\u{0}"] {
      #expect(throws: ServerSentEventError.fieldInvalid("id")) {
        try ServerSentEventEncoder.write(ServerSentEvent(id: bad, data: ""), into: &output)
      }
      #expect(throws: ServerSentEventError.fieldInvalid("name")) {
        try ServerSentEventEncoder.write(ServerSentEvent(name: bad, data: ""), into: &output)
      }
    }
  }

  @Test(arguments: [1, 2, 5, 1000])
  func readsWhatIsWritten(step: Int) throws {
    let sent = [
      ServerSentEvent(id: "1", data: "{\"a\":1}"), ServerSentEvent(name: "x", data: ""),
      ServerSentEvent(id: "", name: "y", data: " two\n\nlines\n", retryMilliseconds: 10),
    ]
    var wire = ServerSentEventEncoder.heartbeat
    for event in sent { try ServerSentEventEncoder.write(event, into: &wire) }
    #expect(try read(wire, step) == sent)
  }

  @Test(arguments: [1, 1000])
  func readsForeignStreams(step: Int) throws {
    let wire =
      "\u{FEFF}data:a\rdata:  b\r\n\rdata\n\nid: 5\n\nevent: z\nfoo: bar\nretry: x\n"
      + ": comment\ndata: c\n\ndata: cut off\n"
    var decoder = ServerSentEventDecoder()
    var events: [ServerSentEvent] = []
    for byte in wire.bytes { events += try decoder.receive([byte].span) }
    #expect(
      events == [
        ServerSentEvent(data: "a\n b"), ServerSentEvent(data: ""),
        ServerSentEvent(name: "z", data: "c"),
      ])
    #expect(decoder.lastEventID == "5")
    #expect(try read(wire.bytes, step) == events)
  }

  @Test func limitsAreReached() throws {
    var limits = ServerSentEventDecoder.Limits()
    limits.lineBytesMax = 20
    limits.eventBytesMax = 16
    var lines = ServerSentEventDecoder(limits: limits)
    _ = try lines.receive(("data: " + String(repeating: "a", count: 14)).bytes.span)
    #expect(throws: ServerSentEventError.lineTooLong(bytesMax: 20)) {
      try lines.receive("a".bytes.span)
    }
    var events = ServerSentEventDecoder(limits: limits)
    _ = try events.receive("data: aaaaaaa\ndata: bbbbbbb\n".bytes.span)
    #expect(throws: ServerSentEventError.eventTooLarge(bytesMax: 16)) {
      try events.receive("data:\n".bytes.span)
    }
    var broken = ServerSentEventDecoder()
    #expect(throws: ServerSentEventError.notUTF8) {
      try broken.receive(("data: ".bytes + [0xFF, 10]).span)
    }
  }

  private func read(_ wire: [UInt8], _ step: Int) throws -> [ServerSentEvent] {
    var decoder = ServerSentEventDecoder()
    var events: [ServerSentEvent] = []
    for start in stride(from: 0, to: wire.count, by: step) {
      events += try decoder.receive(Array(wire[start..<min(wire.count, start + step)]).span)
    }
    return events
  }
}
