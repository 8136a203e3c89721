import HTTP2
import RPCCore
import Reactor

/// One connection of a channel.
final class ClientConnection: HTTP2ConnectionOwner {
  private unowned let channel: Channel
  private var http2: HTTP2Connection?
  private var head = ResponseHead()
  private(set) var isReady = false
  private(set) var isLeaving = false

  init(_ channel: Channel) { self.channel = channel }

  func start(to address: SocketAddress) throws {
    let configuration = channel.configuration
    let connection = try Connection(
      to: address, loop: channel.loop, limits: configuration.connection, tls: configuration.tls,
      expecting: configuration.expectedServer)
    let http2 = HTTP2Connection(
      connection, role: .client, limits: configuration.http2, owner: self)
    self.http2 = http2
    try http2.start()
  }

  /// Whether a further stream can be opened now.
  var hasRoom: Bool {
    guard isReady, !isLeaving, let session = http2?.session else { return false }
    return session.streamCount < session.peerConcurrentStreams
  }

  func open(_ stream: HTTP2Stream, _ fields: HeaderFields) throws {
    guard let session = http2?.session else { throw HTTP2Error.refused("not connected") }
    try session.submitRequest(fields, for: stream, endsStream: false)
  }

  /// The header block that has just been received.
  func takeHead() -> ResponseHead {
    defer { head = ResponseHead() }
    return head
  }

  func close() { http2?.close() }

  /// Takes no more calls; closes when those it has are over.
  func leave() {
    isLeaving = true
    http2?.session?.shutdown()
  }

  // MARK: HTTP2ConnectionOwner

  func ready(_ connection: HTTP2Connection) {}

  /// Only now is known how many streams the server takes: a call more would be refused.
  func receivedSettings() {
    if isReady { return }
    isReady = true
    channel.connected(self)
  }

  func beganHeaders() { head = ResponseHead() }

  func received(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) {
    head.add(name, value)
  }

  func openedStream(_ id: Int32, endsStream: Bool, overflowed: Bool) -> HTTP2Stream? { nil }

  func receivedGoaway(lastStream: Int32, _ code: HTTP2ErrorCode) {
    isLeaving = true
    channel.leaving(self)
  }

  func ended(_ connection: HTTP2Connection, _ end: ConnectionEnd) {
    channel.ended(self, end)
    http2 = nil
  }
}
