package import Configuration
package import Resilience

/// How operations are worked on.
package struct EngineSettings: Sendable {
  /// Operations this process works on at once.
  package var workers = 5
  package var limits = OperationLimits()
  package var lease = LeaseTerms.standard
  /// How long a call of the backend has to end once it was told to.
  package var stopGrace: Duration = .seconds(2)
  package var retry = RetryPolicy()
  /// Of an outage (`FailureCode.isOutage`): over a minute, and what an open breaker adds.
  package var outageRetry = RetryPolicy(maximumDelay: .seconds(30), maximumAttempts: 8)
  /// Of a release that ends its helm-worker, with whatever else that is at: it has two tries.
  package var crashRetry = RetryPolicy(maximumAttempts: 2)
  package var breaker = CircuitBreaker.Settings()
  /// The longest wait before an open breaker is asked again: its dependency may be back earlier.
  package var breakerWaitMax: Duration = .seconds(5)
  /// Times a step is begun in one operation, those that were cut off included.
  package var attemptsMax = 10
  /// So many of them may be cut off, whatever else fails.
  package static let cutOffsMin = 2
  /// From the operation's first claim on; then it fails.
  package var operationTimeout: Duration = .seconds(7_200)
  /// After a crash: go on, or fail.
  package var recovery = PlatformSettings.Recovery.resume
  /// The longest between two looks for work, should a notification be lost.
  package var pollInterval: Duration = .seconds(5)
  /// The longest a step may take; nil for its own.
  package var stepTimeout: Duration?

  package init() {}

  /// Of the workers, those that may be at what nobody asked for.
  var scheduledWorkers: Int { max(1, workers / BackupSchedule.workerShare) }

  func retry(of code: FailureCode) -> RetryPolicy {
    if code == .helmCrashed { return crashRetry }
    return code.isOutage ? outageRetry : retry
  }
}
