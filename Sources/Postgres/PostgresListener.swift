package import Logging
package import Reactor

/// A connection of its own that hears NOTIFY, and comes back by itself when it is lost.
///
/// Confined to a reactor; `close` it when done. Notifications sent while there was no connection are
/// lost, so each subscriber is told when some may have been: also at its start.
package final class PostgresListener {
  package enum Event: Equatable, Sendable {
    /// The payload of a notification.
    case notification(String)
    /// The channel is being listened to from now on; what was sent before was not heard.
    case mayHaveMissed
  }

  /// Channels of one listener.
  static let channelsMax = 64
  /// A connection that heard nothing for so long is asked for a sign of life, as often.
  static let checkInterval: Duration = .seconds(30)
  static let checkTimeout: Duration = .seconds(5)
  static let backoffBase: Duration = .milliseconds(100)
  static let backoffMax: Duration = .seconds(5)

  private let database: PostgresConfiguration
  private let reactor: Reactor
  private let blocking: BlockingPool
  private let logger: Logger
  private var handlers: [String: (Event) -> Void] = [:]
  private var connection: PostgresConnection?
  private var task: Task<Void, Never>?
  /// Ends the present wait of `run`.
  private var wake: Resumption<Void>?
  /// There is something to do; the wait, present or next, is over.
  private var isAwake = false
  private var wakeTimer: LoopTimer?
  private var unheard: Set<String> = []
  private var isClosed = false

  private var loop: EventLoop { reactor.loop }

  /// To be called from code that is isolated to `reactor`.
  package init(
    _ database: PostgresConfiguration, on reactor: Reactor, blocking: BlockingPool, logger: Logger
  ) {
    self.database = database
    self.reactor = reactor
    self.blocking = blocking
    self.logger = logger
  }

  /// Calls `handler` on the reactor with what is sent to `channel`, first with `mayHaveMissed`.
  ///
  /// - Throws: `misuse` where the channel has a handler already or is no name,
  ///   `limitReached("channelsMax")`.
  package func listen(
    to channel: String, _ handler: @escaping (Event) -> Void
  ) throws(PostgresError) {
    _ = try SQL.identifier(channel)
    if isClosed { throw PostgresError(.closed, "the listener is closed") }
    if handlers[channel] != nil {
      throw PostgresError(.misuse, "the channel '\(channel)' has a handler already")
    }
    if handlers.count >= PostgresListener.channelsMax {
      throw .limitReached(
        "channelsMax", "a listener has \(handlers.count) channels (channelsMax) already")
    }
    handlers[channel] = handler
    unheard.insert(channel)
    if task == nil {
      task = loop.spawn(on: reactor) { await self.run() }
    } else {
      wakeUp()
    }
  }

  package func close() {
    isClosed = true
    handlers = [:]
    task?.cancel()
    connection?.close()
    wakeUp()
  }

  // MARK: The connection's life

  private func run() async {
    var failures = 0
    while !isClosed {
      do throws(PostgresError) {
        let connection = try await open()
        failures = 0
        try await serve(connection)
      } catch {
        connection?.close()
        connection = nil
        if isClosed { return }
        logger.warning("the database listener lost its connection: \(error)")
        let factor = Double(1 << min(failures, 16)) * Double.random(in: 0.75...1.25)
        failures += 1
        isAwake = false
        await wait(min(PostgresListener.backoffBase * factor, PostgresListener.backoffMax))
      }
    }
  }

  private func open() async throws(PostgresError) -> PostgresConnection {
    let connection = try await PostgresConnection.connect(
      database, on: reactor, blocking: blocking, logger: logger)
    self.connection = connection
    if isClosed { throw PostgresError(.closed, "the listener is closed") }
    unheard = Set(handlers.keys)
    connection.onNotification = { [unowned self] notification in
      handlers[notification.channel]?(.notification(notification.payload))
    }
    connection.onClose = { [weak self] _ in self?.wakeUp() }
    return connection
  }

  /// Subscribes to what is new and shows that the server is there, until it is not.
  private func serve(_ connection: PostgresConnection) async throws(PostgresError) {
    while !isClosed {
      isAwake = connection.isClosed
      let deadline = Instant.now() + PostgresListener.checkTimeout
      let channels = unheard.sorted()
      unheard = []
      if channels.isEmpty {
        try await connection.ping(deadline: deadline)
      } else {
        var statements: [PostgresStatement] = []
        for channel in channels {
          statements.append(PostgresStatement("LISTEN \(try SQL.identifier(channel))"))
        }
        _ = try await connection.run(statements, deadline: deadline)
        for channel in channels { handlers[channel]?(.mayHaveMissed) }
      }
      await wait(PostgresListener.checkInterval)
    }
  }

  private func wait(_ duration: Duration) async {
    let onCancel = { self.wakeUp() }
    await suspended(on: reactor, onCancel: onCancel) { [self] resumption in
      if isAwake { return resumption.resume(()) }
      wake = resumption
      wakeTimer = loop.schedule(after: duration) { [unowned self] in wakeUp() }
    }
  }

  private func wakeUp() {
    isAwake = true
    guard let wake else { return }
    self.wake = nil
    if let wakeTimer { loop.cancel(wakeTimer) }
    wakeTimer = nil
    wake.resume(())
  }
}
