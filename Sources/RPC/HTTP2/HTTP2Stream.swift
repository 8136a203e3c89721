/// What a protocol does with a stream. Called on the thread that drives the session.
package protocol HTTP2StreamHandler: AnyObject {
  /// A header block has come: the one that opened the stream (server), response headers (client), or
  /// trailers (either side). The session's delegate has been given its fields before.
  func receivedHeaders(endsStream: Bool)
  /// Part of the body. Its bytes count against the peer's window until `consume` is called for them.
  func received(_ bytes: UnsafeRawBufferPointer)
  /// The peer will send nothing more.
  func receivedEnd()
  /// All queued output has gone out; more may be produced.
  func outputDrained()
  /// The last call; `code` is `noError` for a stream that ended as it should.
  func closed(_ code: HTTP2ErrorCode)
}

/// One stream of an `HTTP2Session`, which holds it from the moment it is opened until it is closed.
package final class HTTP2Stream {
  /// Outgoing body, a chunk at a time; DATA frames are cut from it as the peer's window allows.
  private var chunk: [UInt8] = []
  private var offset = 0
  private var queue: [[UInt8]] = []
  private var queueHead = 0
  private var trailers: Trailers = .open
  fileprivate(set) package var queuedBytes = 0
  private var isDeferred = false
  /// Received and not given back to the peer's window.
  var unconsumedBytes = 0

  package internal(set) var id: Int32 = -1
  /// Nil once the stream is closed. The session clears it before it goes, hence not weak, which
  /// would cost an allocation a stream.
  package internal(set) unowned(unsafe) var session: HTTP2Session?

  // The session's list of open streams, each of which it holds.
  unowned(unsafe) var next: HTTP2Stream?
  unowned(unsafe) var previous: HTTP2Stream?

  enum Trailers {
    case open
    /// END_STREAM on the last DATA frame.
    case none
    case constant(ConstantHeaderFields)
    case fields(HeaderFields)
  }

  /// Whether the stream's header block has gone out (client): before that the peer cannot know of it.
  /// A header block of the peer was larger than is taken.
  var headersOverflowed = false
  package internal(set) var hasBegun = false

  /// Held until the stream is closed.
  var handler: (any HTTP2StreamHandler)?

  package init(_ handler: any HTTP2StreamHandler) {
    self.handler = handler
  }

  /// Whoever served this stream has no more to do with it.
  package func hand(to handler: any HTTP2StreamHandler) {
    if session != nil { self.handler = handler }
  }

  // MARK: Sending

  /// Queues body bytes; the response or request headers must have been submitted.
  package func send(_ bytes: [UInt8]) {
    queuedBytes += bytes.count
    if chunk.isEmpty {
      chunk = bytes
      offset = 0
    } else {
      queue.append(bytes)
    }
    resume()
  }

  package func end() { finish(.none) }
  package func end(_ trailers: ConstantHeaderFields) { finish(.constant(trailers)) }
  package func end(_ trailers: HeaderFields) { finish(.fields(trailers)) }

  private func finish(_ trailers: Trailers) {
    guard case .open = self.trailers else { return }
    self.trailers = trailers
    resume()
  }

  /// Gives the peer back the window for `count` bytes it had sent.
  package func consume(_ count: Int) {
    session?.consume(count, on: self)
  }

  package func reset(_ code: HTTP2ErrorCode) {
    session?.reset(self, code)
  }

  private func resume() {
    guard isDeferred else { return }
    isDeferred = false
    session?.resume(self)
  }

  // MARK: For the session

  func receivedEnd() { if session != nil { handler?.receivedEnd() } }

  enum Read {
    case data(count: Int)
    case last(count: Int, Trailers)
    /// Nothing now; `resume` will be called.
    case deferred
  }

  /// Copies queued output into `buffer` for one DATA frame.
  func readOutput(into buffer: UnsafeMutableRawBufferPointer) -> Read {
    var count = 0
    while count < buffer.count, offset < chunk.count {
      let length = min(buffer.count - count, chunk.count - offset)
      chunk.withUnsafeBytes { bytes in
        let part = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length])
        UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).copyMemory(from: part)
      }
      count += length
      offset += length
      if offset == chunk.count { advance() }
    }
    queuedBytes -= count
    if offset < chunk.count { return .data(count: count) }
    if case .open = trailers {
      if count > 0 { return .data(count: count) }
      isDeferred = true
      return .deferred
    }
    return .last(count: count, trailers)
  }

  private func advance() {
    offset = 0
    if queueHead == queue.count {
      chunk = []
      return
    }
    chunk = queue[queueHead]
    queue[queueHead] = []
    queueHead += 1
    // Not one by one: a window full of small messages would be moved for each of them.
    if queueHead * 2 >= queue.count {
      queue.removeFirst(queueHead)
      queueHead = 0
    }
  }
}
