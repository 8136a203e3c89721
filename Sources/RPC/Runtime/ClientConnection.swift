import HTTP2
import RPCCore
import Reactor

/// One connection of a channel.
final class ClientConnection: HTTP2ConnectionOwner {
  unowned let channel: Channel
  private unowned let endpoint: Endpoint
  private var http2: HTTP2Connection?
  /// The header block that was received last.
  let head = ResponseHead()
  private var readyAt: Instant?
  private var calls = 0
  private let callsMax: Int
  /// A call: a server must do more than tell of its health to have been of use.
  var hasAnswered = false
  /// Where the service config asks for it.
  private var watch: HealthWatch?
  private(set) var isLeaving = false
  /// Why this side has closed it.
  private(set) var closeReason = "closed by this side"

  init(_ channel: Channel, _ endpoint: Endpoint) {
    self.channel = channel
    self.endpoint = endpoint
    callsMax = channel.configuration.callsPerConnection
  }

  /// The connection would outlive whoever has let go of the channel.
  deinit {
    guard let http2 else { return }
    http2.disown()
    nonisolated(unsafe) let connection = http2
    http2.loop.execute { connection.close() }
  }

  func start() throws {
    let configuration = channel.configuration
    let connection = try Connection(
      to: endpoint.address, loop: channel.loop, limits: configuration.connection,
      tls: configuration.tls, expecting: configuration.expectedServer)
    var limits = configuration.http2
    limits.preface = configuration.connection.handshake
    let http2 = HTTP2Connection(
      connection, role: .client, limits: limits, headers: head, owner: self)
    self.http2 = http2
    try http2.start()
  }

  /// Whether it takes further calls, now or when others have ended.
  var isUsable: Bool {
    readyAt != nil && !isLeaving && !isUsedUp && http2?.isOpen == true
  }

  /// Nil where nobody asks.
  private var health: ServerHealth? { watch?.health }

  /// Whether the server is to be given calls.
  var isHealthy: Bool {
    switch health {
    case nil, .serving, .notTold: true
    case .unknown, .notServing: false
    }
  }

  /// Whether the server has said that it takes none.
  var isUnhealthy: Bool {
    if case .notServing = health { isUsable } else { false }
  }

  /// Whether the server has yet to say how it is.
  var awaitsHealth: Bool { isUsable && health == .unknown }

  private var isUsedUp: Bool { calls >= callsMax }

  /// Whether it was more than one of many that the server makes and drops.
  var wasOfUse: Bool {
    guard let readyAt else { return false }
    return hasAnswered || Instant.now() - readyAt >= channel.configuration.backoffMax
  }

  /// Whether a further stream can be opened now.
  var hasRoom: Bool {
    readyAt != nil && !isLeaving && !isUsedUp && isHealthy && http2?.hasRoom == true
  }

  func open(_ stream: HTTP2Stream, _ fields: HeaderFields) throws {
    try session().submitRequest(fields, for: stream, endsStream: false)
    calls += 1
  }

  /// The same with `fields` and up to `count` more that `add` gives.
  func open(
    _ stream: HTTP2Stream, _ fields: ConstantHeaderFields, and count: Int,
    _ add: (inout AddedHeaderFields) -> Void
  ) throws {
    try session().submitRequest(fields, and: count, for: stream, add)
    calls += 1
  }

  private func session() throws -> HTTP2Session {
    guard let session = http2?.session else { throw HTTP2Error.refused("not connected") }
    return session
  }

  /// Whether it has made no call yet, beside asking for the server's health.
  var isNew: Bool { calls <= (watch == nil ? 0 : 1) }

  func healthChanged(_ health: ServerHealth) {
    if !isLeaving { channel.healthChanged(endpoint.address, health) }
  }

  /// The header block that a call's stream has received, unless it only informs.
  func takeHead() -> ResponseHead? {
    hasAnswered = true
    return head.isInformational ? nil : head
  }

  func streamClosed() {
    if isUsedUp, !isLeaving { leave() }
    channel.roomMade()
  }

  func close() { http2?.close() }

  /// Takes no more calls; closes when those it has are over.
  func leave() {
    isLeaving = true
    watch?.end()
    http2?.session?.shutdown()
  }

  private func close(because reason: String) {
    closeReason = reason
    channel.note(reason)
    close()
  }

  // MARK: HTTP2ConnectionOwner

  func ready(_ connection: HTTP2Connection) {}

  /// Only now is known how many streams the server takes: a call more would be refused.
  func receivedSettings() {
    if readyAt != nil { return channel.roomMade() }
    readyAt = Instant.now()
    if let interval = channel.configuration.keepalive {
      http2?.keepAlive(every: interval, timeout: channel.configuration.keepaliveTimeout)
    }
    watchHealth()
    endpoint.connected(self)
  }

  /// With `pickFirst` it would not be of use: there is no other server to take (gRFC A17).
  private func watchHealth() {
    let service = channel.configuration.service
    guard service.loadBalancing == .roundRobin, let name = service.healthCheckService else {
      return
    }
    let watch = HealthWatch(of: name, on: self)
    self.watch = watch
    watch.begin()
  }

  func peerIsGone(_ connection: HTTP2Connection, after timeout: Duration) {
    close(because: "no answer to a keepalive ping within \(timeout)")
  }

  func openedStream(_ id: Int32, endsStream: Bool, overflowed: Bool) -> HTTP2Stream? { nil }

  func receivedGoaway(lastStream: Int32, _ code: HTTP2ErrorCode) {
    if isLeaving { return }
    isLeaving = true
    watch?.end()
    endpoint.leaving(self)
  }

  func ended(_ connection: HTTP2Connection, _ end: ConnectionEnd) {
    watch?.end()
    http2 = nil
    endpoint.ended(self, end)
  }
}
