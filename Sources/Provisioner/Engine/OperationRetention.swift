package import Logging

/// Forgets operations that ended long ago. Confined to a reactor.
package final class OperationRetention {
  static let interval: Duration = .seconds(3_600)
  /// Operations forgotten in one statement.
  static let batch = 500

  private let ledger: OperationLedger
  private let age: Duration
  private let logger: Logger

  /// - Parameter age: how long an operation is kept after its end.
  package init(ledger: OperationLedger, age: Duration, logger: Logger) {
    self.ledger = ledger
    self.age = age
    self.logger = logger
  }

  package func forget() async {
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
