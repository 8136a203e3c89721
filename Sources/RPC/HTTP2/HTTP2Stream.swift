/// One stream of an `HTTP2Session`, which holds it from the moment it is opened until it is closed. What a
/// protocol does with its streams is in a subclass: a handler beside each would be one more object to make,
/// hold and let go of for every call.
///
/// Open, since Swift lets no other class be subclassed in another module.
open class HTTP2Stream {
  /// Outgoing body, a chunk at a time; DATA frames are cut from it as the peer's window allows.
  private var chunk: [UInt8] = []
  private var offset = 0
  private var queue: [[UInt8]] = []
  private var queueHead = 0
  private var trailers: Trailers = .open
  package private(set) final var queuedBytes = 0
  private var isDeferred = false
  /// Received and not given back to the peer's window.
  final var unconsumedBytes = 0

  package internal(set) final var id: Int32 = -1
  /// Nil once the stream is closed. The session clears it before it goes, hence not weak, which
  /// would cost an allocation a stream.
  final var session: Unmanaged<HTTP2Session>?

  // The session's list of open streams, each of which it holds.
  final var next: Unmanaged<HTTP2Stream>?
  final var previous: Unmanaged<HTTP2Stream>?

  enum Trailers {
    case open
    /// END_STREAM on the last DATA frame.
    case none
    case constant(ConstantHeaderFields)
    case fields(HeaderFields)
  }

  /// A header block of the peer was larger than is taken.
  final var headersOverflowed = false
  /// Whether the stream's header block has gone out (client): before that the peer cannot know of it.
  package internal(set) final var hasBegun = false

  package init() {}

  /// Whether it has been opened, and not closed yet.
  package final var isOpen: Bool { session != nil }

  // MARK: For the protocol. Called on the thread that drives the session.

  /// A header block has come: the one that opened the stream (server), response headers (client), or
  /// trailers (either side). The session's header sink has its fields.
  open func receivedHeaders(endsStream: Bool) {}

  /// Part of the body. Its bytes count against the peer's window until `consume` is called for them.
  open func received(_ bytes: UnsafeRawBufferPointer) { consume(bytes.count) }

  /// The peer will send nothing more.
  open func receivedEnd() {}

  /// All queued output has gone out; more may be produced.
  open func outputDrained() {}

  /// The last call; `code` is `noError` for a stream that ended as it should.
  open func closed(_ code: HTTP2ErrorCode) {}

  // MARK: Sending

  /// Response headers; the body follows by `send` and `end`.
  package final func submitResponse(_ fields: ConstantHeaderFields) {
    session?._withUnsafeGuaranteedRef { $0.submitResponse(fields, for: self) }
  }
  package final func submitResponse(_ fields: HeaderFields) {
    session?._withUnsafeGuaranteedRef { $0.submitResponse(fields, for: self) }
  }
  /// Response headers that are all there is (gRPC's Trailers-Only).
  package final func submitOnlyHeaders(_ fields: HeaderFields) {
    session?._withUnsafeGuaranteedRef { $0.submitOnlyHeaders(fields, for: self) }
  }

  /// Queues body bytes; the response or request headers must have been submitted.
  package final func send(_ bytes: consuming [UInt8]) {
    if !isOpen { return }
    queuedBytes += bytes.count
    if chunk.isEmpty {
      chunk = bytes
      offset = 0
    } else {
      queue.append(bytes)
    }
    resume()
  }

  package final func end() { finish(.none) }
  package final func end(_ trailers: ConstantHeaderFields) { finish(.constant(trailers)) }
  package final func end(_ trailers: HeaderFields) { finish(.fields(trailers)) }

  private func finish(_ trailers: Trailers) {
    guard isOpen, case .open = self.trailers else { return }
    self.trailers = trailers
    resume()
  }

  /// Gives the peer back the window for `count` bytes it had sent.
  package final func consume(_ count: Int) {
    session?._withUnsafeGuaranteedRef { $0.consume(count, on: self) }
  }

  package final func reset(_ code: HTTP2ErrorCode) {
    session?._withUnsafeGuaranteedRef { $0.reset(self, code) }
  }

  private func resume() {
    guard isDeferred else { return }
    isDeferred = false
    session?._withUnsafeGuaranteedRef { $0.resume(self) }
  }

  // MARK: For the session

  /// What nobody will send any more is not kept.
  final func discardOutput() {
    chunk = []
    queue = []
    queueHead = 0
    offset = 0
    queuedBytes = 0
  }

  enum Read {
    case data(count: Int)
    case last(count: Int, Trailers)
    /// Nothing now; `resume` will be called.
    case deferred
  }

  /// Copies queued output into `buffer` for one DATA frame.
  final func readOutput(into buffer: UnsafeMutableRawBufferPointer) -> Read {
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
