package import Reactor

/// What is done with an HTTP/2 connection. Called on the loop's thread, until `disown`.
package protocol HTTP2ConnectionOwner: AnyObject {
  /// Connected.
  func ready(_ connection: HTTP2Connection)
  /// The peer's SETTINGS have come: a client knows how many streams it may open.
  func receivedSettings()
  /// See `HTTP2SessionDelegate.openedStream`.
  func openedStream(_ id: Int32, endsStream: Bool, overflowed: Bool) -> HTTP2Stream?
  func receivedGoaway(lastStream: Int32, _ code: HTTP2ErrorCode)
  /// A peer has let a `keepAlive` PING and this time pass without a word. The owner ends the connection.
  func peerIsGone(_ connection: HTTP2Connection, after timeout: Duration)
  /// All streams have been closed before.
  func ended(_ connection: HTTP2Connection, _ end: ConnectionEnd)
}

extension HTTP2ConnectionOwner {
  package func peerIsGone(_ connection: HTTP2Connection, after timeout: Duration) {
    connection.close(timedOut: "keepalive")
  }
}

/// An HTTP/2 session on a connection of the reactor.
package final class HTTP2Connection: ConnectionDelegate, HTTP2SessionDelegate {
  private let connection: Connection
  /// Not weak, which would cost at every call: an owner that goes first says so (`disown`).
  private unowned(unsafe) var owner: (any HTTP2ConnectionOwner)?
  private let role: HTTP2Session.Role
  private let limits: HTTP2Limits
  private let headers: HTTP2HeaderSink
  private var established: HTTP2Session?
  private var isGreeted = false
  private var isFailing = false
  private var wait: (for: Wait, timer: LoopTimer)?
  /// Until the peer is read again.
  private var pause: LoopTimer?
  private var keepalive: Keepalive?

  /// What the peer owes us and has a named time for.
  private enum Wait { case preface, headerBlock }

  /// Nil until the connection is ready.
  package var session: HTTP2Session? { established }

  package var traffic: HTTP2Traffic { established?.traffic ?? HTTP2Traffic() }

  /// Why the peer is being cut off, in a word or two such as those of our GOAWAY; nil where it is not.
  package var cutOffReason: String? {
    switch established?.failure {
    case .misconduct(let misconduct): misconduct.debugData
    case .connection, .refused: "protocol_error"
    case nil:
      // Errors of the connection that nghttp2 answers by itself.
      traffic.sentGoaway.map { $0 == .noError ? nil : "protocol_error" } ?? nil
    }
  }

  /// False before it is ready, and as soon as it has begun to end.
  package var isOpen: Bool { established != nil && connection.isOpen }
  /// Whether a further stream can be opened now.
  package var hasRoom: Bool {
    guard let established, connection.isOpen else { return false }
    return established.streamCount < established.peerConcurrentStreams
  }
  package var loop: EventLoop { connection.loop }
  package var peer: SocketAddress? { connection.peer }
  package var peerIdentity: PeerIdentity? { connection.peerIdentity }

  package init(
    _ connection: Connection, role: HTTP2Session.Role, limits: HTTP2Limits,
    headers: HTTP2HeaderSink, owner: any HTTP2ConnectionOwner
  ) {
    self.connection = connection
    self.role = role
    self.limits = limits
    self.headers = headers
    self.owner = owner
  }

  package func start() throws { try connection.start(self) }

  package func close() { connection.close() }

  /// Gives up on a peer that kept us waiting for `what`.
  package func close(timedOut what: String) { connection.close(timedOut: what) }

  /// Leaves what the peer sends in the kernel for a while.
  package func pauseReading(for duration: Duration) {
    if !connection.isOpen { return }
    connection.pauseReading()
    if let pause { loop.cancel(pause) }
    pause = loop.schedule(after: duration) { [unowned self] in
      self.pause = nil
      if established?.isOverfull == false { connection.resumeReading() }
    }
  }

  /// From now on, while streams are open, the peer is sent a PING when nothing was read of it for
  /// `interval`, and is gone when nothing has come `timeout` later.
  package func keepAlive(every interval: Duration, timeout: Duration) {
    keepalive?.end()
    keepalive = Keepalive(of: self, every: interval, timeout: timeout)
  }

  /// Whether bytes of the peer wait to be read, or ours for it to read them, which has a time of its own.
  var isHeldUp: Bool { connection.isReadingPaused || connection.isBlocked }

  func peerIsGone(after timeout: Duration) { owner?.peerIsGone(self, after: timeout) }

  /// An owner calls this in its `deinit`: the connection may end later than that.
  package func disown() { owner = nil }

  // MARK: ConnectionDelegate

  package func connectionReady(_ connection: Connection) {
    do {
      established = try HTTP2Session(role, limits: limits, headers: headers, delegate: self)
      watchWait()
      owner?.ready(self)
      connection.setNeedsFlush()
    } catch {
      connection.close()
    }
  }

  package func connection(_ connection: Connection, received bytes: UnsafeRawBufferPointer) {
    guard let session = established, !isFailing else { return }
    do {
      try session.receive(bytes, now: loop.now.nanoseconds)
    } catch {
      return fail()
    }
    // Whoever was called may have ended the connection.
    if established == nil { return }
    watchWait()
    if session.isOverfull { connection.pauseReading() }
    if session.wantsToSend {
      connection.setNeedsFlush()
    } else if session.isFinished {
      finish()
    }
  }

  package func connection(_ connection: Connection, fill output: OutputBuffer, room: Int) {
    guard let session = established else { return }
    do {
      try session.send(room: room) { output.append($0) }
    } catch {
      return connection.close()
    }
    if !session.isOverfull, pause == nil { connection.resumeReading() }
    if session.hasFailed {
      fail()
    } else if session.isFinished {
      finish()
    }
  }

  /// A client has heard what it needs; a server's GOAWAY may still be on its way to the peer.
  private func finish() {
    connection.closeWhenFlushed(lingering: role == .server ? limits.linger : nil)
  }

  /// What there is to say to the peer (GOAWAY with the reason) still goes out.
  private func fail() {
    if isFailing { return }
    isFailing = true
    stopWaiting()
    connection.closeWhenFlushed(lingering: limits.linger)
  }

  private func watchWait() {
    let owed: Wait? =
      !isGreeted ? .preface : established?.isInHeaderBlock == true ? .headerBlock : nil
    if owed == wait?.for { return }
    stopWaiting()
    guard let owed else { return }
    let longest = owed == .preface ? limits.preface : limits.headerBlock
    let timer = loop.schedule(after: longest) { [unowned self] in self.waitedTooLong(owed) }
    wait = (owed, timer)
  }

  private func waitedTooLong(_ owed: Wait) {
    wait = nil
    switch owed {
    case .preface:
      connection.close(timedOut: role == .server ? "HTTP/2 preface" : "the server sent no SETTINGS")
    case .headerBlock: established?.fail(.slowHeaders)
    }
  }

  private func stopWaiting() {
    if let timer = wait?.timer { loop.cancel(timer) }
    wait = nil
  }

  package func connectionEnded(_ connection: Connection, _ end: ConnectionEnd) {
    stopWaiting()
    keepalive?.end()
    if let pause { loop.cancel(pause) }
    pause = nil
    established?.abandonStreams(.connectionLost)
    owner?.ended(self, end)
    // What nghttp2 has been given already it still works off.
    owner = nil
    established = nil
  }

  // MARK: HTTP2SessionDelegate

  package func openedStream(_ id: Int32, endsStream: Bool, overflowed: Bool) -> HTTP2Stream? {
    owner?.openedStream(id, endsStream: endsStream, overflowed: overflowed)
  }

  package func receivedGoaway(lastStream: Int32, _ code: HTTP2ErrorCode) {
    owner?.receivedGoaway(lastStream: lastStream, code)
  }

  package func receivedSettings() {
    isGreeted = true
    owner?.receivedSettings()
  }

  package func sessionHasOutput() { connection.setNeedsFlush() }
}
