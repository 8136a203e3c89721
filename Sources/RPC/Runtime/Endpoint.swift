import RPCCore
import Reactor

/// One address of a channel: the connections to it, and when to try again.
final class Endpoint {
  let address: SocketAddress
  private unowned let channel: Channel
  private var connections: [ClientConnection] = []
  private var attempt: ClientConnection?
  private var failures = 0
  /// Before this no connection is tried.
  private(set) var nextAttempt = Instant(nanoseconds: 0)

  init(_ channel: Channel, _ address: SocketAddress) {
    self.channel = channel
    self.address = address
  }

  var isConnecting: Bool { attempt != nil }
  var isUsable: Bool { connections.contains(where: \.isUsable) }
  var isEmpty: Bool { connections.isEmpty && attempt == nil }
  var isBackingOff: Bool { nextAttempt > Instant.now() }

  var connectionWithRoom: ClientConnection? { connections.first(where: \.hasRoom) }

  /// Whether a further connection is allowed.
  var mayConnect: Bool {
    attempt == nil && !isBackingOff
      && connections.count(where: \.isUsable) < channel.configuration.connectionsMax
  }

  /// Starts one attempt; the channel hears of its end later, or of its failure at once.
  func connect() {
    let connection = ClientConnection(channel, self)
    attempt = connection
    do {
      try connection.start()
    } catch {
      attempt = nil
      failed("\(error)")
    }
  }

  /// Takes no more calls.
  func leave() {
    for connection in connections { connection.leave() }
    attempt?.close()
  }

  func close() {
    for connection in connections { connection.close() }
    attempt?.close()
  }

  private func failed(_ reason: String) {
    let configuration = channel.configuration
    let delay = min(configuration.backoff * (1 << min(failures, 16)), configuration.backoffMax)
    nextAttempt = Instant.now() + delay * Double.random(in: 0.8...1.2)
    failures += 1
    channel.failed(self, "cannot connect: \(reason)")
  }

  // MARK: For connections

  func connected(_ connection: ClientConnection) {
    attempt = nil
    failures = 0
    connections.append(connection)
    channel.roomMade()
  }

  func leaving(_ connection: ClientConnection) {
    channel.failed(self, "the server is shutting down")
  }

  func ended(_ connection: ClientConnection, _ end: ConnectionEnd) {
    let reason =
      switch end {
      case .closedByPeer: "closed by the server"
      case .closedHere: connection.closeReason
      case .failed(let error): "\(error)"
      case .timedOut(let what): "timed out: \(what)"
      }
    if attempt === connection {
      attempt = nil
      failed(reason)
    } else {
      connections.removeAll { $0 === connection }
      channel.failed(self, reason)
    }
  }
}
