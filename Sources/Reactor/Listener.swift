import CLinux
import Glibc

/// A listening socket that hands each accepted connection to a closure.
package final class Listener: ReadinessHandler {
  package struct Limits: Sendable {
    /// Accepted connections that may be open at once; further ones wait in the kernel's queue.
    package var connections = 10_000
    /// The same for the connections of one client by its IP address (of IPv6 the /64 network); further
    /// ones are closed. Several clients may share an address, such as a proxy's.
    package var connectionsPerAddress = 7_500
    /// The kernel's queue of connections not accepted yet.
    package var backlog: Int32 = 1024
    /// Connections accepted in one turn of the loop, so that a flood of them does not keep it from others.
    package var acceptsPerTurn = 64
    /// How long accepting rests when the process has no descriptor left.
    package var descriptorPause: Duration = .milliseconds(100)

    package init() {}
  }

  private let socket: Socket
  private let loop: EventLoop
  private let limits: Limits
  private let connectionLimits: ConnectionLimits
  private let accepted: (Connection) -> Void
  private var open = 0
  private var openByHost: [SocketAddress: Int] = [:]
  private var isAccepting = false
  private var isClosed = false

  /// Replaced to use new certificates for the connections to come.
  package var tls: TLSContext?
  /// Called for each connection that is closed since its address has too many.
  package var refused: ((SocketAddress) -> Void)?
  /// Where it listens: with port 0 asked for, the port that the kernel chose.
  package let address: SocketAddress

  /// Binds and starts to accept. `accepted` must call `start` on the connection, and
  /// `connectionEnded` on this, with its peer, when it has ended.
  package init(
    on address: SocketAddress, loop: EventLoop, tls: TLSContext? = nil, limits: Limits = Limits(),
    connectionLimits: ConnectionLimits = ConnectionLimits(), sharesPort: Bool = false,
    accepted: @escaping (Connection) -> Void
  ) throws {
    socket = try Socket(for: address)
    try socket.bindAndListen(on: address, backlog: limits.backlog, sharesPort: sharesPort)
    let bound = try socket.localAddress()
    if case .unix = address { self.address = address } else { self.address = bound ?? address }
    self.loop = loop
    self.tls = tls
    self.limits = limits
    self.connectionLimits = connectionLimits
    self.accepted = accepted
    try loop.register(socket.descriptor, for: .readable, self)
    isAccepting = true
  }

  package func ready(_ readiness: Readiness) {
    var accepts = 0
    while isAccepting, accepts < limits.acceptsPerTurn {
      accepts += 1
      do {
        guard let (descriptor, peer) = try socket.accept() else { return }
        admit(descriptor, peer)
      } catch {
        return pauseAfter(error)
      }
    }
  }

  private func admit(_ descriptor: Int32, _ peer: SocketAddress?) {
    let host = peer?.host
    let openOfHost = host.flatMap { openByHost[$0] } ?? 0
    if let peer, host != nil, openOfHost >= limits.connectionsPerAddress {
      Glibc.close(descriptor)
      refused?(peer)
      return
    }
    guard
      let connection = try? Connection(
        accepted: descriptor, peer: peer, loop: loop, limits: connectionLimits, tls: tls)
    else { return }
    open += 1
    if let host { openByHost[host] = openOfHost + 1 }
    if open >= limits.connections { setAccepting(false) }
    accepted(connection)
  }

  /// Errors of one connection (ECONNABORTED and alike) are its own; without descriptors, the queued
  /// connection stays readable, and only a pause keeps the loop from spinning on it.
  private func pauseAfter(_ error: SystemError) {
    guard [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.code) else { return }
    setAccepting(false)
    loop.schedule(after: limits.descriptorPause) { [weak self] in self?.setAccepting(true) }
  }

  /// To be called once for every accepted connection that has ended.
  package func connectionEnded(_ peer: SocketAddress?) {
    open -= 1
    if let host = peer?.host, let count = openByHost[host] {
      openByHost[host] = count > 1 ? count - 1 : nil
    }
    if open < limits.connections { setAccepting(true) }
  }

  private func setAccepting(_ wanted: Bool) {
    if isClosed || wanted == isAccepting { return }
    isAccepting = wanted
    try? loop.modify(socket.descriptor, for: wanted ? .readable : [])
  }

  /// Stops listening; open connections go on.
  package func close() {
    if isClosed { return }
    isClosed = true
    isAccepting = false
    loop.deregister(socket.descriptor)
    shutdown(socket.descriptor, Int32(SHUT_RDWR))
    if case .unix(let path) = address { unlink(path) }
  }
}
