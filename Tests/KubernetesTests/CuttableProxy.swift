import Reactor

@testable import Kubernetes

/// Stands between a client and a server, and cuts all its connections when told to. Confined to its
/// reactor.
final class CuttableProxy {
  private let loop: EventLoop
  private let target: SocketAddress
  private var listener: Listener?
  private var pairs: [ObjectIdentifier: ProxiedPair] = [:]
  /// Connections taken so far.
  private(set) var accepted = 0
  /// New connections are closed at once: the server is gone.
  var refuses = false
  /// Bytes of the server are swallowed: the server is silent.
  var swallows = false

  init(_ loop: EventLoop, target: SocketAddress) throws {
    self.loop = loop
    self.target = target
    listener = try Listener(on: .ipv4(address: 0x7F00_0001, port: 0), loop: loop) {
      [weak self] connection in
      self?.accept(connection)
    }
  }

  var port: UInt16 { listener?.address.port ?? 0 }

  func cut() {
    for pair in pairs.values { pair.close() }
  }

  func close() {
    listener?.close()
    listener = nil
    cut()
  }

  private func accept(_ client: Connection) {
    accepted += 1
    guard let server = try? Connection(to: target, loop: loop) else { return client.close() }
    let pair = ProxiedPair(self, client: client, server: server)
    pairs[ObjectIdentifier(pair)] = pair
    pair.start()
    if refuses { pair.close() }
  }

  fileprivate func ended(_ pair: ProxiedPair) {
    pairs[ObjectIdentifier(pair)] = nil
    listener?.connectionEnded(nil)
  }
}

/// A connection of each side; what one receives the other sends.
private final class ProxiedPair {
  private let proxy: CuttableProxy
  private let client: Side
  private let server: Side
  private var isEnded = false

  init(_ proxy: CuttableProxy, client: Connection, server: Connection) {
    self.proxy = proxy
    self.client = Side(client)
    self.server = Side(server)
  }

  func start() {
    client.received = { self.server.send($0) }
    server.received = { if !self.proxy.swallows { self.client.send($0) } }
    client.ended = { self.close() }
    server.ended = { self.close() }
    do {
      try client.start()
      try server.start()
    } catch {
      close()
    }
  }

  func close() {
    if isEnded { return }
    isEnded = true
    client.close()
    server.close()
    proxy.ended(self)
  }

  private final class Side: ConnectionDelegate {
    private let connection: Connection
    private var pending: [UInt8] = []
    var received: (([UInt8]) -> Void)?
    var ended: (() -> Void)?

    init(_ connection: Connection) { self.connection = connection }

    func start() throws { try connection.start(self) }

    func close() {
      received = nil
      ended = nil
      connection.close()
    }

    func send(_ bytes: [UInt8]) {
      pending += bytes
      connection.setNeedsFlush()
    }

    func connectionReady(_ connection: Connection) { connection.setNeedsFlush() }

    func connection(_ connection: Connection, received bytes: UnsafeRawBufferPointer) {
      received?(Array(bytes))
    }

    func connection(_ connection: Connection, fill output: OutputBuffer, room: Int) {
      let part = min(room, pending.count)
      output.append(Array(pending[..<part]))
      pending.removeFirst(part)
    }

    func connectionEnded(_ connection: Connection, _ end: ConnectionEnd) { ended?() }
  }
}
