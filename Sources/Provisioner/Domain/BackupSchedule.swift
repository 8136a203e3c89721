/// How often the platform backs a store up by itself.
package enum BackupSchedule: Equatable, Sendable {
  /// As the platform does where nothing else is said.
  case standard
  case never
  case every(Duration)

  package static let intervalMin: Duration = .seconds(3_600)
  package static let intervalMax: Duration = .seconds(30 * 86_400)
  /// After a backup or a test that was scheduled and came to nothing: no longer than any interval.
  package static let retryWait: Duration = intervalMin
  static let retryWords = "about an hour later"
  /// Of the workers of a replica, and of each limit of what is under way (`claim_operations`), what
  /// is scheduled may take one of so many; one worker at least.
  package static let workerShare = 2

  /// Between two backups; zero for never.
  ///
  /// - Parameter standard: as the platform does.
  package func interval(else standard: Duration) -> Duration {
    switch self {
    case .standard: standard
    case .never: .zero
    case .every(let own): own
    }
  }

  /// Whether scheduled work that failed of this is done again after `retryWait`. What will not change by
  /// itself, or took as long as it may, waits for its time. After a backup that is good for nothing the
  /// next one is tested soon.
  package static func isRetried(_ kind: OperationKind, _ problem: StoreProblem) -> Bool {
    let code = FailureCode(rawValue: problem.code)
    if kind == .backupTest, let code, FailureCode.ofBackups.contains(code) { return true }
    return problem.isRetryable && code != .jobTimedOut
  }

  /// - Throws: `InvalidField`.
  package func check(at path: String) throws(InvalidField) {
    guard case .every(let interval) = self else { return }
    guard interval >= Self.intervalMin, interval <= Self.intervalMax,
      interval == .seconds(interval.components.seconds)
    else {
      throw InvalidField(
        path,
        "give \(Self.intervalMin.components.seconds)s (an hour) to "
          + "\(Self.intervalMax.components.seconds)s (30 days), in whole seconds")
    }
  }
}
