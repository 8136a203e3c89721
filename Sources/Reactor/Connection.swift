import Glibc

/// How a connection ended.
package enum ConnectionEnd: Sendable {
  case closedByPeer
  case closedHere
  case failed(any Error)
  /// A named wait ran out: the handshake, or a peer that does not read what we write.
  case timedOut(String)
}

/// What a protocol does on a connection. Called on the loop's thread.
package protocol ConnectionDelegate: AnyObject {
  /// Connected, and with TLS the handshake is done.
  func connectionReady(_ connection: Connection)
  /// `bytes` are valid within the call only.
  func connection(_ connection: Connection, received bytes: UnsafeRawBufferPointer)
  /// Append what is to be sent, about `room` bytes at most. Called at the end of a turn in which
  /// `setNeedsFlush` was called, and again while the socket takes all; nothing appended means done.
  func connection(_ connection: Connection, fill output: OutputBuffer, room: Int)
  /// The last call; the descriptor is closed.
  func connectionEnded(_ connection: Connection, _ end: ConnectionEnd)
}

package struct ConnectionLimits: Sendable {
  /// A TCP connect and TLS handshake that take longer are given up: half-open connections cost memory.
  package var handshake: Duration = .seconds(10)
  /// A peer that does not take in this time what one turn wrote, 64 KiB or little more, is cut off
  /// (slow reader). Taking it in drips is no way around.
  package var writeStall: Duration = .seconds(30)
  /// How long a client whose TLS handshake was refused may take to read why.
  package var refusalLinger: Duration = .seconds(1)

  package init() {}
}

/// A stream connection over TCP or a Unix socket, plain or TLS, driven by the loop.
///
/// Output is pulled from the delegate into a buffer shared by the whole loop, so that an idle
/// connection holds none; only what the socket did not take is kept, and nothing more is pulled
/// until it is gone.
package final class Connection: ReadinessHandler, TurnEndHandler {
  private enum State { case connecting, handshaking, open, lingering, closed }

  /// Reads, and pulls of output, in one turn before others have theirs.
  private static let roundsPerTurn = 4
  /// The same for reads through TLS, which give a record of at most 16 KiB each.
  private static let recordsPerTurn = 16

  package let peer: SocketAddress?
  package let loop: EventLoop
  private let socket: Socket
  private let limits: ConnectionLimits
  private let isAccepted: Bool
  private var tls: TLSSession?
  private var state: State
  private var delegate: (any ConnectionDelegate)?
  private var leftover: [UInt8] = []
  private var interest: Readiness = []
  package private(set) var isReadingPaused = false
  private var flushAsked = false
  private var closesWhenFlushed = false
  private var linger: Duration?
  private var lingeringEnd = ConnectionEnd.closedHere
  private var readsAgain = false
  private var timer: LoopTimer?

  /// Who the peer proved to be in the TLS handshake.
  package private(set) var peerIdentity: PeerIdentity?
  package private(set) var applicationProtocol: String?

  package var isOpen: Bool { state == .open }
  /// Whether the socket is full: what has been pulled waits for the peer to read.
  package var isBlocked: Bool { !leftover.isEmpty }

  init(
    accepted descriptor: Int32, peer: SocketAddress?, loop: EventLoop, limits: ConnectionLimits,
    tls context: TLSContext?
  ) throws {
    socket = Socket(adopting: descriptor)
    self.peer = peer
    self.loop = loop
    self.limits = limits
    isAccepted = true
    state = .handshaking
    if peer?.port != nil { socket.disableDelay() }
    if let context { tls = try TLSSession(context, descriptor: descriptor, expecting: nil) }
  }

  /// Starts connecting; the delegate hears `connectionReady` or `connectionEnded` later, never
  /// within this call.
  package init(
    to address: SocketAddress, loop: EventLoop, limits: ConnectionLimits = ConnectionLimits(),
    tls context: TLSContext? = nil, expecting expected: ExpectedServer? = nil
  ) throws {
    socket = try Socket(for: address)
    peer = address
    self.loop = loop
    self.limits = limits
    isAccepted = false
    state = .connecting
    if address.port != nil { socket.disableDelay() }
    if let context {
      tls = try TLSSession(
        context, descriptor: socket.descriptor, expecting: expected ?? .hostName(""))
    }
    _ = try socket.connect(to: address)
  }

  /// Begins to serve `delegate`, which is held until the connection ends.
  package func start(_ delegate: any ConnectionDelegate) throws {
    interest = state == .connecting || tls == nil ? .writable : .readable
    try loop.register(socket.descriptor, for: interest, self)
    self.delegate = delegate
    // The loop holds the connection, and its end cancels the timer; a weak reference would make every
    // count of references slower from here on.
    timer = loop.schedule(after: limits.handshake) { [unowned self] in
      self.end(.timedOut("handshake"))
    }
  }

  // MARK: For the delegate

  /// Has the delegate's output pulled at the end of this turn.
  package func setNeedsFlush() {
    if flushAsked || state != .open || isBlocked { return }
    flushAsked = true
    loop.atTurnEnd(self)
  }

  /// Sends what the delegate still fills in, then closes.
  ///
  /// - Parameter linger: how long to wait for the peer to close, dropping what it still sends: closing
  ///   over unread bytes resets the connection, which takes our last words from a peer that has not
  ///   read them yet. The delegate hears none of it.
  package func closeWhenFlushed(lingering linger: Duration? = nil) {
    closesWhenFlushed = true
    if let linger { self.linger = linger }
    if isBlocked || flushAsked { return }
    setNeedsFlush()
  }

  package func close() { end(state == .lingering ? lingeringEnd : .closedHere) }

  /// Gives up on a peer that kept us waiting for `what`.
  package func close(timedOut what: String) { end(.timedOut(what)) }

  /// Leaves the peer's bytes in the kernel until `resumeReading`.
  package func pauseReading() {
    isReadingPaused = true
    updateInterest()
  }

  package func resumeReading() {
    if !isReadingPaused { return }
    isReadingPaused = false
    updateInterest()
    // The TLS session may hold bytes that no readiness tells of.
    if tls != nil, state == .open { readAgainNextTurn() }
  }

  private func readAgainNextTurn() {
    readsAgain = true
    if flushAsked { return }
    flushAsked = true
    loop.atTurnEnd(self)
  }

  // MARK: Readiness

  package func ready(_ readiness: Readiness) {
    switch state {
    case .connecting: finishConnect()
    case .handshaking: shakeHands()
    case .open: serve(readiness)
    case .lingering: discardInput()
    case .closed: break
    }
  }

  /// What the peer has asked for is answered before others have their turn.
  package func readinessServed() {
    if flushAsked, !readsAgain { turnDidEnd() }
  }

  private func finishConnect() {
    do {
      let code = try System.pendingError(socket.descriptor)
      if code != 0 { throw SystemError("connect to \(peer?.description ?? "peer")", code: code) }
      state = .handshaking
      shakeHands()
    } catch {
      end(.failed(error))
    }
  }

  private func shakeHands() {
    guard let tls else { return open() }
    do {
      switch try tls.handshake() {
      case .done:
        peerIdentity = tls.peerIdentity()
        applicationProtocol = tls.applicationProtocol
        open()
      case .needsRead: setInterest(.readable)
      case .needsWrite: setInterest(.writable)
      case .ended: end(.closedByPeer)
      }
    } catch {
      refuse(error)
    }
  }

  /// A client is to read the alert that says why: closing over bytes of its that are not read would
  /// take it away.
  private func refuse(_ error: TLSError) {
    if isAccepted {
      linger(limits.refusalLinger, before: .failed(error))
    } else {
      end(.failed(error))
    }
  }

  private func open() {
    state = .open
    cancelTimer()
    updateInterest()
    delegate?.connectionReady(self)
    // The peer may have sent its first bytes together with the end of the handshake, and the TLS
    // session holds them where no readiness tells of them.
    if state == .open, tls != nil, !isReadingPaused { readAvailable() }
  }

  private func serve(_ readiness: Readiness) {
    if readiness.contains(.writable) {
      writeLeftover()
      if state == .open, !isBlocked { setNeedsFlush() }
    }
    if state == .open, !isReadingPaused, !readiness.isDisjoint(with: [.readable, .closed]) {
      readAvailable()
    } else if state == .open, readiness.contains(.hangUp) {
      end(.closedByPeer)
    }
  }

  private func readAvailable() {
    do {
      let rounds = tls == nil ? Connection.roundsPerTurn : Connection.recordsPerTurn
      for _ in 0..<rounds where state == .open && !isReadingPaused {
        guard let count = try readOnce() else { return }
        if count == 0 { return end(.closedByPeer) }
        delegate?.connection(
          self, received: UnsafeRawBufferPointer(rebasing: loop.readScratch[..<count]))
        if tls == nil, count < loop.readScratch.count { return }
      }
      // Others have their turn; TLS may hold decrypted bytes that no readiness tells of.
      if tls != nil, state == .open, !isReadingPaused { readAgainNextTurn() }
    } catch {
      end(.failed(error))
    }
  }

  /// Until the peer closes; the timer set by `linger` bounds it.
  private func discardInput() {
    do {
      for _ in 0..<Connection.roundsPerTurn {
        guard let count = try socket.read(into: loop.readScratch) else { return }
        if count == 0 { return end(lingeringEnd) }
      }
    } catch {
      end(lingeringEnd)
    }
  }

  private func readOnce() throws -> Int? {
    guard let tls else { return try socket.read(into: loop.readScratch) }
    let (count, progress) = try tls.read(into: loop.readScratch)
    switch progress {
    case .done: return count
    case .ended: return 0
    case .needsRead, .needsWrite: return nil
    }
  }

  // MARK: Output

  package func turnDidEnd() {
    if !flushAsked { return }
    flushAsked = false
    if readsAgain {
      readsAgain = false
      if state == .open, !isReadingPaused { readAvailable() }
    }
    guard state == .open, !isBlocked else { return }
    let output = loop.writeScratch
    for _ in 0..<Connection.roundsPerTurn {
      output.removeAll()
      delegate?.connection(self, fill: output, room: EventLoop.scratchBytes)
      if state != .open { return }
      if output.isEmpty {
        if closesWhenFlushed { finishOutput() }
        return
      }
      guard send(output) else { return }
    }
    setNeedsFlush()
  }

  private func finishOutput() {
    guard let linger else { return end(.closedHere) }
    tls?.shutdown()
    self.linger(linger, before: .closedHere)
  }

  /// Says nothing more, and waits for the peer to close before the connection ends.
  private func linger(_ duration: Duration, before end: ConnectionEnd) {
    shutdown(socket.descriptor, Int32(SHUT_WR))
    state = .lingering
    lingeringEnd = end
    setInterest(.readable)
    if state == .closed { return }
    cancelTimer()
    timer = loop.schedule(after: duration) { [unowned self] in self.end(end) }
  }

  /// Writes `output`; false when it could not all go, and the rest is kept.
  private func send(_ output: OutputBuffer) -> Bool {
    do {
      while !output.isEmpty {
        guard let count = try writeOnce(output.bytes) else {
          leftover = Array(output.bytes)
          watchStall()
          updateInterest()
          return false
        }
        output.removeFirst(count)
      }
      return true
    } catch {
      end(.failed(error))
      return false
    }
  }

  private func writeLeftover() {
    do {
      while !leftover.isEmpty {
        guard let count = try leftover.withUnsafeBytes({ try writeOnce($0) }) else { return }
        leftover.removeFirst(count)
      }
      leftover = []
      cancelTimer()
      updateInterest()
    } catch {
      end(.failed(error))
    }
  }

  private func writeOnce(_ bytes: UnsafeRawBufferPointer) throws -> Int? {
    guard let tls else { return try socket.write(bytes) }
    let (count, progress) = try tls.write(bytes)
    return progress == .done ? count : nil
  }

  private func watchStall() {
    cancelTimer()
    timer = loop.schedule(after: limits.writeStall) { [unowned self] in
      self.end(.timedOut("write stall"))
    }
  }

  // MARK: State

  private func updateInterest() {
    if state != .open { return }
    var wanted: Readiness = isReadingPaused ? [] : .readable
    if isBlocked { wanted.insert(.writable) }
    setInterest(wanted)
  }

  private func setInterest(_ wanted: Readiness) {
    if wanted == interest || state == .closed { return }
    interest = wanted
    do {
      try loop.modify(socket.descriptor, for: wanted)
    } catch {
      end(.failed(error))
    }
  }

  private func cancelTimer() {
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  private func end(_ end: ConnectionEnd) {
    if state == .closed { return }
    if state == .open { tls?.shutdown() }
    state = .closed
    cancelTimer()
    loop.deregister(socket.descriptor)
    // What a peer does not read would stay in the kernel's buffer after we have given up on it.
    if case .timedOut = end { socket.discardOutputOnClose() }
    shutdown(socket.descriptor, Int32(SHUT_RDWR))
    leftover = []
    let delegate = self.delegate
    self.delegate = nil
    delegate?.connectionEnded(self, end)
  }
}
