package import HTTP2
import RPCCore
package import Reactor

/// One client of a server.
package final class ServerConnection: HTTP2ConnectionOwner {
  /// Held until the connection has ended: its calls need it to the last.
  let server: Server
  let loop: EventLoop
  private var http2: HTTP2Connection?
  weak var listener: Listener?
  private lazy var life = ConnectionLife(self)
  /// When a call has begun or ended last.
  private(set) var lastUsed = Instant.distantFuture

  let share: AddressShare
  private var heldBytes = 0
  private var abandonedCalls = 0

  private let head: RequestHead

  init(_ server: Server, _ share: AddressShare) {
    self.server = server
    loop = server.reactor.loop
    head = RequestHead(server)
    self.share = share
  }

  deinit { http2?.disown() }

  // Kept past the connection's end: its handlers may go on for a while.
  private(set) var peer: SocketAddress?
  private(set) var peerIdentity: PeerIdentity?

  func start(_ connection: Connection) throws {
    peer = connection.peer
    let http2 = HTTP2Connection(
      connection, role: .server, limits: server.limits.http2, headers: head, owner: self)
    self.http2 = http2
    try http2.start()
  }

  func announceShutdown() {
    // One that is still shaking hands has no call to lose.
    guard let session = http2?.session else { return close() }
    session.announceShutdown()
  }
  func shutdown() { http2?.session?.shutdown() }
  func close() { http2?.close() }

  var traffic: HTTP2Traffic { http2?.traffic ?? HTTP2Traffic() }
  var streamCount: Int { http2?.session?.streamCount ?? 0 }

  // MARK: For calls

  /// Claims memory for a call and its messages, or gives it back.
  func hold(bytes change: Int) throws(RPCError) {
    if change > 0 {
      let limit = server.limits.heldBytesPerConnection
      guard heldBytes + change <= limit, server.hold(bytes: change, share) else {
        throw RPCError(
          .resourceExhausted,
          "too many bytes of calls and messages are held; send and take fewer at once")
      }
    } else {
      _ = server.hold(bytes: change, share)
    }
    heldBytes += change
  }

  /// Whether a compressed message may be inflated now.
  func mayInflate() -> Bool {
    share.inflatedBytes.add(0, within: server.limits.inflatedBytes, now: loop.now.nanoseconds)
  }

  /// Messages came to so many bytes when they were inflated, which costs their sender next to nothing.
  func inflated(_ bytes: Int) {
    let limit = server.limits.inflatedBytes
    if share.inflatedBytes.add(Double(bytes), within: limit, now: loop.now.nanoseconds) { return }
    http2?.pauseReading(for: share.inflatedBytes.excess(over: limit))
  }

  /// Begins a handler, which `finishedHandler` ends.
  func admitHandler() throws(RPCError) {
    if abandonedCalls >= server.limits.abandonedCallsPerConnection {
      server.observer?.callRefused(.abandonedHandlers)
      throw RPCError(
        .resourceExhausted, "too many handlers of ended calls go on; try again later")
    }
    if !server.admit(share) {
      server.observer?.callRefused(.callsInProgress)
      throw RPCError(.resourceExhausted, "too many calls in progress; try again later")
    }
  }

  func abandonedHandler() { abandonedCalls += 1 }

  func finishedHandler(wasAbandoned: Bool) {
    if wasAbandoned { abandonedCalls -= 1 }
    server.release(share)
  }

  func callEnded() { lastUsed = loop.now }

  // MARK: HTTP2ConnectionOwner

  package func ready(_ connection: HTTP2Connection) {
    peerIdentity = connection.peerIdentity
    server.observer?.connectionOpened()
    if server.isDraining { connection.session?.shutdown() }
    lastUsed = loop.now
    connection.keepAlive(every: server.limits.keepalive, timeout: server.limits.keepaliveTimeout)
    life.begin()
  }

  package func receivedSettings() {}

  package func openedStream(_ id: Int32, endsStream: Bool, overflowed: Bool) -> HTTP2Stream? {
    lastUsed = loop.now
    if overflowed { return refuse(.headersTooLarge, 431) }
    if !head.isPost { return refuse(.notGRPC, 405) }
    if !head.contentTypeIsGRPC { return refuse(.notGRPC, 415) }
    if head.hasBadField { return refuse(.malformedField, 400) }
    guard let method = head.method else {
      return refuse(
        .unknownMethod, 200, RPCError(.unimplemented, "no such method: \(head.unknownPath)"))
    }
    if head.encoding == nil {
      let accepted = MessageEncoding.accepted
      return refuse(
        .unknownEncoding, 200,
        RPCError(.unimplemented, "unknown grpc-encoding; one of \(accepted) would do"))
    }
    let call = method.makeCall(method, self)
    call.open(head)
    return call
  }

  package func receivedGoaway(lastStream: Int32, _ code: HTTP2ErrorCode) {}

  package func ended(_ connection: HTTP2Connection, _ end: ConnectionEnd) {
    life.end()
    server.observer?.connectionEnded(ServerConnectionEnd(connection, end))
    server.connectionEnded(self)
    http2 = nil
  }

  private func refuse(
    _ refusal: ServerRefusal, _ status: Int, _ error: RPCError? = nil
  ) -> HTTP2Stream {
    server.observer?.callRefused(refusal)
    return RefusedCall(status, error)
  }
}

/// Answers a request that is no call of ours, with headers alone.
private final class RefusedCall: HTTP2Stream {
  private let status: Int
  private let error: RPCError?
  private var isAnswered = false

  init(_ status: Int, _ error: RPCError?) {
    self.status = status
    self.error = error
  }

  override func receivedHeaders(endsStream: Bool) {
    // A second block holds the client's trailers.
    if isAnswered { return }
    isAnswered = true
    var fields = HeaderFields()
    fields.append(":status", String(status))
    if let error {
      fields.append("content-type", "application/grpc")
      fields.append("grpc-accept-encoding", MessageEncoding.accepted)
      fields.append(error)
    }
    submitOnlyHeaders(fields)
  }
}
