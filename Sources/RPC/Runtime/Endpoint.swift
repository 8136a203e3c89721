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

  /// Whether what will become of a connection is not known yet.
  var isConnecting: Bool { attempt != nil || connections.contains(where: \.awaitsHealth) }
  var isUsable: Bool { connections.contains(where: \.isUsable) }
  /// Whether calls may go to it, now or when others have ended.
  var isReady: Bool { connections.contains { $0.isUsable && $0.isHealthy } }
  var isEmpty: Bool { connections.isEmpty && attempt == nil }
  var isBackingOff: Bool { nextAttempt > Instant.now() }

  var unhealthyConnections: Int { connections.count(where: \.isUnhealthy) }
  var connectionWithRoom: ClientConnection? {
    // Asked for each call: a key path would be looked up.
    for connection in connections where connection.hasRoom { return connection }
    return nil
  }

  /// Whether a further connection is allowed.
  var mayConnect: Bool {
    !isConnecting && !isBackingOff
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

  /// Another endpoint was faster, which is no failure of this one.
  func giveUpAttempt() { attempt = nil }

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
    nextAttempt = Instant.now() + channel.configuration.delay(afterFailures: failures)
    failures += 1
    channel.failed(self, "cannot connect: \(reason)")
  }

  /// After a connection that was of use the next is made at once. So it is after one that was not, but
  /// with delays from the second in a row on: a server that hangs up on all must not be kept busy.
  private func lost(_ connection: ClientConnection) {
    if connection.wasOfUse {
      failures = 0
    } else {
      if failures > 0 {
        nextAttempt = Instant.now() + channel.configuration.delay(afterFailures: failures - 1)
      }
      failures += 1
    }
  }

  // MARK: For connections

  func connected(_ connection: ClientConnection) {
    attempt = nil
    connections.append(connection)
    channel.connected(self)
  }

  func leaving(_ connection: ClientConnection) {
    lost(connection)
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
      if !connection.isLeaving { lost(connection) }
      channel.failed(self, reason)
    }
  }
}
