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
