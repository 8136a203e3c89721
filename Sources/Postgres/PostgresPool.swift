package import Logging
package import Reactor

/// The connections to one database as one role, confined to a reactor; `close` it when done.
package final class PostgresPool {
  /// Whose role the pool logs in as.
  package enum Role: Sendable {
    /// The role that serves requests; transactions are for one tenant or none.
    case application
    /// The role that works across tenants; it can only call the functions made for it.
    case worker
    /// The owner of the schema: migrations and tests.
    case owner
  }

  package let reactor: Reactor
  private let database: PostgresConfiguration
  private let role: Role
  private let blocking: BlockingPool
  private let logger: Logger
  private var machine: PoolStateMachine
  private var connections: [PoolStateMachine.ConnectionID: PostgresConnection] = [:]
  private var waiting: [PoolStateMachine.WaiterID: Waiting] = [:]
  private var waitersSeen = 0
  private var timer: LoopTimer?

  private typealias LeaseResult = Result<Lease, PostgresError>

  /// A caller that waits; its answer may come before it does.
  private final class Waiting {
    let timer: LoopTimer
    private var resumption: Resumption<LeaseResult>?
    private var result: LeaseResult?

    init(timer: LoopTimer) { self.timer = timer }

    func wait(_ resumption: Resumption<LeaseResult>) {
      if let result { return resumption.resume(result) }
      self.resumption = resumption
    }

    func finish(_ result: LeaseResult) {
      self.result = result
      resumption?.resume(result)
    }
  }

  private struct Lease {
    let id: PoolStateMachine.ConnectionID
    let connection: PostgresConnection
    let mustCheck: Bool
  }

  private var loop: EventLoop { reactor.loop }

  /// The time an unused connection has for its sign of life.
  static let checkTimeout: Duration = .seconds(1)
  /// The wait before a transaction that lost against another is run again, ±50 %.
  static let conflictBackoff: Duration = .milliseconds(10)

  /// To be called from code that is isolated to `reactor`. Opens `idleMin` connections on its own.
  package init(
    _ database: PostgresConfiguration, as role: Role = .application,
    limits: PoolConfiguration = PoolConfiguration(), on reactor: Reactor, blocking: BlockingPool,
    logger: Logger
  ) {
    self.reactor = reactor
    self.database = database
    self.role = role
    self.blocking = blocking
    self.logger = logger
    machine = PoolStateMachine(limits, random: SystemRandomNumberGenerator())
    perform(machine.tick(now: .now()))
  }

  /// Closes what is unused now and the rest as it comes back; callers that wait fail.
  package func close() {
    perform(machine.close())
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  package var counts: PoolCounts { machine.counts }

  // MARK: Work

  /// Runs `body` in a transaction: committed when it returns, rolled back when it throws.
  ///
  /// - Parameter attempts: how often the whole is run while it fails with a serialization failure or a
  ///   deadlock; `body` must then have no effect but on the database.
  package func withTransaction<R>(
    scope: PostgresScope, isolation: PostgresIsolation = .readCommitted, deadline: Instant,
    attempts: Int = 1, _ body: (PostgresTransaction) async throws -> R
  ) async throws -> R {
    try check(scope)
    var attempt = 1
    while true {
      do {
        return try await withLease(deadline: deadline) { connection in
          try await PostgresPool.run(
            PostgresTransaction(
              connection: connection, scope: scope, isolation: isolation, deadline: deadline),
            body)
        }
      } catch let error as PostgresError
        where attempt < attempts && error.sqlState?.isConcurrencyFailure ?? false
      {
        attempt += 1
        let wait = PostgresPool.conflictBackoff * Double.random(in: 0.5...1.5)
        await pause(until: min(deadline, .now() + wait))
      }
    }
  }

  /// Runs statements that are known beforehand in a transaction of their own and in one round trip.
  ///
  /// - Returns: their results in order.
  @discardableResult
  package func pipeline(
    scope: PostgresScope, deadline: Instant, _ build: (inout PostgresPipeline) -> Void
  ) async throws(PostgresError) -> [PostgresRows] {
    var pipeline = PostgresPipeline()
    build(&pipeline)
    return try await run(pipeline.statements, scope: scope, deadline: deadline)
  }

  /// Runs one statement in a transaction of its own and in one round trip.
  @discardableResult
  package func query(
    scope: PostgresScope, _ sql: String, _ parameters: [PostgresParameter] = [],
    deadline: Instant
  ) async throws(PostgresError) -> PostgresRows {
    try await run([PostgresStatement(sql, parameters)], scope: scope, deadline: deadline)[0]
  }

  /// Lends a connection without a transaction; no tenant is set.
  package func withConnection<R>(
    deadline: Instant, _ body: (PostgresConnection) async throws -> R
  ) async throws -> R {
    try await withLease(deadline: deadline, body)
  }

  private func run(
    _ statements: [PostgresStatement], scope: PostgresScope, deadline: Instant
  ) async throws(PostgresError) -> [PostgresRows] {
    try check(scope)
    let lease = try await acquire(deadline: deadline)
    defer { release(lease) }
    // Up to their synchronisation point the statements are one transaction, the setting's too.
    guard let prologue = scope.statement else {
      return try await lease.connection.run(statements, deadline: deadline)
    }
    do throws(PostgresError) {
      let results = try await lease.connection.run([prologue] + statements, deadline: deadline)
      return Array(results.dropFirst())
    } catch {
      var error = error
      if let statement = error.statement { error.statement = max(0, statement - 1) }
      throw error
    }
  }

  private static func run<R>(
    _ transaction: PostgresTransaction, _ body: (PostgresTransaction) async throws -> R
  ) async throws -> R {
    do {
      let value = try await body(transaction)
      try await transaction.commit()
      return value
    } catch {
      await transaction.rollback()
      throw error
    }
  }

  private func check(_ scope: PostgresScope) throws(PostgresError) {
    switch (scope, role) {
    case (.tenant(""), _):
      throw PostgresError(.misuse, "the tenant of a transaction's scope is empty")
    case (.tenant, .worker):
      throw PostgresError(.misuse, "a tenant's transaction needs a pool of the application role")
    case (.worker, .application):
      throw PostgresError(.misuse, "work across tenants needs a pool of the worker role")
    default: return
    }
  }

  // MARK: Leases

  private func withLease<R>(
    deadline: Instant, _ body: (PostgresConnection) async throws -> R
  ) async throws -> R {
    let lease = try await acquire(deadline: deadline)
    defer { release(lease) }
    return try await body(lease.connection)
  }

  private func acquire(deadline: Instant) async throws(PostgresError) -> Lease {
    loop.checkIsolated()
    while true {
      if Task.isCancelled { throw .cancelled }
      let lease = try await nextLease(deadline).get()
      if await isAlive(lease) { return lease }
      release(lease)
    }
  }

  private func nextLease(_ deadline: Instant) async -> LeaseResult {
    waitersSeen += 1
    let waiter = waitersSeen
    let actions = machine.acquire(waiter, deadline: deadline, now: .now())
    switch actions.first {
    case .lease(let id, to: waiter, let mustCheck): return lease(id, mustCheck)
    case .fail(waiter, let error): return .failure(error)
    case .wait(waiter, let limit):
      let waiting = Waiting(
        timer: loop.schedule(at: limit) { [unowned self] in
          perform(machine.expire(waiter, deadline: deadline, now: .now()))
        })
      self.waiting[waiter] = waiting
      perform(Array(actions.dropFirst()))
      let onCancel = { self.perform(self.machine.cancel(waiter)) }
      return await suspended(on: reactor, onCancel: onCancel) { waiting.wait($0) }
    default: preconditionFailure("the pool answered another waiter")
    }
  }

  private func lease(_ id: PoolStateMachine.ConnectionID, _ mustCheck: Bool) -> LeaseResult {
    guard let connection = connections[id] else {
      return .failure(PostgresError(.connectionLost, "the connection was closed meanwhile"))
    }
    return .success(Lease(id: id, connection: connection, mustCheck: mustCheck))
  }

  private func isAlive(_ lease: Lease) async -> Bool {
    guard lease.connection.isStillOpen() else { return false }
    if !lease.mustCheck { return true }
    do {
      try await lease.connection.ping(deadline: .now() + PostgresPool.checkTimeout)
      return true
    } catch {
      lease.connection.close()
      return false
    }
  }

  private func release(_ lease: Lease) {
    let isUsable = !lease.connection.isClosed && lease.connection.isIdle
    perform(machine.release(lease.id, isUsable: isUsable, now: .now()))
  }

  // MARK: The machine's actions

  private func perform(_ actions: [PoolStateMachine.Action]) {
    for action in actions {
      switch action {
      case .connect(let id): connect(id)
      case .close(let id): connections.removeValue(forKey: id)?.close()
      case .lease(let id, let waiter, let mustCheck): answer(waiter, lease(id, mustCheck))
      case .fail(let waiter, let error): answer(waiter, .failure(error))
      case .wait: preconditionFailure("only a new waiter is told to wait")
      }
    }
    if timer == nil { scheduleTick() }
  }

  private func answer(_ waiter: PoolStateMachine.WaiterID, _ result: LeaseResult) {
    guard let waiting = waiting.removeValue(forKey: waiter) else { return }
    loop.cancel(waiting.timer)
    waiting.finish(result)
  }

  private func scheduleTick() {
    if let timer { loop.cancel(timer) }
    timer = machine.nextTick.map { next in
      loop.schedule(at: next) { [unowned self] in
        timer = nil
        perform(machine.tick(now: .now()))
      }
    }
  }

  private func connect(_ id: PoolStateMachine.ConnectionID) {
    loop.spawn(on: reactor) {
      do throws(PostgresError) {
        let connection = try await PostgresConnection.connect(
          self.database, on: self.reactor, blocking: self.blocking, logger: self.logger)
        self.didConnect(id, connection)
      } catch {
        self.logger.warning("\(error)")
        self.perform(self.machine.didFailToConnect(id, error, now: .now()))
        self.scheduleTick()
      }
    }
  }

  private func didConnect(_ id: PoolStateMachine.ConnectionID, _ connection: PostgresConnection) {
    connections[id] = connection
    connection.onClose = { [weak self] reason in
      guard let self, connections.removeValue(forKey: id) != nil else { return }
      logger.info("a database connection closed: \(reason.message)")
      perform(machine.didClose(id))
    }
    perform(machine.didConnect(id, now: .now()))
  }

  private func pause(until instant: Instant) async {
    await withUnsafeContinuation { continuation in
      _ = loop.schedule(at: instant) { continuation.resume() }
    }
  }
}
