import Resilience
import TestKit
import Testing

@Suite struct CircuitBreakerTests {
  private typealias Breaker = CircuitBreaker
  private let settings = CircuitBreaker.Settings(
    failureThreshold: 3, openDuration: .seconds(30), probeTimeout: .seconds(60))
  private let start = MonotonicInstant(nanoseconds: 5_000)

  private func permit(
    _ breaker: inout CircuitBreaker, at now: MonotonicInstant
  ) throws -> CircuitBreaker.Permit {
    let (admission, _) = breaker.admit(at: now)
    guard case .admitted(let permit) = admission else {
      throw Refused(admission: admission)
    }
    return permit
  }

  private struct Refused: Error { let admission: CircuitBreaker.Admission }

  /// A breaker brought to `phase`, the instant it is then, and a permit of that phase: for half-open
  /// the probe's, for open that of the call whose failure opened it.
  private func breaker(
    in phase: CircuitBreaker.Phase
  ) throws -> (CircuitBreaker, MonotonicInstant, CircuitBreaker.Permit) {
    var breaker = CircuitBreaker(settings: settings)
    var last = try permit(&breaker, at: start)
    if phase == .closed { return (breaker, start, last) }
    for _ in 0..<3 {
      last = try permit(&breaker, at: start)
      _ = breaker.record(.failed, for: last, at: start)
    }
    if phase == .open { return (breaker, start, last) }
    let later = start + .seconds(30)
    let probe = try permit(&breaker, at: later)
    return (breaker, later, probe)
  }

  struct Row: Sendable, CustomTestStringConvertible {
    let phase: CircuitBreaker.Phase
    let outcome: CircuitBreaker.Outcome
    let recorded: CircuitBreaker.Recorded
    let after: CircuitBreaker.Phase
    var testDescription: String { "\(phase) + \(outcome) -> \(after)" }
  }

  @Test(
    "every phase meets every outcome",
    arguments: [
      Row(phase: .closed, outcome: .answered, recorded: .counted, after: .closed),
      Row(phase: .closed, outcome: .failed, recorded: .counted, after: .closed),
      Row(phase: .closed, outcome: .inconclusive, recorded: .counted, after: .closed),
      Row(phase: .open, outcome: .answered, recorded: .stale, after: .open),
      Row(phase: .open, outcome: .failed, recorded: .stale, after: .open),
      Row(phase: .open, outcome: .inconclusive, recorded: .stale, after: .open),
      Row(
        phase: .halfOpen, outcome: .answered,
        recorded: .transition(.init(from: .halfOpen, to: .closed)), after: .closed),
      Row(
        phase: .halfOpen, outcome: .failed,
        recorded: .transition(.init(from: .halfOpen, to: .open)), after: .open),
      Row(phase: .halfOpen, outcome: .inconclusive, recorded: .counted, after: .halfOpen),
    ])
  func transitionTable(row: Row) throws {
    var (breaker, now, permit) = try breaker(in: row.phase)
    #expect(breaker.phase == row.phase)
    #expect(breaker.record(row.outcome, for: permit, at: now) == row.recorded)
    #expect(breaker.phase == row.after)
  }

  @Test func opensAtTheThresholdOfFailuresInARow() throws {
    var breaker = CircuitBreaker(settings: settings)
    for _ in 0..<2 {
      let call = try permit(&breaker, at: start)
      #expect(!call.isProbe)
      #expect(breaker.record(.failed, for: call, at: start) == .counted)
    }
    // A throttled or cancelled call neither counts nor forgives; an answer forgives all.
    for outcome in [.inconclusive, .answered, .failed, .failed, .inconclusive] as [Breaker.Outcome]
    {
      let call = try permit(&breaker, at: start)
      #expect(breaker.record(outcome, for: call, at: start) == .counted)
    }
    let last = try permit(&breaker, at: start)
    #expect(
      breaker.record(.failed, for: last, at: start)
        == .transition(.init(from: .closed, to: .open)))
  }

  @Test func openRefusesForExactlyItsDuration() throws {
    var (breaker, now, _) = try breaker(in: .open)
    #expect(breaker.admit(at: now).admission == .rejected(retryAfter: .seconds(30)))
    let last = now + .seconds(30) + .nanoseconds(-1)
    #expect(breaker.admit(at: last).admission == .rejected(retryAfter: .nanoseconds(1)))
    #expect(breaker.phase == .open)
    let (admission, transition) = breaker.admit(at: now + .seconds(30))
    guard case .admitted(let probe) = admission else { throw Refused(admission: admission) }
    #expect(probe.isProbe)
    #expect(transition == .init(from: .open, to: .halfOpen))
  }

  @Test func halfOpenLetsOneCallThrough() throws {
    var (breaker, now, probe) = try breaker(in: .halfOpen)
    for seconds in [0, 1, 59] {
      let (admission, transition) = breaker.admit(at: now + .seconds(seconds))
      #expect(admission == .rejected(retryAfter: .seconds(60 - seconds)))
      #expect(transition == nil)
    }
    #expect(
      breaker.record(.answered, for: probe, at: now)
        == .transition(.init(from: .halfOpen, to: .closed)))
    let next = try permit(&breaker, at: now)
    #expect(!next.isProbe)
  }

  @Test func aFailedProbeOpensForAWholeDuration() throws {
    var (breaker, now, probe) = try breaker(in: .halfOpen)
    let later = now + .seconds(10)
    _ = breaker.record(.failed, for: probe, at: later)
    #expect(breaker.admit(at: later).admission == .rejected(retryAfter: .seconds(30)))
  }

  @Test func anInconclusiveProbeMakesRoomForAnother() throws {
    var (breaker, now, probe) = try breaker(in: .halfOpen)
    #expect(breaker.record(.inconclusive, for: probe, at: now) == .counted)
    let second = try permit(&breaker, at: now)
    #expect(second.isProbe)
    #expect(breaker.record(.answered, for: probe, at: now) == .stale, "the first probe is over")
    #expect(breaker.phase == .halfOpen)
  }

  @Test func aLostProbeIsReplaced() throws {
    var (breaker, now, lost) = try breaker(in: .halfOpen)
    let later = now + .seconds(60)
    let second = try permit(&breaker, at: later)
    #expect(second.isProbe)
    #expect(breaker.record(.failed, for: lost, at: later) == .stale)
    #expect(breaker.phase == .halfOpen)
    _ = breaker.record(.answered, for: second, at: later)
    #expect(breaker.phase == .closed)
  }

  @Test func callsFromBeforeTheOpeningDecideNothing() throws {
    var breaker = CircuitBreaker(settings: settings)
    let early = try permit(&breaker, at: start)
    for _ in 0..<3 {
      _ = breaker.record(.failed, for: try permit(&breaker, at: start), at: start)
    }
    #expect(breaker.record(.answered, for: early, at: start) == .stale)
    #expect(breaker.phase == .open)
    let probe = try permit(&breaker, at: start + .seconds(30))
    #expect(breaker.record(.answered, for: early, at: start + .seconds(30)) == .stale)
    #expect(breaker.phase == .halfOpen)
    _ = breaker.record(.answered, for: probe, at: start + .seconds(30))
    #expect(breaker.record(.failed, for: early, at: start + .seconds(31)) == .stale)
    #expect(breaker.phase == .closed)
  }

  @Test func aPermitIsGoodForOneTransition() throws {
    var (breaker, now, probe) = try breaker(in: .halfOpen)
    _ = breaker.record(.failed, for: probe, at: now)
    #expect(breaker.record(.answered, for: probe, at: now) == .stale)
    #expect(breaker.phase == .open)
  }

  @Test func aThresholdOfOneOpensAtOnce() throws {
    var breaker = CircuitBreaker(settings: .init(failureThreshold: 1))
    let call = try permit(&breaker, at: start)
    #expect(
      breaker.record(.failed, for: call, at: start)
        == .transition(.init(from: .closed, to: .open)))
  }

  /// Against a model that knows only the rules' outcome: never two probes at once, never a call while
  /// open, and a breaker left alone always comes back.
  @Test(arguments: [1, 2, 3, 4, 5] as [UInt64])
  func randomWalkKeepsTheRules(seed: UInt64) throws {
    var generator = SplitMix64(seed: seed)
    var breaker = CircuitBreaker(settings: settings)
    let clock = ManualClock()
    var held: [CircuitBreaker.Permit] = []
    var openUntil = clock.now
    for _ in 0..<2_000 {
      if Bool.random(using: &generator) {
        let before = breaker.phase
        let (admission, transition) = breaker.admit(at: clock.now)
        if case .admitted(let permit) = admission {
          #expect(permit.isProbe == (before != .closed))
          if before == .open { #expect(clock.now >= openUntil) }
          held.append(permit)
        }
        #expect((transition != nil) == (before != breaker.phase))
      } else if let index = held.indices.randomElement(using: &generator) {
        let outcome: CircuitBreaker.Outcome =
          [.answered, .failed, .failed, .inconclusive].randomElement(using: &generator) ?? .failed
        let before = breaker.phase
        let recorded = breaker.record(outcome, for: held.remove(at: index), at: clock.now)
        if case .transition(let transition) = recorded {
          #expect(transition.from == before && transition.to == breaker.phase)
          if transition.to == .open { openUntil = clock.now + settings.openDuration }
        } else {
          #expect(breaker.phase == before)
        }
      }
      clock.advance(by: .milliseconds(Int64.random(in: 0...5_000, using: &generator)))
    }
    clock.advance(by: .seconds(60))
    _ = try permit(&breaker, at: clock.now)
  }
}
