package import HTTP2
package import Reactor

/// HTTP/2 on a server's connection: each stream is an exchange.
package final class HTTP2ServerProtocol: HTTPServerProtocol, HTTP2ConnectionOwner {
  unowned let owner: HTTPServerConnection
  let limits: HTTPServerLimits
  private var http2: HTTP2Connection?
  private let head = HTTP2HeadDecoder()
  private var requests = 0
  private var isLeaving = false
  private var idleDeadline: Instant

  init(_ owner: HTTPServerConnection, _ connection: Connection) {
    self.owner = owner
    limits = owner.server.limits
    idleDeadline = owner.loop.now + owner.server.limits.keepAliveTimeout
    http2 = HTTP2Connection(
      connection, role: .server, limits: limits.http2, headers: head, owner: self)
  }

  deinit { http2?.disown() }

  // MARK: HTTPServerProtocol

  func drain(until deadline: Instant) { leave(by: deadline) }

  /// Two steps: the client first learns to open no more streams, then which are not served.
  private func leave(by deadline: Instant) {
    if isLeaving { return }
    isLeaving = true
    http2?.session?.announceShutdown()
    let notice = min(Instant.now() + limits.shutdownNotice, deadline)
    owner.loop.schedule(at: notice) { [weak self] in self?.http2?.session?.shutdown() }
  }

  var nextDeadline: Instant? {
    guard let session = http2?.session, session.streamCount == 0 else { return nil }
    return idleDeadline
  }

  func deadlinePassed() {
    http2?.session?.shutdown()
    idleDeadline = .distantFuture
  }

  func streamEnded() {
    idleDeadline = owner.loop.now + limits.keepAliveTimeout
    owner.deadlineMoved()
  }

  // MARK: ConnectionDelegate

  package func connectionReady(_ connection: Connection) { http2?.connectionReady(connection) }

  package func connection(_ connection: Connection, received bytes: UnsafeRawBufferPointer) {
    http2?.connection(connection, received: bytes)
  }

  package func connection(_ connection: Connection, fill output: OutputBuffer, room: Int) {
    http2?.connection(connection, fill: output, room: room)
  }

  package func connectionEnded(_ connection: Connection, _ end: ConnectionEnd) {
    http2?.connectionEnded(connection, end)
  }

  // MARK: HTTP2ConnectionOwner

  package func ready(_ connection: HTTP2Connection) { owner.deadlineMoved() }

  package func receivedSettings() {}

  package func openedStream(_ id: Int32, endsStream: Bool, overflowed: Bool) -> HTTP2Stream? {
    requests += 1
    if requests >= limits.requestsPerConnection { leave(by: .distantFuture) }
    let stream = HTTP2ServerStream(self)
    do throws(HTTP1Error) {
      if overflowed {
        throw HTTP1Error(.fieldSectionTooLarge, "at most \(limits.http2.headerListBytes) bytes")
      }
      stream.request = .success(try head.request(limits.http1))
    } catch {
      stream.request = .failure(error)
    }
    return stream
  }

  var trailers: HTTPHeaders { head.trailers }

  package func receivedGoaway(lastStream: Int32, _ code: HTTP2ErrorCode) {}

  package func ended(_ connection: HTTP2Connection, _ end: ConnectionEnd) { http2 = nil }
}
