import HTTP2
package import Protobuf
package import RPCCore
package import Reactor

/// How the bytes of a message become what the caller is given.
typealias MessageDecoding<Message> = (UnsafeRawBufferPointer) throws(RPCError) -> Message

/// A gRPC client for one service by its address or name. Confined to its reactor.
///
/// Connects when the first call needs it, and again after a loss, with growing delays; opens a further
/// connection when the server's stream limit is reached.
package final class Channel {
  package let reactor: Reactor
  package let configuration: ChannelConfiguration
  private let resolve: () async throws -> [SocketAddress]
  private var connections: [ClientConnection] = []
  private var waiters: [Waiter] = []
  private var addresses: [SocketAddress] = []
  private var isConnecting = false
  private var isClosed = false
  private var failures = 0
  private var nextAttempt = Instant(nanoseconds: 0)

  /// Metadata that every call carries: request id, trace context.
  package var metadata: () -> Metadata = { Metadata() }

  /// Why the last connection ended or could not be made.
  private(set) var lastFailure = "never connected"

  private final class Waiter {
    let waitsForReady: Bool
    var continuation: UnsafeContinuation<Void, Never>?
    var result: Result<ClientConnection, RPCError>?
    var timer: LoopTimer?

    init(waitsForReady: Bool) { self.waitsForReady = waitsForReady }
  }

  var loop: EventLoop { reactor.loop }

  /// A channel to what `resolve` returns: tried in order, and asked for again after failures.
  package init(
    reactor: Reactor, configuration: ChannelConfiguration = ChannelConfiguration(),
    resolve: @escaping () async throws -> [SocketAddress]
  ) {
    self.reactor = reactor
    self.configuration = configuration
    self.resolve = resolve
  }

  package convenience init(
    reactor: Reactor, configuration: ChannelConfiguration = ChannelConfiguration(),
    address: SocketAddress
  ) {
    self.init(reactor: reactor, configuration: configuration, resolve: { return [address] })
  }

  /// Ends every call and connection.
  package func close() {
    isClosed = true
    failWaiters(RPCError(.unavailable, "the channel is closed"), all: true)
    for connection in connections { connection.close() }
  }

  // MARK: Calls

  package func unary<Request: ProtobufMessage, Response: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: Request, _ options: CallOptions = CallOptions()
  ) async throws -> Response {
    try await unary(method, request.framed(), options, Response.init(received:))
  }

  private func unary<Response: Sendable>(
    _ method: MethodDescriptor, _ framed: [UInt8], _ options: CallOptions,
    _ decode: @escaping MessageDecoding<Response>
  ) async throws -> Response {
    var attempts = 0
    while true {
      let call = UnaryClientCall<Response>(method, self, options, decode)
      do {
        return try await call.cancelling {
          try await call.open()
          call.stream?.send(framed)
          call.stream?.end()
          return try await call.result()
        }
      } catch let error as RPCError where error.code == .unavailable && call.wasNeverSeen {
        // The server told us that it did not process the call: safe to send once more.
        attempts += 1
        if attempts > 1 { throw error }
      }
    }
  }

  package func serverStreaming<Request: ProtobufMessage, Response: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: Request, _ options: CallOptions = CallOptions()
  ) async throws -> ResponseStream<Response> {
    try await serverStreaming(method, request.framed(), options, Response.init(received:))
  }

  private func serverStreaming<Response: Sendable>(
    _ method: MethodDescriptor, _ framed: [UInt8], _ options: CallOptions,
    _ decode: @escaping MessageDecoding<Response>
  ) async throws -> ResponseStream<Response> {
    let call = StreamingClientCall<Response>(method, self, options, decode)
    try await call.cancelling { try await call.open() }
    call.stream?.send(framed)
    call.stream?.end()
    return ResponseStream(call)
  }

  package func clientStreaming<Request: ProtobufMessage, Response: ProtobufMessage>(
    _ method: MethodDescriptor, _ options: CallOptions = CallOptions(),
    _ body: (RequestWriter<Request>) async throws -> Void
  ) async throws -> Response {
    let call = UnaryClientCall<Response>(method, self, options, Response.init(received:))
    return try await call.cancelling {
      try await call.open()
      let writer = RequestWriter<Request>(call: call, gate: call.gate)
      do {
        try await body(writer)
        writer.finish()
      } catch {
        // The server's answer says more than the failed write that it caused.
        if !call.isFinished {
          call.cancel()
          throw error
        }
      }
      return try await call.result()
    }
  }

  package func bidirectional<Request: ProtobufMessage, Response: ProtobufMessage>(
    _ method: MethodDescriptor, _ options: CallOptions = CallOptions()
  ) async throws -> (RequestWriter<Request>, ResponseStream<Response>) {
    let call = StreamingClientCall<Response>(method, self, options, Response.init(received:))
    try await call.cancelling { try await call.open() }
    return (RequestWriter(call: call, gate: call.gate), ResponseStream(call))
  }

  // MARK: Calls whose messages are not decoded

  /// As `unary`, for who passes serialized messages on and looks into neither.
  package func unary(
    _ method: MethodDescriptor, serialized request: [UInt8], _ options: CallOptions = CallOptions()
  ) async throws -> [UInt8] {
    try await unary(method, Channel.framed(request), options) { Array($0) }
  }

  /// As `serverStreaming`, for who passes serialized messages on and looks into neither.
  package func serverStreaming(
    _ method: MethodDescriptor, serialized request: [UInt8], _ options: CallOptions = CallOptions()
  ) async throws -> ResponseStream<[UInt8]> {
    try await serverStreaming(method, Channel.framed(request), options) { Array($0) }
  }

  private static func framed(_ message: [UInt8]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: MessageDeframer.prefixBytes)
    bytes.reserveCapacity(bytes.count + message.count)
    bytes += message
    MessageDeframer.writePrefix(into: &bytes)
    return bytes
  }

  // MARK: Connections

  /// A connection with room for a stream; makes or awaits one where there is none.
  func ready(until deadline: Instant, waits: Bool) async throws -> ClientConnection {
    if let connection = connections.first(where: \.hasRoom) { return connection }
    if isClosed { throw RPCError(.unavailable, "the channel is closed") }
    if waiters.count >= configuration.waitingCalls {
      throw RPCError(
        .resourceExhausted, "\(waiters.count) calls wait for a connection; try again later")
    }
    let waiter = Waiter(waitsForReady: waits)
    waiters.append(waiter)
    waiter.timer = loop.schedule(at: deadline) { [unowned self] in
      self.drop(
        waiter,
        RPCError(.deadlineExceeded, "no connection before the deadline: \(self.lastFailure)"))
    }
    connect()
    nonisolated(unsafe) let (cancelled, channel) = (waiter, self)
    let loop = self.loop
    await cancellable {
      // Settled already where connecting failed at once.
      await withUnsafeContinuation { continuation in
        if waiter.result == nil {
          waiter.continuation = continuation
        } else {
          continuation.resume()
        }
      }
    } onCancel: {
      loop.execute { channel.drop(cancelled, RPCError(.cancelled, "the call was cancelled")) }
    }
    guard let result = waiter.result else { throw RPCError(.internal, "woken without a result") }
    return try result.get()
  }

  private func drop(_ waiter: Waiter, _ error: RPCError) {
    guard let index = waiters.firstIndex(where: { $0 === waiter }) else { return }
    waiters.remove(at: index)
    settle(waiter, .failure(error))
  }

  private func settle(_ waiter: Waiter, _ result: Result<ClientConnection, RPCError>) {
    if let timer = waiter.timer.take() { loop.cancel(timer) }
    waiter.result = result
    waiter.continuation.take()?.resume()
  }

  /// Starts one connection attempt, unless one is under way or as many as allowed are open.
  private func connect() {
    let usable = connections.count { !$0.isLeaving }
    if isConnecting || isClosed || usable >= configuration.connectionsMax { return }
    isConnecting = true
    if nextAttempt <= Instant.now() { return attempt() }
    // Calls that do not wait learn at once why there is no connection.
    failWaiters(RPCError(.unavailable, "cannot connect: \(lastFailure)"), all: false)
    loop.schedule(at: nextAttempt) { [weak self] in self?.attempt() }
  }

  private func attempt() {
    loop.spawn(on: reactor) {
      do {
        if self.addresses.isEmpty { self.addresses = try await self.resolve() }
        guard let address = self.addresses.first else {
          throw RPCError(.unavailable, "the name has no address")
        }
        let connection = ClientConnection(self)
        self.connections.append(connection)
        do {
          try connection.start(to: address)
        } catch {
          self.connections.removeLast()
          throw error
        }
      } catch {
        self.attemptFailed("\(error)")
      }
    }
  }

  private func attemptFailed(_ reason: String) {
    isConnecting = false
    lastFailure = reason
    if !addresses.isEmpty { addresses.removeFirst() }
    let factor = 1 << min(failures, 16)
    let delay = min(configuration.backoff * factor, configuration.backoffMax)
    nextAttempt = Instant.now() + delay * Double.random(in: 0.8...1.2)
    failures += 1
    failWaiters(RPCError(.unavailable, "cannot connect: \(reason)"), all: false)
    if !waiters.isEmpty { connect() }
  }

  private func failWaiters(_ error: RPCError, all: Bool) {
    let failing = waiters.filter { all || !$0.waitsForReady }
    waiters.removeAll { all || !$0.waitsForReady }
    for waiter in failing { settle(waiter, .failure(error)) }
  }

  // MARK: For connections

  func connected(_ connection: ClientConnection) {
    isConnecting = false
    failures = 0
    let settled = waiters
    waiters = []
    for waiter in settled { settle(waiter, .success(connection)) }
  }

  func leaving(_ connection: ClientConnection) {
    lastFailure = "the server is shutting down"
    if !waiters.isEmpty { connect() }
  }

  func ended(_ connection: ClientConnection, _ end: ConnectionEnd) {
    connections.removeAll { $0 === connection }
    let reason =
      switch end {
      case .closedByPeer: "closed by the server"
      case .closedHere: "closed by this side"
      case .failed(let error): "\(error)"
      case .timedOut(let what): "timed out: \(what)"
      }
    if connection.isReady {
      lastFailure = reason
      // The addresses may have changed with the server.
      addresses = []
      if !waiters.isEmpty { connect() }
    } else {
      attemptFailed(reason)
    }
  }
}
