package import Logging
package import Observability
import Reactor

/// Begins the backups that are due, and the tests of them, a few at a time. Replicas do so side by side.
/// Confined to its reactor.
package final class BackupScheduling {
  /// The longest between two questions for what is due.
  package static let questionInterval: Duration = .seconds(30)
  /// Stores that are taken at once.
  static let batch = 5
  /// A backup that is not begun or not ended so long after it was due: somebody should look.
  package static let patience: Duration = .seconds(3_600)
  /// A process begins no tests for so long: while the version before is replaced, its replicas cannot read
  /// them.
  package static let testsWait: Duration = .seconds(600)

  /// How often a store that says nothing itself is backed up, and has a backup tested; zero for never.
  package struct Intervals: Sendable {
    package var backup: Duration
    package var backupTest: Duration

    package init(backup: Duration, backupTest: Duration) {
      self.backup = backup
      self.backupTest = backupTest
    }

    subscript(work: BackupSchedules.Work) -> Duration {
      work == .backup ? backup : backupTest
    }
  }

  private let schedules: BackupSchedules
  private let breakers: DependencyBreakers
  private let intervals: Intervals
  private let logger: Logger
  private let outcomes: Family<Counter>
  private let overdue: Gauge
  private let testsFrom: Instant
  private var isRunning = false

  /// - Parameter breakers: of the same process's operations.
  package init(
    _ schedules: BackupSchedules, breakers: DependencyBreakers, every intervals: Intervals,
    testsAfter wait: Duration = testsWait, logger: Logger, metrics: MetricsRegistry
  ) {
    testsFrom = .now() + wait
    self.schedules = schedules
    self.breakers = breakers
    self.intervals = intervals
    self.logger = logger
    outcomes = metrics.counters(
      "provisioner_due_backups_total",
      help: "Backups and tests of them that were due, by what came of that.",
      labels: ["kind", "outcome"])
    overdue = metrics.gauge(
      "provisioner_backups_overdue",
      help: "Stores whose scheduled backup was due an hour ago and is not made, of all replicas.")
  }

  package func run() async {
    // What another run at the same time finds, it does.
    if isRunning { return }
    isRunning = true
    defer { isRunning = false }
    do {
      for work in BackupSchedules.Work.allCases where work == .backup || .now() >= testsFrom {
        // Each of them ends in its cluster first.
        let found = try await schedules.claim(
          work, every: intervals[work], Self.batch, away: breakers.openClusters(.kubernetes))
        for due in found { await begin(work, on: due) }
      }
      overdue.set(try await schedules.overdue(by: Self.patience))
    } catch {
      logger.warning("due backups not looked for", metadata: ["reason": "\(error)"])
    }
  }

  private func begin(_ work: BackupSchedules.Work, on due: BackupSchedules.Due) async {
    var metadata: Logger.Metadata = ["store": "\(due.store)", "kind": "\(work.rawValue)"]
    do {
      let outcome = try await schedules.begin(work, on: due, every: intervals[work])
      outcomes.with(work.rawValue, outcome.rawValue).increment()
      metadata["outcome"] = "\(outcome)"
      logger.debug("a store was due", metadata: metadata)
    } catch {
      metadata["reason"] = "\(error)"
      logger.warning("what was due is not begun; tried again soon", metadata: metadata)
    }
  }
}
