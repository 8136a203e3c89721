import HTTP
import HTTP2
import Reactor

/// Requests to one API server over HTTP/2 connections of our own. Confined to its reactor.
///
/// Connects when a request needs it. A failure to connect is the failure of the requests that wait;
/// when to try again is their callers' business, who have policies and circuit breakers for it.
final class HTTP2Transport: KubernetesTransport {
  let reactor: Reactor
  let server: ServerAddress
  private let limits: KubernetesLimits
  private let resolver: NameResolver
  private let tls: TLSContext
  private let expected: ExpectedServer
  private var connections: [HTTP2TransportConnection] = []
  private var waiters: [Waiter] = []
  private var isConnecting = false
  private var isClosed = false

  /// A request that waits for a connection.
  private final class Waiter {
    var resumption: Resumption<Result<HTTP2TransportConnection, KubernetesError>>?
    /// What came before the wait began.
    var result: Result<HTTP2TransportConnection, KubernetesError>?
    var timer: LoopTimer?
  }

  var loop: EventLoop { reactor.loop }

  /// From the connection on.
  var settingsTimeout: Duration { limits.connection.handshake }

  init(
    _ server: ServerAddress, expected: ExpectedServer, tls: TLSContext, reactor: Reactor,
    blocking: BlockingPool, limits: KubernetesLimits
  ) {
    self.server = server
    self.expected = expected
    self.tls = tls
    self.reactor = reactor
    self.limits = limits
    resolver = NameResolver(blocking: blocking)
  }

  func close() {
    isClosed = true
    settle(.failure(KubernetesError(.transport, "the client is closed")))
    for connection in connections { connection.close() }
  }

  func send(
    _ request: HTTPRequestHead, body: [UInt8], deadline: Instant
  ) async throws(KubernetesError) -> any KubernetesResponse {
    guard deadline > Instant.now() else { throw .timeout("\(server)") }
    let connection = try await connection(until: deadline)
    let exchange = HTTP2Exchange(connection, deadline: deadline)
    try exchange.start(request, body: body)
    try await exchange.waitForHead()
    return HTTP2Response(exchange)
  }

  // MARK: Connections

  private func connection(
    until deadline: Instant
  ) async throws(KubernetesError) -> HTTP2TransportConnection {
    if let connection = connections.first(where: \.hasRoom) { return connection }
    if isClosed { throw KubernetesError(.transport, "the client is closed") }
    guard waiters.count < limits.waitingCallsMax else {
      throw KubernetesError(
        .limitReached,
        "\(waiters.count) calls wait for a connection to \(server) (waitingCallsMax)")
    }
    let waiter = Waiter()
    waiters.append(waiter)
    waiter.timer = loop.schedule(at: deadline) {
      self.drop(waiter, .timeout("connecting to \(self.server)"))
    }
    let result = await suspended(on: reactor) {
      self.drop(waiter, KubernetesError(.cancelled, "cancelled while connecting"))
    } _: { resumption in
      if let result = waiter.result { return resumption.resume(result) }
      waiter.resumption = resumption
      self.connect()
    }
    return try result.get()
  }

  private func drop(_ waiter: Waiter, _ error: KubernetesError) {
    guard let index = waiters.firstIndex(where: { $0 === waiter }) else { return }
    waiters.remove(at: index)
    settle(waiter, .failure(error))
  }

  private func settle(
    _ waiter: Waiter, _ result: Result<HTTP2TransportConnection, KubernetesError>
  ) {
    if let timer = waiter.timer { loop.cancel(timer) }
    waiter.timer = nil
    waiter.result = result
    let resumption = waiter.resumption
    waiter.resumption = nil
    resumption?.resume(result)
  }

  private func settle(_ result: Result<HTTP2TransportConnection, KubernetesError>) {
    let settled = waiters
    waiters = []
    for waiter in settled { settle(waiter, result) }
  }

  /// Starts one attempt, unless one is under way or as many connections as allowed are open.
  private func connect() {
    if isConnecting || isClosed || waiters.isEmpty { return }
    if connections.count(where: { !$0.isLeaving }) >= limits.connectionsMax { return }
    isConnecting = true
    loop.spawn(on: reactor) {
      do {
        let addresses = try await self.resolver.resolve(self.server.host, port: self.server.port)
        self.connect(to: addresses[...], after: "\(self.server.host) has no address")
      } catch {
        self.failed("\(error)")
      }
    }
  }

  private func connect(to addresses: ArraySlice<SocketAddress>, after reason: String) {
    guard let address = addresses.first, !isClosed else { return failed(reason) }
    let connection = HTTP2TransportConnection(self, others: addresses.dropFirst())
    connections.append(connection)
    do {
      try connection.start(
        Connection(
          to: address, loop: loop, limits: limits.connection, tls: tls, expecting: expected))
    } catch {
      connections.removeAll { $0 === connection }
      connect(to: addresses.dropFirst(), after: "\(error)")
    }
  }

  private func failed(_ reason: String) {
    isConnecting = false
    settle(.failure(KubernetesError(.transport, "cannot connect to \(server): \(reason)")))
  }

  // MARK: For connections

  func ready(_ connection: HTTP2TransportConnection) {
    isConnecting = false
    // Each takes it up in its own turn: one too many fails as refused, and says so.
    settle(.success(connection))
  }

  func hasRoomAgain(_ connection: HTTP2TransportConnection) {
    if !waiters.isEmpty, connection.hasRoom {
      settle(waiters.removeFirst(), .success(connection))
    }
  }

  func leaving() { connect() }

  func ended(_ connection: HTTP2TransportConnection, reason: String) {
    connections.removeAll { $0 === connection }
    if connection.wasReady {
      connect()
    } else {
      connect(to: connection.others, after: reason)
    }
  }
}

/// One connection of a transport.
final class HTTP2TransportConnection: HTTP2ConnectionOwner {
  private let transport: HTTP2Transport
  private var http2: HTTP2Connection?
  private let head = ResponseFields()
  /// Addresses to try where this one cannot be reached.
  let others: ArraySlice<SocketAddress>
  private(set) var wasReady = false
  private(set) var isLeaving = false
  /// Why it went, for the exchanges that it took along.
  private(set) var ending = "closed"
  /// The server's SETTINGS did not come in time.
  private var isSilent = false
  /// Until they have come, once there is a connection.
  private var settingsTimer: LoopTimer?
  /// When bytes last came, which tells a slow answer from a dead connection.
  private(set) var lastHeard = Instant.now()

  init(_ transport: HTTP2Transport, others: ArraySlice<SocketAddress>) {
    self.transport = transport
    self.others = others
  }

  deinit { http2?.disown() }

  var reactor: Reactor { transport.reactor }
  var loop: EventLoop { transport.loop }
  var server: ServerAddress { transport.server }

  func start(_ connection: Connection) throws {
    let http2 = HTTP2Connection(
      connection, role: .client, limits: HTTP2Limits(), headers: head, owner: self)
    self.http2 = http2
    try http2.start()
  }

  func close() { http2?.close() }

  /// Takes no more requests: nothing has come of it for too long.
  func abandon() {
    isLeaving = true
    transport.leaving()
    if http2?.session?.streamCount == 0 { close() }
  }

  var hasRoom: Bool {
    guard wasReady, !isLeaving, let session = http2?.session else { return false }
    return session.streamCount < session.peerConcurrentStreams
  }

  func open(
    _ stream: HTTP2Stream, _ fields: HeaderFields, endsStream: Bool
  ) throws(KubernetesError) {
    guard let session = http2?.session else {
      throw KubernetesError(.transport, "the connection to \(server) was lost: \(ending)")
    }
    do {
      try session.submitRequest(fields, for: stream, endsStream: endsStream)
    } catch {
      throw KubernetesError(.transport, "no stream to \(server): \(error)")
    }
  }

  func heard() { lastHeard = loop.now }

  func takeHead() -> HTTPResponseHead? {
    head.status.map { HTTPResponseHead(status: $0, headers: head.headers) }
  }

  func streamClosed() {
    transport.hasRoomAgain(self)
    if isLeaving, http2?.session?.streamCount == 0 { close() }
  }

  // MARK: HTTP2ConnectionOwner

  /// Others that wait to connect wait for this one, so its silence has an end, too.
  func ready(_ connection: HTTP2Connection) {
    settingsTimer = loop.schedule(after: transport.settingsTimeout) {
      self.settingsTimer = nil
      self.isSilent = true
      self.close()
    }
  }

  private func stopSettingsTimer() {
    if let settingsTimer { loop.cancel(settingsTimer) }
    settingsTimer = nil
  }

  func receivedSettings() {
    heard()
    stopSettingsTimer()
    if wasReady { return }
    wasReady = true
    transport.ready(self)
  }

  func openedStream(_ id: Int32, endsStream: Bool, overflowed: Bool) -> HTTP2Stream? { nil }

  func receivedGoaway(lastStream: Int32, _ code: HTTP2ErrorCode) {
    ending = "the server is going away"
    isLeaving = true
    transport.leaving()
  }

  func ended(_ connection: HTTP2Connection, _ end: ConnectionEnd) {
    stopSettingsTimer()
    isLeaving = true
    http2 = nil
    ending = isSilent ? "the server sent no HTTP/2 settings in time (handshake)" : end.words
    transport.ended(self, reason: ending)
  }
}

/// A response's header block as it comes in.
private final class ResponseFields: HTTP2HeaderSink {
  var status: HTTPStatus?
  var headers = HTTPHeaders()

  override func reset() {
    status = nil
    headers = HTTPHeaders()
  }

  override func add(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    if name.first == UInt8(ascii: ":") {
      status = Int(String(decoding: value, as: UTF8.self)).flatMap(HTTPStatus.init(code:))
    } else {
      headers.append(name: name.span, value: value.span)
    }
  }
}
