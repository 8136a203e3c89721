import Foundation
import Resilience
import TestKit
import Testing

@Suite struct DeadlineTests {
  private let now = MonotonicInstant(nanoseconds: 1_000)

  @Test func remainingIsNeverNegative() {
    let deadline = Deadline(after: .nanoseconds(10), from: now)
    #expect(deadline.remaining(at: now) == .nanoseconds(10))
    #expect(deadline.remaining(at: now + .nanoseconds(10)) == .zero)
    #expect(deadline.remaining(at: now + .seconds(1)) == .zero)
    #expect(deadline.remaining(at: .distantFuture) == .zero)
  }

  @Test func itHasPassedFromItsInstantOn() {
    let deadline = Deadline(after: .nanoseconds(10), from: now)
    #expect(!deadline.hasPassed(at: now + .nanoseconds(9)))
    #expect(deadline.hasPassed(at: now + .nanoseconds(10)))
    #expect(Deadline(after: .seconds(-1), from: now).hasPassed(at: now))
  }

  @Test func theEarlierOfTwo() {
    let near = Deadline(after: .seconds(1), from: now)
    let far = Deadline(after: .seconds(2), from: now)
    #expect(near.earlier(far) == near)
    #expect(far.earlier(near) == near)
  }

  @Test func hugeDurationsSaturate() {
    let deadline = Deadline(after: .seconds(Int64.max), from: now)
    #expect(deadline.instant == .distantFuture)
    #expect(deadline.remaining(at: now) == .nanoseconds(Int64.max - 1_000))
    #expect(Deadline(after: .seconds(Int64.min), from: now).hasPassed(at: now))
  }
}

@Suite struct InstantTests {
  @Test func durationsToNanoseconds() {
    #expect(Duration.milliseconds(1).nanosecondsSaturated == 1_000_000)
    #expect(Duration.milliseconds(-1500).nanosecondsSaturated == -1_500_000_000)
    #expect(Duration(secondsComponent: 0, attosecondsComponent: 999).nanosecondsSaturated == 0)
    #expect(Duration.seconds(Int64.max).nanosecondsSaturated == .max)
    #expect(Duration.seconds(Int64.min).nanosecondsSaturated == .min)
  }

  @Test func wallInstantsCarryOverTheSecond() {
    let instant = WallInstant(seconds: 10, nanoseconds: 900_000_000)
    #expect(
      instant.advanced(by: .milliseconds(200)) == WallInstant(seconds: 11, nanoseconds: 100_000_000)
    )
    #expect(
      instant.advanced(by: .milliseconds(-950)) == WallInstant(seconds: 9, nanoseconds: 950_000_000)
    )
    #expect(instant.advanced(by: .zero) == instant)
    #expect(WallInstant(seconds: 10) < instant)
  }
}

@Suite struct TimeSourceTests {
  /// Read between two readings of what the kernel says elsewhere; /proc/uptime counts suspend, in
  /// hundredths of a second.
  @Test func systemClocksAreBoottimeAndRealtime() throws {
    func uptime() throws -> Double {
      let line = try String(contentsOfFile: "/proc/uptime", encoding: .ascii)
      return try #require(Double(line.prefix { $0 != " " }))
    }
    let source = SystemTimeSource()
    let before = try uptime()
    let now = Double(source.now.nanoseconds) / 1e9
    let after = try uptime()
    #expect(before <= now && now <= after + 0.01)
    let wallBefore = Date().timeIntervalSince1970
    let wall = source.wallNow
    let wallAfter = Date().timeIntervalSince1970
    let seconds = Double(wall.seconds) + Double(wall.nanoseconds) / 1e9
    #expect(wallBefore - 0.001 <= seconds && seconds <= wallAfter + 0.001)
  }

  @Test func manualClockMovesOnlyWhenTold() {
    let clock = ManualClock(
      now: MonotonicInstant(nanoseconds: 5), wallNow: WallInstant(seconds: 100))
    #expect(clock.now == MonotonicInstant(nanoseconds: 5))
    #expect(clock.now == clock.now)
    clock.advance(by: .milliseconds(1500))
    #expect(clock.now == MonotonicInstant(nanoseconds: 1_500_000_005))
    #expect(clock.wallNow == WallInstant(seconds: 101, nanoseconds: 500_000_000))
    clock.setWall(WallInstant(seconds: 3))
    #expect(clock.wallNow == WallInstant(seconds: 3))
    #expect(clock.now == MonotonicInstant(nanoseconds: 1_500_000_005))
  }

  /// The first outputs of the author's reference code for seed 1234567.
  @Test func splitMixGivesTheReferenceSequence() {
    var generator = SplitMix64(seed: 1_234_567)
    let words = (0..<5).map { _ in generator.next() }
    #expect(
      words == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
        4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
      ])
  }
}
