import Reactor

/// Limits and times of a pool.
package struct PoolConfiguration: Sendable {
  /// Connections open at once.
  package var connectionsMax = 10
  /// Connections kept open though nobody uses them.
  package var idleMin = 1
  /// Callers that wait for a connection.
  package var acquireQueueMax = 1_024
  /// The longest wait for a connection.
  package var acquireTimeout: Duration = .seconds(5)
  /// An unused connection above `idleMin` is closed after this.
  package var idleLifetime: Duration = .seconds(300)
  /// A connection is replaced at this age, less up to a tenth so that not all go at once.
  package var lifetimeMax: Duration = .seconds(1_800)
  /// A connection unused for so long is asked for a sign of life before it is handed out.
  package var checkAfterIdle: Duration = .seconds(30)
  /// Waits between failed attempts to connect: doubling from the first to the second, ±25 %.
  package var backoffBase: Duration = .milliseconds(100)
  package var backoffMax: Duration = .seconds(5)

  package init() {}
}

/// Which connection is handed to whom, which are opened and closed, and when: pure, the time comes
/// with every event and the pool carries out the actions that it returns.
///
/// A connection goes `connecting -> idle <-> leased -> gone`. Waiters are served in order; the
/// connection used last is handed out first, so that a pool that is too large shrinks.
struct PoolStateMachine {
  typealias ConnectionID = Int
  typealias WaiterID = Int

  enum Action: Equatable {
    case connect(ConnectionID)
    case close(ConnectionID)
    /// Hand the connection to the waiter; `mustCheck`: ask it for a sign of life first.
    case lease(ConnectionID, to: WaiterID, mustCheck: Bool)
    case fail(WaiterID, PostgresError)
    /// Call `expire` then, unless the waiter was answered before.
    case wait(WaiterID, until: Instant)
  }

  enum State: Equatable {
    case connecting
    case idle(since: Instant)
    case leased
  }

  private struct Connection {
    var state: State
    var retiresAt: Instant
  }

  let configuration: PoolConfiguration
  private var random: any RandomNumberGenerator
  private var connections: [ConnectionID: Connection] = [:]
  /// Idle connections, the last used at the end.
  private var idle: [ConnectionID] = []
  /// In the order of arrival.
  private var waiters: [WaiterID] = []
  private var connectionsMade = 0
  private var failures = 0
  private var connectAgainAt: Instant?
  private var lastFailure: PostgresError?
  private var isClosed = false

  init(_ configuration: PoolConfiguration, random: any RandomNumberGenerator) {
    self.configuration = configuration
    self.random = random
  }

  // MARK: Callers

  /// `waiter` wants a connection by `deadline`. It waits unless an action answers it.
  mutating func acquire(_ waiter: WaiterID, deadline: Instant, now: Instant) -> [Action] {
    if isClosed { return [.fail(waiter, .poolClosed)] }
    if waiters.isEmpty, let id = idle.popLast() {
      return [lease(id, to: waiter, now: now)]
    }
    if waiters.count >= configuration.acquireQueueMax {
      return [.fail(waiter, queueFull())]
    }
    waiters.append(waiter)
    let limit = min(deadline, now + configuration.acquireTimeout)
    return [.wait(waiter, until: limit)] + connectForWaiters()
  }

  /// The waiter has waited as long as it may; `deadline` is its own.
  mutating func expire(_ waiter: WaiterID, deadline: Instant, now: Instant) -> [Action] {
    guard remove(waiter) else { return [] }
    return [.fail(waiter, waitedTooLong(isPastDeadline: deadline <= now))]
  }

  mutating func cancel(_ waiter: WaiterID) -> [Action] {
    remove(waiter) ? [.fail(waiter, .cancelled)] : []
  }

  /// The holder gave the connection back, in a state to be used again or not.
  mutating func release(_ id: ConnectionID, isUsable: Bool, now: Instant) -> [Action] {
    guard let connection = connections[id] else { return [] }
    if isClosed || !isUsable || connection.retiresAt <= now { return discard(id) }
    return park(id, now)
  }

  // MARK: Connections

  mutating func didConnect(_ id: ConnectionID, now: Instant) -> [Action] {
    guard connections[id] != nil else { return [] }
    failures = 0
    connectAgainAt = nil
    lastFailure = nil
    if isClosed { return discard(id) }
    let age = configuration.lifetimeMax * Double.random(in: 0.9...1, using: &random)
    connections[id]?.retiresAt = now + age
    // After failures one attempt was made for many waiters.
    return park(id, now) + connectForWaiters()
  }

  mutating func didFailToConnect(
    _ id: ConnectionID, _ error: PostgresError, now: Instant
  ) -> [Action] {
    connections[id] = nil
    lastFailure = error
    let factor = Double(1 << min(failures, 16)) * Double.random(in: 0.75...1.25, using: &random)
    failures += 1
    connectAgainAt = now + min(configuration.backoffBase * factor, configuration.backoffMax)
    return []
  }

  /// The connection closed by itself: the server hung up.
  mutating func didClose(_ id: ConnectionID) -> [Action] {
    guard connections.removeValue(forKey: id) != nil else { return [] }
    idle.removeAll { $0 == id }
    return connectForWaiters()
  }

  /// Closes what is unused; what is leased is closed when it comes back.
  mutating func close() -> [Action] {
    isClosed = true
    let actions =
      waiters.map { Action.fail($0, .poolClosed) } + idle.map { Action.close($0) }
    for id in idle { connections[id] = nil }
    waiters = []
    idle = []
    return actions
  }

  // MARK: Time

  /// Does what is due: connections to open and to retire.
  mutating func tick(now: Instant) -> [Action] {
    if isClosed { return [] }
    var actions: [Action] = []
    for id in idle where isDue(id, now) {
      actions.append(.close(id))
      connections[id] = nil
    }
    idle.removeAll { connections[$0] == nil }
    if let connectAgainAt, connectAgainAt <= now { self.connectAgainAt = nil }
    return actions + connectForWaiters() + connectForIdleMin()
  }

  /// When `tick` has something to do next.
  var nextTick: Instant? {
    (idle.compactMap(endOfIdle) + [connectAgainAt].compactMap(\.self)).min()
  }

  /// Counts for metrics.
  var counts: PoolCounts {
    PoolCounts(
      open: connections.values.count { $0.state != .connecting }, idle: idle.count,
      connecting: connections.values.count { $0.state == .connecting }, waiting: waiters.count)
  }

  // MARK: Steps

  private mutating func remove(_ waiter: WaiterID) -> Bool {
    guard let index = waiters.firstIndex(of: waiter) else { return false }
    waiters.remove(at: index)
    return true
  }

  private mutating func lease(
    _ id: ConnectionID, to waiter: WaiterID, now: Instant
  ) -> Action {
    var mustCheck = false
    if case .idle(let since) = connections[id]?.state {
      mustCheck = now - since >= configuration.checkAfterIdle
    }
    connections[id]?.state = .leased
    return .lease(id, to: waiter, mustCheck: mustCheck)
  }

  private mutating func park(_ id: ConnectionID, _ now: Instant) -> [Action] {
    connections[id]?.state = .idle(since: now)
    if !waiters.isEmpty { return [lease(id, to: waiters.removeFirst(), now: now)] }
    idle.append(id)
    return []
  }

  private mutating func discard(_ id: ConnectionID) -> [Action] {
    connections[id] = nil
    return [.close(id)] + (isClosed ? [] : connectForWaiters() + connectForIdleMin())
  }

  private mutating func connectForWaiters() -> [Action] {
    connect(waiters.count - connectingCount)
  }

  private mutating func connectForIdleMin() -> [Action] {
    connect(configuration.idleMin - connections.count)
  }

  /// After a failure one attempt at a time, and none before the wait is over.
  private mutating func connect(_ wanted: Int) -> [Action] {
    if isClosed || connectAgainAt != nil { return [] }
    let room = configuration.connectionsMax - connections.count
    let allowed = failures > 0 ? (connectingCount > 0 ? 0 : 1) : room
    return (0..<max(0, min(wanted, room, allowed))).map { _ in
      connectionsMade += 1
      connections[connectionsMade] = Connection(state: .connecting, retiresAt: .distantFuture)
      return .connect(connectionsMade)
    }
  }

  private var connectingCount: Int { connections.values.count { $0.state == .connecting } }

  private func isDue(_ id: ConnectionID, _ now: Instant) -> Bool {
    endOfIdle(id).map { $0 <= now } ?? false
  }

  private func endOfIdle(_ id: ConnectionID) -> Instant? {
    guard let connection = connections[id], case .idle(let since) = connection.state else {
      return nil
    }
    if connections.count <= configuration.idleMin { return connection.retiresAt }
    return min(connection.retiresAt, since + configuration.idleLifetime)
  }

  private func queueFull() -> PostgresError {
    .exhausted(
      "acquireQueueMax",
      "\(waiters.count) callers wait for a database connection already (acquireQueueMax = "
        + "\(configuration.acquireQueueMax))\(reason)")
  }

  private func waitedTooLong(isPastDeadline: Bool) -> PostgresError {
    let limits = "connectionsMax = \(configuration.connectionsMax)"
    if isPastDeadline {
      return PostgresError(
        .deadlineExceeded,
        "the deadline passed before a database connection became free (\(limits))" + reason)
    }
    return .exhausted(
      "acquireTimeout",
      "no database connection became free in time (acquireTimeout = "
        + "\(configuration.acquireTimeout), \(limits))" + reason)
  }

  private var reason: String {
    lastFailure.map { "; the last attempt to connect failed: \($0.message)" } ?? ""
  }
}

/// What a pool's connections are doing.
package struct PoolCounts: Equatable, Sendable {
  package let open: Int
  package let idle: Int
  package let connecting: Int
  package let waiting: Int

  package init(open: Int, idle: Int, connecting: Int, waiting: Int) {
    self.open = open
    self.idle = idle
    self.connecting = connecting
    self.waiting = waiting
  }
}

extension PostgresError {
  static let poolClosed = PostgresError(.closed, "the database pool is closed")
}
