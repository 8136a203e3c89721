import Configuration
import Resilience
import Testing

@testable import ProvisionerService

/// What the engine makes of the service's settings.
@Suite struct EngineSettingsTests {
  private func settings(_ environment: [String: String]) throws -> EngineSettings {
    let database = ["DATABASE_URL": "postgresql://h/d"]
    return ProvisionerService.settings(
      try Configuration.load(
        PlatformService.provisioner.schema,
        environment: database.merging(environment) { $1 }))
  }

  @Test func withoutAnyTheyAreTheEnginesOwn() throws {
    let (given, own) = (try settings([:]), EngineSettings())
    #expect(given.retry == own.retry)
    #expect(given.outageRetry == own.outageRetry)
    #expect(given.crashRetry == own.crashRetry)
    #expect(given.attemptsMax == own.attemptsMax)
    #expect(given.lease == own.lease)
    #expect(given.workers == own.workers)
  }

  @Test func anOutageHasItsOwnAttempts() throws {
    let settings = try settings([
      "OUTAGE_ATTEMPTS": "40", "OUTAGE_WAIT_MAX": "2m", "STEP_ATTEMPTS": "2",
    ])
    let outage = RetryPolicy(maximumDelay: .seconds(120), maximumAttempts: 40)
    let step = RetryPolicy(maximumAttempts: 2)
    for code in FailureCode.allCases where code != .helmCrashed {
      #expect(settings.retry(of: code) == (code.isOutage ? outage : step), "\(code)")
    }
    #expect(settings.retry(of: .helmCrashed) == settings.crashRetry)
  }

  /// Else it would fail as cut off before it has failed as often as it may.
  @Test(arguments: [(1, 10), (8, 10), (9, 11), (100, 102)])
  func aStepIsBegunMoreOftenThanItMayFail(attempts: Int, begun: Int) throws {
    #expect(try settings(["OUTAGE_ATTEMPTS": "\(attempts)"]).attemptsMax == begun)
  }
}
