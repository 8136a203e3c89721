/// Stops calling a peer that keeps failing, and asks it again with one call at a time.
///
/// ```
///   closed --(failures in a row reach the threshold)--> open --(openDuration over)--> halfOpen
///     ^                                                  ^                              |
///     |                                                  +------(the probe failed)------+
///     +-------------------------(the probe was answered)--------------------------------+
/// ```
/// A pure state machine: `admit` before a call, `record` after it, `now` is passed in. Calls admitted
/// before a transition say nothing about the phase after it; their late outcomes are ignored.
package struct CircuitBreaker: Sendable {
  package struct Settings: Sendable, Hashable {
    /// Failures in a row that open the breaker.
    package let failureThreshold: Int
    /// How long it then refuses every call.
    package let openDuration: Duration
    /// How long a probe may take before another is let through: a caller that died with its probe
    /// must not keep the breaker half-open for ever.
    package let probeTimeout: Duration

    package init(
      failureThreshold: Int = 5, openDuration: Duration = .seconds(30),
      probeTimeout: Duration = .seconds(60)
    ) {
      precondition(failureThreshold >= 1, "the failure threshold must be 1 or more")
      precondition(openDuration > .zero, "the open duration must be above zero")
      precondition(probeTimeout > .zero, "the probe timeout must be above zero")
      self.failureThreshold = failureThreshold
      self.openDuration = openDuration
      self.probeTimeout = probeTimeout
    }
  }

  package enum Phase: String, Sendable, Hashable, CaseIterable {
    case closed
    case open
    case halfOpen
  }

  /// What a call's end says about the peer, not about the call.
  package enum Outcome: Sendable, Hashable {
    /// It answered: a success, or an error that is the request's own fault (not found, denied, quota).
    case answered
    /// It failed as a whole: unreachable, timed out, an internal error.
    case failed
    /// Nothing learnt: cancelled by us, or throttled (a busy peer is not a broken one).
    case inconclusive
  }

  /// Leave to make one call; handed back with its outcome.
  package struct Permit: Sendable, Hashable {
    fileprivate let generation: UInt64
    package let isProbe: Bool
  }

  package enum Admission: Sendable, Hashable {
    case admitted(Permit)
    /// Do not call. `retryAfter` is when the next call can be let through at the latest, above zero.
    case rejected(retryAfter: Duration)
  }

  /// A change of phase, for metrics and the log.
  package struct Transition: Sendable, Hashable {
    package let from: Phase
    package let to: Phase

    package init(from: Phase, to: Phase) {
      self.from = from
      self.to = to
    }
  }

  package enum Recorded: Sendable, Hashable {
    case counted
    case transition(Transition)
    /// The permit belongs to an earlier phase, or was used before.
    case stale
  }

  private enum State: Sendable {
    case closed(failures: Int)
    case open(until: MonotonicInstant)
    case halfOpen(probeUntil: MonotonicInstant?)
  }

  package let settings: Settings
  private var state = State.closed(failures: 0)
  /// Grows with every transition and every probe: tells a permit of now from one of before.
  private var generation: UInt64 = 0

  package init(settings: Settings = Settings()) {
    self.settings = settings
  }

  /// The phase as of the last `admit` or `record`; an open breaker turns half-open in `admit` only.
  package var phase: Phase {
    switch state {
    case .closed: .closed
    case .open: .open
    case .halfOpen: .halfOpen
    }
  }

  /// Whether `admit` would refuse for as long as an open breaker does; asks for nothing.
  package func isOpen(at now: MonotonicInstant) -> Bool {
    if case .open(let until) = state { now < until } else { false }
  }

  /// Asks for leave to call the peer. The transition, if any, is open -> halfOpen.
  package mutating func admit(
    at now: MonotonicInstant
  ) -> (admission: Admission, transition: Transition?) {
    switch state {
    case .closed:
      return (.admitted(Permit(generation: generation, isProbe: false)), nil)
    case .open(let until):
      if now < until { return (.rejected(retryAfter: until - now), nil) }
      return (startProbe(at: now), Transition(from: .open, to: .halfOpen))
    case .halfOpen(let probeUntil):
      if let probeUntil, now < probeUntil { return (.rejected(retryAfter: probeUntil - now), nil) }
      return (startProbe(at: now), nil)
    }
  }

  package mutating func record(
    _ outcome: Outcome, for permit: Permit, at now: MonotonicInstant
  ) -> Recorded {
    guard permit.generation == generation else { return .stale }
    switch state {
    case .closed(let failures):
      return recordClosed(outcome, failures: failures, at: now)
    case .open:
      // Opening took a new generation and gave out no permit in it.
      return .stale
    case .halfOpen:
      return recordProbe(outcome, at: now)
    }
  }

  private mutating func recordClosed(
    _ outcome: Outcome, failures: Int, at now: MonotonicInstant
  ) -> Recorded {
    switch outcome {
    case .inconclusive:
      return .counted
    case .answered:
      state = .closed(failures: 0)
      return .counted
    case .failed:
      if failures + 1 >= settings.failureThreshold { return open(from: .closed, at: now) }
      state = .closed(failures: failures + 1)
      return .counted
    }
  }

  private mutating func recordProbe(_ outcome: Outcome, at now: MonotonicInstant) -> Recorded {
    switch outcome {
    case .inconclusive:
      generation += 1
      state = .halfOpen(probeUntil: nil)
      return .counted
    case .answered:
      generation += 1
      state = .closed(failures: 0)
      return .transition(Transition(from: .halfOpen, to: .closed))
    case .failed:
      return open(from: .halfOpen, at: now)
    }
  }

  private mutating func open(from phase: Phase, at now: MonotonicInstant) -> Recorded {
    generation += 1
    state = .open(until: now + settings.openDuration)
    return .transition(Transition(from: phase, to: .open))
  }

  private mutating func startProbe(at now: MonotonicInstant) -> Admission {
    generation += 1
    state = .halfOpen(probeUntil: now + settings.probeTimeout)
    return .admitted(Permit(generation: generation, isProbe: true))
  }
}
