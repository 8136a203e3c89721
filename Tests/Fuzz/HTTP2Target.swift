import HTTP2

/// A server's side of an HTTP/2 connection, with a peer that sends anything after its preface.
enum HTTP2Target {
  private static let preface =
    Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + [0, 0, 0, 4, 0, 0, 0, 0, 0]
  /// What is written for one input; nothing that short can ask for more.
  private static let outputBytesMax = 1 << 20

  static func run(_ input: UnsafeRawBufferPointer) -> Int32 {
    let peer = Peer()
    defer { withExtendedLifetime(peer) {} }
    do {
      let session = try HTTP2Session(.server, headers: HTTP2HeaderSink(), delegate: peer)
      try preface.withUnsafeBytes { try session.receive($0, now: 1) }
      try session.receive(input, now: 2)
      var written = 0
      try session.send(room: outputBytesMax) { written += $0.count }
      precondition(written < outputBytesMax, "too much is written")
      precondition(session.streamCount <= Int(session.limits.concurrentStreams), "too many streams")
      session.abandonStreams(.connectionLost)
      precondition(session.streamCount == 0, "a stream is left")
    } catch {
      // Cutting the peer off is an answer.
    }
    return 0
  }

  private final class Peer: HTTP2SessionDelegate {
    func receivedGoaway(lastStream: Int32, _ code: HTTP2ErrorCode) {}
    func receivedSettings() {}
    func sessionHasOutput() {}

    func openedStream(_ id: Int32, endsStream: Bool, overflowed: Bool) -> HTTP2Stream? {
      overflowed ? nil : Echo()
    }
  }

  /// Sends back what it gets.
  private final class Echo: HTTP2Stream {
    override func receivedHeaders(endsStream: Bool) {
      var fields = HeaderFields()
      fields.append(":status", "200")
      submitResponse(fields)
    }

    override func received(_ bytes: UnsafeRawBufferPointer) {
      send(Array(bytes))
      consume(bytes.count)
    }

    override func receivedEnd() { end() }
  }
}
