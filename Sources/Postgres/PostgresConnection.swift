import Glibc
package import Logging
package import Reactor

/// One connection to PostgreSQL, confined to a reactor; `close` it when done.
///
/// Every call is a batch of statements that travels in one flush and is answered in one round trip.
/// Calls may overlap: they are answered in order. Outside a transaction the statements of one call
/// take effect together or not at all.
package final class PostgresConnection: ReadinessHandler {
  package let reactor: Reactor
  package let configuration: PostgresConfiguration
  private let blocking: BlockingPool
  private let logger: Logger
  private let libpq: LibpqConnection
  private let descriptor: Int32
  private var parameters = EncodedParameters()
  private(set) var cache: StatementCache
  private var inFlight: [Batch] = []
  private var batchesSent = 0
  private var isWatchingWrites = false
  /// The server said that it ends the session, the end itself is still to come.
  private var isEnding = false
  private var closeReason: PostgresError?

  /// Called on the reactor, once, when the connection has closed for whatever reason.
  var onClose: ((PostgresError) -> Void)?
  /// Called on the reactor for each notification of a channel listened to.
  var onNotification: ((PostgresNotification) -> Void)?

  private var loop: EventLoop { reactor.loop }

  private init(
    libpq: LibpqConnection, configuration: PostgresConfiguration, reactor: Reactor,
    blocking: BlockingPool, logger: Logger
  ) {
    self.libpq = libpq
    self.configuration = configuration
    self.reactor = reactor
    self.blocking = blocking
    self.logger = logger
    descriptor = libpq.descriptor
    cache = StatementCache(countMax: configuration.preparedStatementsMax)
  }

  /// Connects from code that is isolated to `reactor`, where the connection stays.
  package static func connect(
    _ configuration: PostgresConfiguration, on reactor: Reactor, blocking: BlockingPool,
    logger: Logger, deadline: Instant = .distantFuture
  ) async throws(PostgresError) -> PostgresConnection {
    reactor.loop.checkIsolated()
    let libpq = try await ConnectionAttempt.open(
      configuration, reactor: reactor, blocking: blocking, deadline: deadline)
    let connection = PostgresConnection(
      libpq: libpq, configuration: configuration, reactor: reactor, blocking: blocking,
      logger: logger)
    libpq.onNotice = { [unowned connection] severity, sqlState, message in
      let state = SQLState(rawValue: sqlState)
      if state == .adminShutdown || state == .crashShutdown { connection.isEnding = true }
      logger.log(
        level: severity == "WARNING" ? .warning : .debug, "\(message)",
        metadata: ["severity": "\(severity)", "sqlstate": "\(sqlState)"])
    }
    do throws(SystemError) {
      try reactor.loop.register(connection.descriptor, for: .readable, connection)
    } catch {
      throw PostgresError(.connectFailed, "\(error)")
    }
    return connection
  }

  package var isClosed: Bool { closeReason != nil }

  /// The process that serves this connection, as in pg_stat_activity.
  package var backendProcess: Int32 { libpq.backendProcess }

  var transactionState: LibpqConnection.TransactionState { libpq.transactionState }

  var isIdle: Bool { inFlight.isEmpty && libpq.transactionState == .idle }

  /// Whether the server has not hung up; for a connection that was idle.
  func isStillOpen() -> Bool {
    // Twice: what the server says before it closes hides the end behind it.
    for _ in 0..<2 where !isClosed && inFlight.isEmpty { receive() }
    return !isClosed
  }

  // MARK: Calls

  /// Runs one statement.
  ///
  /// Repeated statements are prepared by themselves. At the deadline, or when the task is cancelled,
  /// the server is told to stop; a result that comes all the same is returned.
  @discardableResult
  package func query(
    _ sql: String, _ parameters: [PostgresParameter] = [], deadline: Instant
  ) async throws(PostgresError) -> PostgresRows {
    try await run([PostgresStatement(sql, parameters)], deadline: deadline)[0]
  }

  /// Runs several statements in one round trip; their results in order. After a failure the later
  /// ones are skipped; the error says which one failed.
  @discardableResult
  package func pipeline(
    deadline: Instant, _ build: (inout PostgresPipeline) -> Void
  ) async throws(PostgresError) -> [PostgresRows] {
    var pipeline = PostgresPipeline()
    build(&pipeline)
    return try await run(pipeline.statements, deadline: deadline)
  }

  /// Runs a script of several statements without parameters. No other call may be under way.
  package func script(_ sql: String, deadline: Instant) async throws(PostgresError) {
    try checkUsable(deadline)
    guard inFlight.isEmpty, libpq.exitPipeline() else {
      throw PostgresError(.misuse, "a script needs the connection for itself")
    }
    let batch = makeBatch(isScript: true)
    guard libpq.sendScript(sql) else { throw sendFailed(batch) }
    defer { if !isClosed && !libpq.enterPipeline() { close() } }
    _ = try await answer(to: batch, deadline: deadline)
  }

  /// One round trip without a statement: shows that the server is there.
  package func ping(deadline: Instant) async throws(PostgresError) {
    _ = try await run([], deadline: deadline)
  }

  func run(
    _ statements: [PostgresStatement], deadline: Instant, ignoresCancellation: Bool = false,
    endsTransaction: Bool = false
  ) async throws(PostgresError) -> [PostgresRows] {
    try checkUsable(deadline)
    if !ignoresCancellation && Task.isCancelled { throw .cancelled }
    try check(statements)
    let batch = try send(statements, endsTransaction: endsTransaction)
    return try await answer(
      to: batch, deadline: deadline, ignoresCancellation: ignoresCancellation)
  }

  /// The SCRAM verifier for a password.
  func encryptedPassword(_ password: String, user: String) throws(PostgresError) -> String {
    guard let verifier = libpq.encryptedPassword(password, user: user) else {
      throw PostgresError(.misuse, "the password of \(user) cannot be encrypted")
    }
    return verifier
  }

  /// Closes at once; calls under way fail.
  package func close() {
    close(PostgresError(.closed, "the database connection was closed"))
  }

  // MARK: Sending

  private func checkUsable(_ deadline: Instant) throws(PostgresError) {
    loop.checkIsolated()
    if let closeReason {
      // Nothing is sent; of a transaction between two statements all is undone.
      throw PostgresError(
        closeReason.kind == .connectionLost ? .connectionLost : .closed,
        "the database connection is closed: \(closeReason.message)")
    }
    if inFlight.count >= configuration.callsInFlightMax {
      throw .exhausted(
        "callsInFlightMax",
        "\(inFlight.count) calls wait on one database connection (callsInFlightMax = "
          + "\(configuration.callsInFlightMax))")
    }
    if deadline <= .now() { throw .deadlineExceeded }
  }

  private func check(_ statements: [PostgresStatement]) throws(PostgresError) {
    if statements.count > configuration.pipelineStatementsMax {
      throw .limitReached(
        "pipelineStatementsMax",
        "a pipeline of \(statements.count) statements (pipelineStatementsMax = "
          + "\(configuration.pipelineStatementsMax)): send it in parts, or unnest arrays")
    }
    for (index, statement) in statements.enumerated() {
      do throws(PostgresError) {
        if statement.sql.utf8.contains(0) {
          throw PostgresError(.misuse, "a statement with a NUL character")
        }
        try PostgresParameter.check(statement.parameters)
      } catch {
        var error = error
        error.statement = index
        throw error
      }
    }
  }

  private func makeBatch(isScript: Bool = false, endsTransaction: Bool = false) -> Batch {
    batchesSent += 1
    let isOutside = inFlight.isEmpty && libpq.transactionState == .idle
    return Batch(
      id: batchesSent, outcomeIsOpen: isOutside || endsTransaction, isScript: isScript)
  }

  private func send(
    _ statements: [PostgresStatement], endsTransaction: Bool
  ) throws(PostgresError) -> Batch {
    try sendDeallocations()
    let batch = makeBatch(endsTransaction: endsTransaction)
    batch.steps.reserveCapacity(statements.count)
    for statement in statements {
      guard send(statement, in: batch) else { throw sendFailed(batch) }
    }
    guard libpq.sendSync() else { throw sendFailed(batch) }
    return batch
  }

  private func send(_ statement: PostgresStatement, in batch: Batch) -> Bool {
    parameters.encode(statement.parameters)
    switch cache.plan(statement.sql, statement.parameters, batch: batch.id) {
    case .unnamed:
      batch.steps.append(.statement(preparedSQL: nil))
      return libpq.send(statement.sql, parameters)
    case .prepare(let name):
      batch.steps.append(.preparation(statement.sql))
      batch.steps.append(.statement(preparedSQL: statement.sql))
      return libpq.sendPrepare(name, statement.sql, parameters)
        && libpq.sendPrepared(name, parameters)
    case .prepared(let name):
      batch.steps.append(.statement(preparedSQL: statement.sql))
      return libpq.sendPrepared(name, parameters)
    }
  }

  /// Tells the server to forget statements that left the cache: not inside a transaction, where a
  /// failure before it would lose the request.
  private func sendDeallocations() throws(PostgresError) {
    guard !cache.evicted.isEmpty, isIdle else { return }
    let batch = makeBatch()
    parameters.encode([])
    for name in cache.takeEvicted() {
      batch.steps.append(.ignored)
      guard libpq.send("DEALLOCATE \(name)", parameters) else { throw sendFailed(batch) }
    }
    guard libpq.sendSync() else { throw sendFailed(batch) }
    inFlight.append(batch)
  }

  private func sendFailed(_ batch: Batch) -> PostgresError {
    let reason = libpq.errorMessage
    close(PostgresError(.connectionLost, reason))
    return .connectionLost(reason, outcomeUnknown: batch.outcomeIsOpen)
  }

  /// Writes what is left; watches the socket for more room where it does not take all.
  private func flush() {
    guard let hasMore = libpq.flush() else {
      // The server may have said why before it hung up.
      receive()
      return close(PostgresError(.connectionLost, libpq.errorMessage))
    }
    if hasMore == isWatchingWrites { return }
    isWatchingWrites = hasMore
    do throws(SystemError) {
      try loop.modify(descriptor, for: hasMore ? [.readable, .writable] : .readable)
    } catch {
      close(PostgresError(.connectionLost, "\(error)"))
    }
  }

  // MARK: Waiting

  private func answer(
    to batch: Batch, deadline: Instant, ignoresCancellation: Bool = false
  ) async throws(PostgresError) -> [PostgresRows] {
    inFlight.append(batch)
    if deadline != .distantFuture {
      batch.timer = loop.schedule(at: deadline) { [unowned self] in
        interrupt(batch, .deadlineExceeded)
      }
    }
    flush()
    if let answer = batch.answer { return try answer.get() }
    let onCancel = { if !ignoresCancellation { self.interrupt(batch, .cancelled) } }
    let outcome: Batch.Outcome = await suspended(on: reactor, onCancel: onCancel) {
      batch.wait($0)
    }
    return try outcome.get()
  }

  /// The caller of `batch` wants no answer any more. Where the server is at it, it is told to stop;
  /// a later batch is stopped when its turn comes.
  private func interrupt(_ batch: Batch, _ reason: PostgresError) {
    guard batch.answer == nil, batch.interruption == nil, !isClosed else { return }
    batch.interruption = reason
    if inFlight.first === batch {
      cancelOnServer(batch, reason)
    } else {
      finish(batch, .failure(reason))
    }
  }

  /// Nothing else is answered before the request has been delivered: it must not hit a later batch.
  /// A connection whose server does not stop within `cancelGrace` is closed.
  private func cancelOnServer(_ batch: Batch, _ reason: PostgresError) {
    guard let cancellation = libpq.cancellation() else { return close() }
    batch.cancellation = .running
    if let timer = batch.timer { loop.cancel(timer) }
    batch.timer = loop.schedule(after: configuration.cancelGrace) { [unowned self] in
      close(reason)
    }
    let blocking = blocking
    let logger = logger
    loop.spawn(on: reactor) {
      do {
        if let problem = try await blocking.run({ cancellation.send() }) {
          logger.warning("a database statement could not be cancelled: \(problem)")
        }
      } catch {
        logger.warning("a database statement could not be cancelled: \(error)")
      }
      batch.cancellation = .done
      self.finishAnswered()
      self.takeResults()
    }
  }

  // MARK: Receiving

  package func ready(_ readiness: Readiness) {
    receive()
    if !isClosed && isWatchingWrites { flush() }
  }

  private func receive() {
    if isClosed || !isWithinResultLimit() { return }
    let isOpen = libpq.consumeInput()
    takeResults()
    while let notification = libpq.nextNotification() { onNotification?(notification) }
    if !isOpen {
      close(PostgresError(.connectionLost, libpq.errorMessage))
    } else if isEnding && inFlight.isEmpty {
      close(PostgresError(.connectionLost, "the server ended the session"))
    }
  }

  /// Counts the bytes of long answers: libpq holds a result in memory whole.
  private func isWithinResultLimit() -> Bool {
    guard let batch = inFlight.first else { return true }
    batch.reads += 1
    if batch.reads < 4 { return true }
    batch.bytesRead += unreadBytes(of: descriptor)
    if batch.bytesRead <= configuration.resultBytesMax { return true }
    close(
      .limitReached(
        "resultBytesMax",
        "a result has more than \(configuration.resultBytesMax) bytes (resultBytesMax): "
          + "ask for fewer rows"))
    return false
  }

  private func takeResults() {
    while !isClosed, let batch = inFlight.first, !batch.isAnswered {
      switch libpq.next() {
      case .busy: return
      case .result(let result): batch.take(result, &cache)
      case .end: if !batch.endStep() { return }
      }
      if batch.isAnswered { finishAnswered() }
    }
  }

  private func finishAnswered() {
    while !isClosed, let batch = inFlight.first, batch.isAnswered, batch.cancellation != .running {
      inFlight.removeFirst()
      finish(batch, batch.outcome)
      if let next = inFlight.first, let reason = next.interruption { cancelOnServer(next, reason) }
    }
  }

  private func finish(_ batch: Batch, _ outcome: Batch.Outcome) {
    if let timer = batch.timer { loop.cancel(timer) }
    batch.timer = nil
    batch.finish(outcome)
  }

  private func close(_ reason: PostgresError) {
    if isClosed { return }
    closeReason = reason
    loop.deregister(descriptor)
    libpq.onNotice = nil
    libpq.close()
    let waiting = inFlight
    inFlight = []
    for batch in waiting { finish(batch, outcome(of: batch, reason)) }
    onNotification = nil
    let onClose = onClose
    self.onClose = nil
    onClose?(reason)
  }

  /// What the caller of a batch is told that was under way when the connection closed.
  private func outcome(of batch: Batch, _ reason: PostgresError) -> Batch.Outcome {
    if batch.isAnswered { return batch.outcome }
    if let error = batch.error { return .failure(batch.interruption ?? error) }
    if let interruption = batch.interruption {
      return .failure(
        batch.outcomeIsOpen
          ? .connectionLost(interruption.message, outcomeUnknown: true) : interruption)
    }
    guard reason.kind == .connectionLost else { return .failure(reason) }
    return .failure(.connectionLost(reason.message, outcomeUnknown: batch.outcomeIsOpen))
  }
}

/// What another session said with NOTIFY.
package struct PostgresNotification: Hashable, Sendable {
  package let channel: String
  package let payload: String
  /// The process of the session that sent it.
  package let process: Int32
}

/// Bytes that wait in a socket's receive buffer.
private func unreadBytes(of descriptor: Int32) -> Int {
  var count: Int32 = 0
  return ioctl(descriptor, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
}
