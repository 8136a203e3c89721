package import Logging
package import Observability
package import Reactor

/// Gives up backups that are too old or too many, and removes the files of those that were given up:
/// the file first, then what is known of it. Replicas do so side by side. Confined to its reactor.
package final class BackupRetention {
  package static let interval: Duration = .seconds(600)
  /// Backups given up, or removed, in one go.
  static let batch = 100
  /// A file whose removal failed, or is not to begin yet, is left alone for so long.
  package static let patience: Duration = .seconds(120)

  private let ledger: BackupLedger
  private let backend: any StoreBackend
  private let age: Duration
  private let kept: Int
  private let reactor: Reactor
  private let logger: Logger
  private let removed: Counter
  private let failed: Counter
  private var isRunning = false

  /// - Parameters:
  ///   - age: how long a backup is kept.
  ///   - kept: of one store.
  package init(
    ledger: BackupLedger, backend: any StoreBackend, age: Duration, kept: Int, on reactor: Reactor,
    logger: Logger, metrics: MetricsRegistry
  ) {
    self.ledger = ledger
    self.backend = backend
    self.age = age
    self.kept = kept
    self.reactor = reactor
    self.logger = logger
    let removals = metrics.counters(
      "provisioner_backup_removals_total", help: "Removals of backups' files, by outcome.",
      labels: ["outcome"])
    removed = removals.with("removed")
    failed = removals.with("failed")
  }

  /// Runs soon, whatever the interval.
  package func runSoon() {
    reactor.loop.spawn(on: reactor) { await self.run() }
  }

  package func run() async {
    // What another run at the same time finds, it does.
    if isRunning { return }
    isRunning = true
    defer { isRunning = false }
    do {
      while try await ledger.expire(olderThan: age, beyond: kept, Self.batch) >= Self.batch {}
      while true {
        let backups = try await ledger.removable(Self.batch, patience: Self.patience)
        for backup in backups { try await remove(backup) }
        if backups.count < Self.batch { break }
      }
    } catch {
      logger.warning("backups not looked after", metadata: ["reason": "\(error)"])
    }
  }

  private func remove(_ backup: StoreBackup) async throws {
    do throws(ProvisionFailure) {
      try await backend.removeBackup(backup)
    } catch {
      failed.increment()
      logger.warning(
        "the file of a backup is not removed; tried again later",
        metadata: ["backup": "\(backup.id)", "reason": "\(error)"])
      return
    }
    try await ledger.forget(backup)
    removed.increment()
    logger.info("backup removed", metadata: ["backup": "\(backup.id)"])
  }
}
