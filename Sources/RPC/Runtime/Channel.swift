import HTTP2
package import Protobuf
import RPCCore
package import Reactor

/// A gRPC client for one service by its address or name. Confined to its reactor.
///
/// Connects when the first call needs it, and again after a loss, with growing delays; opens a further
/// connection when the server's stream limit is reached.
package final class Channel {
  package let reactor: Reactor
  package let configuration: ChannelConfiguration
  private let resolve: () async throws -> [SocketAddress]
  private var isClosed = false

  package var observer: (any ChannelObserver)?
  /// Those of every call, the first outermost.
  let interceptors: ClientInterceptors?
  var retryTokens: RetryTokens
  /// Those that were called, which are no more than the contracts have.
  private var methods: [String: ClientMethod] = [:]
  private var lastMethod: ClientMethod?

  // Addresses, in the resolver's order, and those that it no longer names but that have calls.
  private var endpoints: [Endpoint] = []
  private var retired: [Endpoint] = []
  private var isResolving = false
  private var resolvedAt: Instant?
  private var addressesAreStale = true
  private var resolutionFailures = 0
  private var nextResolution = Instant(nanoseconds: 0)
  /// What `pickFirst` has picked last, which is good as long as it has room.
  private var latest: ClientConnection?
  /// Where `roundRobin` goes on.
  private var turn = 0

  /// Calls that wait for a connection with room, the first to come first.
  private var waiting: [ClientCall] = []
  private var wakeUp: LoopTimer?
  /// Until `pickFirst` tries the next address as well.
  private var stagger: LoopTimer?
  private var isSeeking = false

  /// Why the last connection ended or could not be made.
  private(set) var lastFailure = "never connected"

  let loop: EventLoop

  /// A channel to what `resolve` returns: all its addresses, and asked for again after failures.
  package init(
    reactor: Reactor, configuration: ChannelConfiguration = ChannelConfiguration(),
    interceptors: [any ClientInterceptor] = [],
    resolve: @escaping () async throws -> [SocketAddress]
  ) {
    self.reactor = reactor
    loop = reactor.loop
    self.configuration = configuration
    self.interceptors = ClientInterceptors.chain(interceptors)
    self.resolve = resolve
    retryTokens = RetryTokens(configuration.service.throttling)
  }

  package convenience init(
    reactor: Reactor, configuration: ChannelConfiguration = ChannelConfiguration(),
    interceptors: [any ClientInterceptor] = [], address: SocketAddress
  ) {
    self.init(
      reactor: reactor, configuration: configuration, interceptors: interceptors,
      resolve: { return [address] })
  }

  /// Connections whose servers have said that they take no calls.
  package var unhealthyConnections: Int {
    (endpoints + retired).reduce(0) { $0 + $1.unhealthyConnections }
  }

  /// Ends every call and connection.
  package func close() {
    isClosed = true
    failWaiting(RPCError(.unavailable, "the channel is closed"), all: true)
    if let timer = wakeUp.take() { loop.cancel(timer) }
    stopStagger()
    for endpoint in endpoints + retired { endpoint.close() }
  }

  // MARK: Calls

  package func unary<Request: ProtobufMessage, Response: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: Request, _ options: CallOptions = CallOptions()
  ) async throws -> Response {
    var response = Response()
    let call = unaryCall(method, framed: request.framed(options.encoding), options) {
      bytes throws(RPCError) in
      response = try Response(received: bytes)
    }
    try await call.run()
    return response
  }

  /// The same where the messages' types are known, as the generated clients do it: generic code would ask
  /// for their layouts at every step.
  ///
  /// - Returns: the call with its request, not begun.
  package func unaryCall(
    _ method: MethodDescriptor, framed: [UInt8], _ options: CallOptions,
    _ take: @escaping TakingResponse
  ) -> UnaryClientCall {
    let call = UnaryClientCall(method, self, options, take)
    call.sendMessage(framed)
    call.endRequest()
    return call
  }

  package func serverStreaming<Request: ProtobufMessage, Response: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: Request, _ options: CallOptions = CallOptions()
  ) async throws -> ResponseStream<Response> {
    try await serverStreaming(
      method, request.framed(options.encoding), options,
      Response.init(received:memoryBytes:))
  }

  private func serverStreaming<Response: Sendable>(
    _ method: MethodDescriptor, _ framed: [UInt8], _ options: CallOptions,
    _ decode: @escaping MessageDecoding<Response>
  ) async throws -> ResponseStream<Response> {
    let call = StreamingClientCall<Response>(method, self, options, decode)
    call.sendMessage(framed)
    call.endRequest()
    try await call.cancelling { try await call.open() }
    return ResponseStream(call)
  }

  package func clientStreaming<Request: ProtobufMessage, Response: ProtobufMessage>(
    _ method: MethodDescriptor, _ options: CallOptions = CallOptions(),
    _ body: (RequestWriter<Request>) async throws -> Void
  ) async throws -> Response {
    var response = Response()
    let gate = OutputGate()
    let call = UnaryClientCall(method, self, options, gate: gate) { bytes throws(RPCError) in
      response = try Response(received: bytes)
    }
    try await call.cancelling {
      try await call.open()
      let writer = RequestWriter<Request>(call: call, gate: gate)
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
      try await call.finished()
    }
    return response
  }

  package func bidirectional<Request: ProtobufMessage, Response: ProtobufMessage>(
    _ method: MethodDescriptor, _ options: CallOptions = CallOptions()
  ) async throws -> (RequestWriter<Request>, ResponseStream<Response>) {
    let call = StreamingClientCall<Response>(
      method, self, options, Response.init(received:memoryBytes:))
    try await call.cancelling { try await call.open() }
    return (RequestWriter(call: call, gate: call.gate), ResponseStream(call))
  }

  // MARK: Calls whose messages are not decoded

  /// As `unary`, for who passes serialized messages on and looks into neither.
  package func unary(
    _ method: MethodDescriptor, serialized request: [UInt8], _ options: CallOptions = CallOptions()
  ) async throws -> [UInt8] {
    var response: [UInt8] = []
    let call = unaryCall(method, framed: Channel.framed(request, options), options) {
      response = Array($0)
    }
    try await call.run()
    return response
  }

  /// As `serverStreaming`, for who passes serialized messages on and looks into neither.
  package func serverStreaming(
    _ method: MethodDescriptor, serialized request: [UInt8], _ options: CallOptions = CallOptions()
  ) async throws -> ResponseStream<[UInt8]> {
    try await serverStreaming(method, Channel.framed(request, options), options, Channel.copy)
  }

  private static func copy(_ message: UnsafeRawBufferPointer, _ memoryBytes: inout Int) -> [UInt8] {
    memoryBytes = message.count
    return Array(message)
  }

  private static func framed(_ message: [UInt8], _ options: CallOptions) -> [UInt8] {
    if options.compresses { return message.gzipped() }
    var bytes = [UInt8](repeating: 0, count: MessageDeframer.prefixBytes)
    bytes.reserveCapacity(bytes.count + message.count)
    bytes += message
    MessageDeframer.writePrefix(into: &bytes)
    return bytes
  }

  func method(_ descriptor: MethodDescriptor) -> ClientMethod {
    if let lastMethod, lastMethod.descriptor === descriptor { return lastMethod }
    let method = methods[descriptor.path] ?? ClientMethod(descriptor, configuration)
    methods[descriptor.path] = method
    lastMethod = method
    return method
  }

  // MARK: Placing calls

  /// Has `call` opened on a connection: at once where one has room, or as soon as one has.
  func place(_ call: ClientCall) {
    if isClosed { return call.fail(RPCError(.unavailable, "the channel is closed")) }
    if waiting.isEmpty, let connection = pick() { return call.open(on: connection) }
    if waiting.count >= configuration.waitingCalls {
      return call.fail(
        RPCError(
          .resourceExhausted, "\(waiting.count) calls wait for a connection; try again later"))
    }
    waiting.append(call)
    seek()
  }

  /// The call no longer waits.
  func withdraw(_ call: ClientCall) { waiting.removeAll { $0 === call } }

  /// A stream has ended, or a connection is ready: calls that wait may go on.
  func roomMade() {
    if waiting.isEmpty { return }
    while !waiting.isEmpty, let connection = pick() {
      waiting.removeFirst().open(on: connection)
    }
    if !waiting.isEmpty { seek() }
  }

  private func pick() -> ClientConnection? {
    switch configuration.service.loadBalancing {
    case .pickFirst:
      if let latest, latest.hasRoom { return latest }
      latest = nil
      for endpoint in endpoints {
        guard let connection = endpoint.connectionWithRoom else { continue }
        latest = connection
        return connection
      }
    case .roundRobin:
      for offset in 1...max(endpoints.count, 1) where !endpoints.isEmpty {
        let index = (turn + offset) % endpoints.count
        guard let connection = endpoints[index].connectionWithRoom else { continue }
        turn = index
        return connection
      }
    }
    return nil
  }

  private func failWaiting(_ error: RPCError, all: Bool) {
    let failing = waiting.filter { all || !$0.waitsForReady }
    waiting.removeAll { all || !$0.waitsForReady }
    for call in failing { call.fail(error) }
  }

  // MARK: Connecting

  /// Does what there is to do to get a connection, or a further one; fails the calls that do not wait
  /// for it where nothing can be done now.
  private func seek() {
    if isClosed || isSeeking { return }
    isSeeking = true
    defer { isSeeking = false }
    let now = Instant.now()
    let isReady = endpoints.contains(where: \.isReady)
    // The addresses that we have are tried meanwhile: they may still be good, and the answer may take long.
    if addressesAreStale, !isResolving, now >= nextResolution { resolveAddresses() }
    switch configuration.service.loadBalancing {
    case .pickFirst: connectToFirst(isReady)
    case .roundRobin:
      let full = endpoints.allSatisfy { $0.connectionWithRoom == nil }
      let needsMore = full && !waiting.isEmpty
      for endpoint in endpoints where !endpoint.isUsable || (needsMore && endpoint.isReady) {
        if endpoint.mayConnect { endpoint.connect() }
      }
    }
    if !isReady, !endpoints.contains(where: \.isConnecting), !isResolving {
      failWaiting(RPCError(.unavailable, lastFailure), all: false)
    }
    scheduleWakeUp()
  }

  private func connectToFirst(_ isReady: Bool) {
    let isConnecting = endpoints.contains(where: \.isConnecting)
    if isReady {
      if isConnecting { return }
      if let full = endpoints.first(where: \.isReady), full.mayConnect { full.connect() }
      return
    }
    if isConnecting, stagger != nil { return }
    // An address that fails at once leaves it to the next.
    for endpoint in endpoints where endpoint.mayConnect {
      endpoint.connect()
      if endpoint.isConnecting { return startStagger() }
    }
  }

  /// An address that says nothing does not hold up those after it (RFC 8305, gRFC A61).
  private func startStagger() {
    stopStagger()
    guard endpoints.contains(where: \.mayConnect) else { return }
    stagger = loop.schedule(after: configuration.connectionAttemptDelay) { [weak self] in
      guard let self else { return }
      stagger = nil
      if !waiting.isEmpty { seek() }
    }
  }

  private func stopStagger() {
    if let timer = stagger.take() { loop.cancel(timer) }
  }

  /// Looks again when the first delay is over, while there is a reason to.
  private func scheduleWakeUp() {
    if let timer = wakeUp.take() { loop.cancel(timer) }
    let keepsAll = configuration.service.loadBalancing == .roundRobin
    if waiting.isEmpty, !keepsAll { return }
    let delayed = endpoints.filter { !$0.isUsable && $0.isBackingOff }.map(\.nextAttempt)
    let now = Instant.now()
    let times = delayed + (addressesAreStale && nextResolution > now ? [nextResolution] : [])
    guard let earliest = times.min() else { return }
    wakeUp = loop.schedule(at: earliest) { [weak self] in
      self?.wakeUp = nil
      self?.seek()
    }
  }

  private func resolveAddresses() {
    isResolving = true
    loop.spawn(on: reactor) {
      do {
        self.adopt(try await self.resolve())
      } catch {
        self.resolutionFailed("\(error)")
      }
      self.isResolving = false
      self.seek()
    }
  }

  private func resolutionFailed(_ reason: String) {
    lastFailure = "cannot connect: \(reason)"
    nextResolution = Instant.now() + configuration.delay(afterFailures: resolutionFailures)
    resolutionFailures += 1
  }

  private func adopt(_ addresses: [SocketAddress]) {
    if addresses.isEmpty { return resolutionFailed("the name has no address") }
    resolutionFailures = 0
    addressesAreStale = false
    nextResolution = Instant.now() + configuration.resolutionInterval
    let known = endpoints
    endpoints = addresses.map { address in
      known.first { $0.address == address } ?? Endpoint(self, address)
    }
    for endpoint in known where !endpoints.contains(where: { $0 === endpoint }) {
      if !endpoint.isEmpty { retired.append(endpoint) }
      endpoint.leave()
    }
  }

  // MARK: For endpoints

  /// A server says how it is: calls go to others, or to it again.
  func healthChanged(_ address: SocketAddress, _ health: ServerHealth) {
    observer?.healthChanged(address, health)
    if case .notServing(let reason) = health {
      lastFailure = "\(address) is not healthy: \(reason)"
    }
    roomMade()
  }

  /// `endpoint` has a further connection. Of those that `pickFirst` tries, the first that is reached is
  /// taken.
  func connected(_ endpoint: Endpoint) {
    if configuration.service.loadBalancing == .pickFirst {
      stopStagger()
      for other in endpoints where other !== endpoint { other.giveUpAttempt() }
    }
    roomMade()
  }

  /// Why a connection is about to end.
  func note(_ reason: String) { lastFailure = reason }

  /// An attempt to connect failed, or a connection was lost. The addresses may have changed with the
  /// server.
  func failed(_ endpoint: Endpoint, _ reason: String) {
    if endpoint.isEmpty { retired.removeAll { $0 === endpoint } }
    // One that the name no longer has says nothing of the others.
    if isClosed || !endpoints.contains(where: { $0 === endpoint }) { return }
    lastFailure = reason
    addressesAreStale = true
    stopStagger()
    if !waiting.isEmpty || configuration.service.loadBalancing == .roundRobin { seek() }
  }
}
