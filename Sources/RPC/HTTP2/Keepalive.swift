import Reactor

/// Tells a peer that is gone without a word from one that has nothing to say (gRFC A8, A9).
///
/// Costs nothing where bytes come and go: it looks when the last of them were read only when their time is
/// over.
final class Keepalive {
  private unowned let connection: HTTP2Connection
  private let interval: Duration
  private let timeout: Duration
  /// When a PING was sent that nothing has followed yet.
  private var pinged: Instant?
  private var timer: LoopTimer?

  init(of connection: HTTP2Connection, every interval: Duration, timeout: Duration) {
    self.connection = connection
    self.interval = interval
    self.timeout = timeout
    schedule(at: connection.loop.now + interval)
  }

  func end() {
    if let timer { connection.loop.cancel(timer) }
    timer = nil
  }

  private func schedule(at instant: Instant) {
    timer = connection.loop.schedule(at: instant) { [unowned self] in self.timePassed() }
  }

  private func timePassed() {
    timer = nil
    guard let session = connection.session else { return }
    let now = connection.loop.now
    // What is not read, or cannot be sent, says nothing of the peer.
    if session.streamCount == 0 || connection.isHeldUp {
      pinged = nil
      return schedule(at: now + interval)
    }
    let heard = Instant(nanoseconds: session.now)
    if let pinged, heard <= pinged { return connection.peerIsGone(after: timeout) }
    pinged = nil
    if heard + interval > now { return schedule(at: heard + interval) }
    session.ping()
    pinged = now
    schedule(at: now + timeout)
  }
}
