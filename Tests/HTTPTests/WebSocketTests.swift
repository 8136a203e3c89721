import Foundation
import PythonPeer
import Testing

@testable import HTTP

@Suite struct WebSocketDecoderTests {
  private struct Outcome: Equatable {
    var messages: [WebSocketMessage] = []
    var error: WebSocketError?
  }

  private func decode(
    _ bytes: [UInt8], role: WebSocketRole = .client, limits: WebSocketLimits = WebSocketLimits()
  ) -> Outcome {
    let whole = decode(bytes, role, limits, step: bytes.count)
    #expect(decode(bytes, role, limits, step: 1) == whole)
    return whole
  }

  private func decode(
    _ bytes: [UInt8], _ role: WebSocketRole, _ limits: WebSocketLimits, step: Int
  ) -> Outcome {
    var decoder = WebSocketDecoder(role: role, limits: limits)
    var outcome = Outcome()
    do throws(WebSocketError) {
      for start in stride(from: 0, to: bytes.count, by: step) {
        decoder.receive(Array(bytes[start..<min(bytes.count, start + step)]).span)
        while let message = try decoder.next() { outcome.messages.append(message) }
      }
    } catch {
      outcome.error = error
    }
    return outcome
  }

  /// The examples of RFC 6455 section 5.7.
  @Test func readsTheExamplesOfTheStandard() {
    #expect(decode([0x81, 5] + "Hello".bytes).messages == [.text("Hello")])
    let masked: [UInt8] = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]
    #expect(decode(masked, role: .server).messages == [.text("Hello")])
    #expect(decode([0x01, 3] + "Hel".bytes + [0x80, 2] + "lo".bytes).messages == [.text("Hello")])
    #expect(decode([0x89, 5] + "Hello".bytes).messages == [.ping("Hello".bytes)])
    let data = [UInt8](repeating: 7, count: 65536)
    #expect(decode([0x82, 126, 1, 0] + data[..<256]).messages == [.binary(Array(data[..<256]))])
    #expect(decode([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0] + data).messages == [.binary(data)])
  }

  @Test func controlFramesComeBetweenFragments() {
    let bytes: [UInt8] = [0x02, 1, 1, 0x89, 0, 0x00, 1, 2, 0x8A, 1, 9, 0x80, 0]
    #expect(decode(bytes).messages == [.ping([]), .pong([9]), .binary([1, 2])])
  }

  @Test func readsCloses() {
    #expect(decode([0x88, 0]).messages == [.close(code: nil, reason: "")])
    #expect(
      decode([0x88, 5, 0x03, 0xE8] + "bye".bytes).messages == [.close(code: 1000, reason: "bye")])
    let split = [0x01, 2, 0xC3, 0xA9, 0x80, 1, 0x61] as [UInt8]
    #expect(decode(split).messages == [.text("éa")])
    let inside = [0x01, 1, 0xC3, 0x80, 1, 0xA9] as [UInt8]
    #expect(decode(inside).messages == [.text("é")])
  }

  private static let violations: [([UInt8], WebSocketError, UInt16)] = [
    ([0xC1, 0], .reservedBitSet, 1002), ([0x91, 0], .reservedBitSet, 1002),
    ([0x83, 0], .opcodeUnknown(3), 1002), ([0x8B, 0], .opcodeUnknown(11), 1002),
    ([0x81, 0x80, 0, 0, 0, 0], .maskingWrong, 1002), ([0x09, 0], .controlFrameFragmented, 1002),
    ([0x89, 126, 0, 126], .controlFrameTooLong, 1002),
    ([0x82, 126, 0, 125], .lengthNotMinimal, 1002),
    ([0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], .lengthNotMinimal, 1002),
    ([0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], .lengthNotMinimal, 1002),
    ([0x80, 0], .continuationUnexpected, 1002), ([0x01, 0, 0x81, 0], .continuationExpected, 1002),
    ([0x81, 1, 0xFF], .textNotUTF8, 1007), ([0x88, 1, 3], .closePayloadInvalid, 1002),
    ([0x88, 2, 0x03, 0xED], .closeCodeInvalid(1005), 1002),
    ([0x88, 2, 0x03, 0xE7], .closeCodeInvalid(999), 1002),
    ([0x88, 2, 0x13, 0x88], .closeCodeInvalid(5000), 1002),
    ([0x88, 3, 0x03, 0xE8, 0xFF], .textNotUTF8, 1007),
  ]

  @Test(arguments: violations)
  func rejects(bytes: [UInt8], error: WebSocketError, closeCode: UInt16) {
    let outcome = decode(bytes)
    #expect(outcome == Outcome(error: error))
    #expect(error.closeCode == closeCode)
  }

  @Test func serversNeedMasks() {
    #expect(decode([0x81, 0], role: .server).error == .maskingWrong)
  }

  @Test func nothingFollowsAClose() {
    let outcome = decode([0x88, 0, 0x89, 0])
    #expect(outcome.messages == [.close(code: nil, reason: "")])
    #expect(outcome.error == .dataAfterClose)
  }

  /// Random frames, some broken: never a trap, and the same outcome however the bytes arrive.
  @Test func randomFramesAreReadTheSameWhole() {
    var generator = SeededGenerator(seed: SeededGenerator.seed(otherwise: 6455))
    var limits = WebSocketLimits()
    limits.messageBytesMax = 200
    var readable = 0
    for _ in 0..<3000 {
      var bytes: [UInt8] = []
      for _ in 0...Int.random(in: 0...3, using: &generator) {
        bytes.append(generator.pick([0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8A, 0x83]))
        let length = Int.random(in: 0...(generator.oneIn(8) ? 127 : 6), using: &generator)
        bytes.append(UInt8(length) | (generator.oneIn(20) ? 0x80 : 0))
        bytes += (0..<length).map { _ in generator.pick([0, 3, 0x61, 0xC3, 0xA9, 0xE8]) }
      }
      if !decode(bytes, limits: limits).messages.isEmpty { readable += 1 }
    }
    #expect(readable > 500)
  }

  @Test func limitsAreReached() {
    var limits = WebSocketLimits()
    limits.messageBytesMax = 4
    limits.fragmentsMax = 3
    let read = { (bytes: [UInt8]) in decode(bytes, limits: limits) }
    #expect(read([0x82, 4, 1, 2, 3, 4]).error == nil)
    #expect(read([0x82, 5]).error == .messageTooLarge(bytesMax: 4))
    #expect(read([0x82, 127, 0x7F, 0, 0, 0, 0, 0, 0, 0]).error == .messageTooLarge(bytesMax: 4))
    #expect(read([0x02, 3, 1, 2, 3, 0x80, 1, 4]).error == nil)
    #expect(read([0x02, 3, 1, 2, 3, 0x80, 2]).error == .messageTooLarge(bytesMax: 4))
    #expect(read([0x02, 0, 0x00, 0, 0x80, 0]).error == nil)
    #expect(read([0x02, 0, 0x00, 0, 0x00, 0, 0x80, 0]).error == .tooManyFragments(fragmentsMax: 3))
  }
}

@Suite struct WebSocketEncoderTests {
  @Test func masksWithFreshKeys() throws {
    var encoder = WebSocketEncoder(generator: SeededGenerator(seed: 1))
    for length in [0, 1, 125, 126, 65535, 65536] {
      let payload = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      var first: [UInt8] = []
      var second: [UInt8] = []
      #expect(encoder.write(.binary(payload), into: &first))
      #expect(encoder.write(.binary(payload), into: &second))
      #expect(first != second)
      var decoder = WebSocketDecoder(role: .server)
      decoder.receive((first + second).span)
      #expect(try decoder.next() == .binary(payload))
      #expect(try decoder.next() == .binary(payload))
      #expect(try decoder.next() == nil)
    }
  }

  @Test func refusesWhatMayNotBeSent() {
    var encoder = WebSocketEncoder(role: .server)
    var output: [UInt8] = []
    let long = [UInt8](repeating: 0, count: 126)
    #expect(!encoder.write(.ping(long), into: &output))
    #expect(!encoder.write(.pong(long), into: &output))
    #expect(!encoder.write(.close(code: 1006, reason: ""), into: &output))
    let reason = String(repeating: "r", count: 124)
    #expect(!encoder.write(.close(code: 1000, reason: reason), into: &output))
    #expect(output.isEmpty)
    #expect(encoder.write(.close(code: 1000, reason: "r"), into: &output))
    #expect(output == [0x88, 3, 0x03, 0xE8, 0x72])
    #expect(encoder.isClosed)
    #expect(!encoder.write(.text("late"), into: &output))
  }
}

@Suite struct WebSocketHandshakeTests {
  @Test func acceptsTheKeyOfTheStandard() {
    #expect(
      WebSocketHandshake.accept(forKey: "dGhlIHNhbXBsZSBub25jZQ==")
        == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
  }

  @Test func checksTheAnswer() throws {
    let handshake = WebSocketHandshake(protocols: ["v5", "v4"])
    var sent = HTTPHeaders()
    handshake.addFields(to: &sent)
    #expect(sent["sec-websocket-protocol"] == "v5, v4")
    let key = try #require(sent["sec-websocket-key"])
    #expect(key.utf8.count == 24)
    let accept = try #require(WebSocketHandshake.accept(forKey: key))
    let good = HTTPResponseHead(
      status: .switchingProtocols,
      headers: [
        "upgrade": "WebSocket", "connection": "Upgrade", "sec-websocket-accept": accept,
        "sec-websocket-protocol": "v4",
      ])
    #expect(try handshake.validate(good) == "v4")
    let wrong: [(WebSocketHandshakeError, (inout HTTPResponseHead) -> Void)] = [
      (.notSwitched(.forbidden), { $0.status = .forbidden }),
      (.upgradeMissing, { $0.headers["upgrade"] = nil }),
      (.upgradeMissing, { $0.headers["upgrade"] = "SPDY/3.1" }),
      (.upgradeMissing, { $0.headers["connection"] = "keep-alive" }),
      (.acceptMismatch, { $0.headers["sec-websocket-accept"] = nil }),
      (.acceptMismatch, { $0.headers["sec-websocket-accept"] = accept.lowercased() }),
      (.extensionUnrequested, { $0.headers["sec-websocket-extensions"] = "permessage-deflate" }),
      (.protocolMissing, { $0.headers["sec-websocket-protocol"] = nil }),
      (.protocolUnrequested("v3"), { $0.headers["sec-websocket-protocol"] = "v3" }),
    ]
    for (error, change) in wrong {
      var answer = good
      change(&answer)
      #expect(throws: error) { try handshake.validate(answer) }
    }
    #expect(throws: WebSocketHandshakeError.acceptMismatch) {
      try WebSocketHandshake().validate(good)
    }
  }

  /// Opens a WebSocket to wsproto and has every kind of message echoed.
  @Test func talksToAnotherImplementation() throws {
    var generator = SeededGenerator(seed: 6455)
    let texts = ["", "a", "é€😀", String(repeating: "long ", count: 20_000)]
    let blobs = [0, 1, 125, 126, 127, 65535, 65536].map { [UInt8](repeating: 0xA5, count: $0) }
    let sent: [WebSocketMessage] =
      texts.map(WebSocketMessage.text) + blobs.map(WebSocketMessage.binary)
      + [.ping([1, 2]), .pong([0x33]), .close(code: 1000, reason: "done")]

    let handshake = WebSocketHandshake(protocols: ["v5", "v4"], using: &generator)
    var request = HTTPRequestHead(method: .get, authority: "a", path: "/exec", query: "x=y")
    handshake.addFields(to: &request.headers)
    var http = HTTP1RequestEncoder()
    var opening: [UInt8] = []
    try http.writeHead(request, body: .none, into: &opening)
    try http.writeEnd(into: &opening)
    var encoder = WebSocketEncoder(generator: generator)
    var frames: [UInt8] = []
    for message in sent { #expect(encoder.write(message, into: &frames)) }

    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Peers/websocket_echo.py")
    let lines = try PythonPeer.run(
      script, cases: [Hexadecimal.encode(opening) + " " + Hexadecimal.encode(frames)])
    let answer = try #require(lines.first.flatMap(Hexadecimal.decode))

    var parser = HTTP1ResponseParser()
    parser.expectResponse(to: .get, requestedUpgrade: true)
    parser.receive(answer.span)
    guard case .switched(let head)? = try parser.next() else {
      Issue.record("the peer did not switch")
      return
    }
    #expect(try handshake.validate(head) == "v4")
    var decoder = WebSocketDecoder()
    decoder.receive(parser.takeRemaining().span)
    var received: [WebSocketMessage] = []
    while let message = try decoder.next() { received.append(message) }
    let expected =
      sent.dropLast(3) + [
        .pong([1, 2]), .pong("pong:".bytes + [0x33]), .close(code: 1000, reason: "done"),
      ]
    #expect(received == Array(expected))
  }
}
