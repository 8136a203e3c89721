import Reactor

/// What is spoken on a connection, once that is known.
protocol HTTPServerProtocol: ConnectionDelegate {
  /// Ends when the exchanges in progress have.
  func drain(until deadline: Instant)
  /// When `deadlinePassed` is to be called; nil while only a handler or the client's reading is
  /// waited for.
  var nextDeadline: Instant? { get }
  func deadlinePassed()
}

/// One client's connection: finds out which protocol it speaks, and watches its deadlines.
final class HTTPServerConnection: ConnectionDelegate {
  /// RFC 9113 section 3.4.
  private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

  /// Held: a server lives as long as it has connections.
  let server: HTTPServer
  let isEncrypted: Bool
  private let connection: Connection
  private let listener: Listener
  private var serving: (any HTTPServerProtocol)?
  /// The first bytes, as long as they could be HTTP/2's preface.
  private var opening: [UInt8] = []
  private var openingDeadline = Instant.distantFuture
  private var timer: LoopTimer?
  private var timerDeadline = Instant.distantFuture

  init(_ server: HTTPServer, _ connection: Connection, _ listener: Listener) {
    self.server = server
    self.connection = connection
    self.listener = listener
    isEncrypted = listener.tls != nil
  }

  var loop: EventLoop { connection.loop }
  var peer: SocketAddress? { connection.peer }
  var peerIdentity: PeerIdentity? { connection.peerIdentity }

  func drain(until deadline: Instant) {
    guard let serving else { return close() }
    serving.drain(until: deadline)
  }

  func close() { connection.close() }

  // MARK: ConnectionDelegate

  func connectionReady(_ connection: Connection) {
    openingDeadline = loop.now + server.limits.headTimeout
    deadlineMoved()
    if !isEncrypted { return }
    if connection.applicationProtocol == "h2" {
      serve(HTTP2ServerProtocol(self, connection))
    } else {
      serve(HTTP1ServerProtocol(self, connection, firstHeadBy: openingDeadline))
    }
  }

  func connection(_ connection: Connection, received bytes: UnsafeRawBufferPointer) {
    if let serving { return serving.connection(connection, received: bytes) }
    opening.append(contentsOf: bytes)
    let preface = HTTPServerConnection.preface
    if opening.count < preface.count, preface.starts(with: opening) { return }
    let first = opening
    opening = []
    if first.starts(with: preface) {
      serve(HTTP2ServerProtocol(self, connection))
    } else {
      serve(HTTP1ServerProtocol(self, connection, firstHeadBy: openingDeadline))
    }
    first.withUnsafeBytes { serving?.connection(connection, received: $0) }
  }

  private func serve(_ chosen: any HTTPServerProtocol) {
    serving = chosen
    chosen.connectionReady(connection)
    if server.isDraining { chosen.drain(until: loop.now) }
  }

  func connection(_ connection: Connection, fill output: OutputBuffer, room: Int) {
    serving?.connection(connection, fill: output, room: room)
  }

  func connectionEnded(_ connection: Connection, _ end: ConnectionEnd) {
    if let timer { loop.cancel(timer) }
    timer = nil
    let serving = self.serving
    self.serving = nil
    serving?.connectionEnded(connection, end)
    listener.connectionEnded(connection.peer)
    server.connectionEnded(self)
  }

  // MARK: Deadlines

  private var nextDeadline: Instant? {
    if let serving { return serving.nextDeadline }
    return connection.isOpen ? openingDeadline : nil
  }

  /// Has the timer fire in time for the next deadline. It is moved forward only: one that fires too
  /// early looks again, so that a busy connection does not set a timer with each request.
  func deadlineMoved() {
    guard let deadline = nextDeadline, timer == nil || deadline < timerDeadline else { return }
    if let timer { loop.cancel(timer) }
    timerDeadline = deadline
    timer = loop.schedule(at: deadline) { [weak self] in self?.timerFired() }
  }

  private func timerFired() {
    timer = nil
    guard let deadline = nextDeadline else { return }
    if deadline > loop.now { return deadlineMoved() }
    if let serving { serving.deadlinePassed() } else { close() }
  }
}
