import Testing

@testable import RPC

@Suite struct BackoffTests {
  /// Twice as long with each failure, up to the longest, and spread so that clients which failed together
  /// do not come together.
  @Test(arguments: [
    (0, 0.1), (1, 0.2), (2, 0.4), (6, 6.4), (7, 10.0), (16, 10.0), (17, 10.0), (Int.max, 10.0),
  ])
  func delaysDoubleUpToTheLongest(failures: Int, seconds: Double) throws {
    var configuration = ChannelConfiguration()
    configuration.backoff = .milliseconds(100)
    configuration.backoffMax = .seconds(10)
    let factors = (0..<2000).map { _ in
      configuration.delay(afterFailures: failures) / .seconds(seconds)
    }
    let (least, most) = (try #require(factors.min()), try #require(factors.max()))
    #expect(least > 0.799 && least < 0.85)
    #expect(most < 1.201 && most > 1.15)
  }
}
