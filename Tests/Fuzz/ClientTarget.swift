import HTTP2

/// A client's side of an HTTP/2 connection, with a few calls begun and a server that sends anything.
enum ClientTarget {
  private static let callCount = 3
  /// What is written for one input; nothing that short can ask for more.
  private static let outputBytesMax = 1 << 20

  static func run(_ input: UnsafeRawBufferPointer) -> Int32 {
    let owner = Owner()
    defer { withExtendedLifetime(owner) {} }
    var calls: [Call] = []
    do {
      let session = try HTTP2Session(.client, headers: HTTP2HeaderSink(), delegate: owner)
      for _ in 0..<callCount { calls.append(try Call(on: session)) }
      var written = 0
      try session.send(room: outputBytesMax) { written += $0.count }
      defer {
        session.abandonStreams(.connectionLost)
        precondition(calls.allSatisfy { $0.ends == 1 }, "a call ends other than once")
      }
      try session.receive(input, now: 1)
      try session.send(room: outputBytesMax) { written += $0.count }
      precondition(written < outputBytesMax, "too much is written")
      precondition(session.streamCount <= callCount, "the server has opened a stream")
    } catch {
      // Cutting the peer off is an answer.
    }
    return 0
  }

  private final class Owner: HTTP2SessionDelegate {
    func receivedGoaway(lastStream: Int32, _ code: HTTP2ErrorCode) {}
    func receivedSettings() {}
    func sessionHasOutput() {}

    func openedStream(_ id: Int32, endsStream: Bool, overflowed: Bool) -> HTTP2Stream? {
      preconditionFailure("no server opens a stream")
    }
  }

  /// Takes what comes, and resets its stream at the end where the request goes on.
  private final class Call: HTTP2Stream {
    private(set) var ends = 0

    init(on session: HTTP2Session) throws {
      super.init()
      var fields = HeaderFields()
      fields.append(":method", "POST")
      fields.append(":scheme", "http")
      fields.append(":path", "/a/b")
      fields.append(":authority", "x")
      try session.submitRequest(fields, for: self, endsStream: false)
      send([0, 0, 0, 0, 0])
    }

    override func receivedHeaders(endsStream: Bool) {
      precondition(ends == 0, "headers after the end")
    }

    override func received(_ bytes: UnsafeRawBufferPointer) {
      precondition(ends == 0, "a body after the end")
      consume(bytes.count)
    }

    override func receivedEnd() { reset(.cancel) }

    override func closed(_ code: HTTP2ErrorCode) {
      ends += 1
    }
  }
}
