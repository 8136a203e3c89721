package import HTTP2
import RPCCore
package import Reactor

/// A gRPC server on one reactor. Confined to it.
package final class Server {
  package let reactor: Reactor
  package let limits: ServerLimits
  /// `ServerLimits.unaryCall` and `streamingCall` in nanoseconds, which are less to reckon with.
  let longestUnaryCall: Int64
  let longestStreamingCall: Int64
  let interceptors: ServerInterceptors?
  private var methods: [String: ServerMethod] = [:]
  private var listeners: [Listener] = []
  private var connections: [ObjectIdentifier: ServerConnection] = [:]
  let handlerTasks: HandlerTasks
  private var drainWaiters: [CheckedContinuation<Void, Never>] = []

  /// Handlers running, those of cancelled calls included.
  package private(set) var callsInProgress = 0
  /// Bytes of calls and messages held for all connections; see `ServerLimits.heldBytes`.
  package private(set) var heldBytes = 0
  package private(set) var isDraining = false
  package var connectionCount: Int { connections.count }
  package var observer: (any ServerObserver)?
  /// Those of addresses with connections.
  private var shares: [SocketAddress: AddressShare] = [:]
  /// Those of addresses whose connections have all ended, while there is something left in them.
  private var departed: [SocketAddress: AddressShare] = [:]
  private var departedTimer: LoopTimer?
  private var pastTraffic = HTTP2Traffic()
  /// Of all connections, those that have ended included.
  package var traffic: HTTP2Traffic {
    connections.values.reduce(into: pastTraffic) { $0 += $1.traffic }
  }

  /// `interceptors` stand around every handler, the first outermost.
  package init(
    reactor: Reactor, limits: ServerLimits = ServerLimits(),
    interceptors: [any ServerInterceptor] = []
  ) {
    self.reactor = reactor
    self.limits = limits
    longestUnaryCall = limits.unaryCall.nanosecondsSaturating
    longestStreamingCall = limits.streamingCall.nanosecondsSaturating
    handlerTasks = HandlerTasks(reactor)
    self.interceptors = ServerInterceptors.chain(interceptors)
  }

  /// Serves `methods` as well. A path served already is a fault of the caller.
  package func register(_ methods: [ServerMethod]) {
    for method in methods {
      let previous = self.methods.updateValue(method, forKey: method.descriptor.path)
      precondition(previous == nil, "\(method.descriptor.path) is registered twice")
    }
  }

  /// The full names of the services that have methods here.
  package var serviceNames: [String] {
    Set(methods.values.map(\.descriptor.service)).sorted()
  }

  /// Starts to listen; returns the address, with the kernel's port where 0 was asked for.
  @discardableResult
  package func listen(
    on address: SocketAddress, tls: TLSContext? = nil, sharesPort: Bool = false
  ) throws -> SocketAddress {
    // The closure needs the listener that it is given to, and must not keep it.
    weak var listener: Listener?
    let made = try Listener(
      on: address, loop: reactor.loop, tls: tls, limits: limits.listener,
      connectionLimits: limits.connection, sharesPort: sharesPort
    ) { [weak self] connection in
      guard let self else {
        listener?.close()
        return
      }
      let accepted = ServerConnection(self, self.share(of: connection.peer))
      accepted.listener = listener
      do {
        try accepted.start(connection)
        self.connections[ObjectIdentifier(accepted)] = accepted
      } catch {
        self.leave(accepted.share, of: connection.peer)
        listener?.connectionEnded(connection.peer)
      }
    }
    made.refused = { [weak self] peer in self?.observer?.connectionRefused(peer) }
    listener = made
    listeners.append(made)
    return made.address
  }

  /// Stops accepting, lets the calls in progress end until `deadline`, then cuts the rest off.
  ///
  /// Clients are told in two steps, so that no call on its way is lost: first to open no more
  /// streams, then, a round trip later, which streams are not served.
  package func drain(until deadline: Instant) async {
    isDraining = true
    for listener in listeners { listener.close() }
    listeners = []
    for connection in connections.values { connection.announceShutdown() }
    let loop = reactor.loop
    loop.schedule(at: min(Instant.now() + limits.shutdownNotice, deadline)) { [weak self] in
      for connection in self?.connections.values.map({ $0 }) ?? [] { connection.shutdown() }
    }
    let cutOff = loop.schedule(at: deadline) { [weak self] in
      for connection in self?.connections.values.map({ $0 }) ?? [] { connection.close() }
    }
    if !connections.isEmpty { await withCheckedContinuation { drainWaiters.append($0) } }
    loop.cancel(cutOff)
  }

  // MARK: For connections and calls

  func method(at path: String) -> ServerMethod? { methods[path] }

  /// Unix sockets have no address that would tell one client from another: each connection is its own.
  private func share(of peer: SocketAddress?) -> AddressShare {
    guard let host = peer?.host else { return AddressShare() }
    let share = shares[host] ?? departed.removeValue(forKey: host) ?? AddressShare()
    shares[host] = share
    share.connections += 1
    return share
  }

  private func leave(_ share: AddressShare, of peer: SocketAddress?) {
    share.connections -= 1
    guard let host = peer?.host, share.connections == 0 else { return }
    shares[host] = nil
    // Whoever comes again finds what handlers and bytes of its are left.
    let isUnused = share.isUnused(limits, now: reactor.loop.now.nanoseconds)
    if isUnused || departed.count >= limits.departedAddresses { return }
    departed[host] = share
    if departedTimer == nil { forgetUnused() }
  }

  private func forgetUnused() {
    departedTimer = reactor.loop.schedule(after: .seconds(1)) { [weak self] in
      guard let self else { return }
      let now = reactor.loop.now.nanoseconds
      departed = departed.filter { !$0.value.isUnused(limits, now: now) }
      departedTimer = nil
      if !departed.isEmpty { forgetUnused() }
    }
  }

  func admit(_ share: AddressShare) -> Bool {
    guard callsInProgress < limits.callsInProgress,
      share.callsInProgress < limits.callsInProgressPerAddress
    else { return false }
    callsInProgress += 1
    share.callsInProgress += 1
    return true
  }

  func release(_ share: AddressShare) {
    callsInProgress -= 1
    share.callsInProgress -= 1
  }

  /// Claims memory; false when there is no more to be had. Giving back always succeeds.
  func hold(bytes change: Int, _ share: AddressShare) -> Bool {
    if change > 0 {
      guard heldBytes + change <= limits.heldBytes,
        share.heldBytes + change <= limits.heldBytesPerAddress
      else { return false }
    }
    heldBytes += change
    share.heldBytes += change
    return true
  }

  func connectionEnded(_ connection: ServerConnection) {
    connections[ObjectIdentifier(connection)] = nil
    leave(connection.share, of: connection.peer)
    pastTraffic += connection.traffic
    connection.listener?.connectionEnded(connection.peer)
    if connections.isEmpty {
      for waiter in drainWaiters { waiter.resume() }
      drainWaiters = []
    }
  }
}
