import Logging
import Reactor

/// Forgets operations that ended long ago, now and then. Replicas do so side by side, at times of their
/// own. Confined to a reactor.
final class OperationRetention {
  /// The longest between two looks; the shortest is half of it.
  static let interval: Duration = .seconds(3_600)
  /// Operations forgotten in one statement.
  static let batch = 500

  private let ledger: OperationLedger
  private let age: Duration
  private let reactor: Reactor
  private let logger: Logger
  private var timer: LoopTimer?

  /// - Parameter age: how long an operation is kept after its end.
  init(ledger: OperationLedger, age: Duration, on reactor: Reactor, logger: Logger) {
    self.ledger = ledger
    self.age = age
    self.reactor = reactor
    self.logger = logger
  }

  func start() {
    let wait = Self.interval * Double.random(in: 0.5...1)
    timer = reactor.loop.schedule(after: wait) {
      self.reactor.loop.spawn(on: self.reactor) { await self.forget() }
      self.start()
    }
  }

  func stop() {
    if let timer { reactor.loop.cancel(timer) }
    timer = nil
  }

  func forget() async {
    var count = 0
    do {
      while true {
        let batch = try await ledger.forget(Self.batch, olderThan: age)
        count += batch
        if batch < Self.batch { break }
      }
    } catch {
      logger.warning("old operations not forgotten", metadata: ["reason": "\(error)"])
    }
    if count > 0 { logger.info("old operations forgotten", metadata: ["count": "\(count)"]) }
  }
}
