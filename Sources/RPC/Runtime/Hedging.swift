import HTTP2
import RPCCore
import Reactor

/// The attempts of a call that is hedged (gRFC A6), until the response of one begins. From then on the
/// call is that attempt, as if there had never been another.
final class Hedging {
  private unowned let call: ClientCall
  private let policy: HedgingPolicy
  /// Those that have not failed, the first made first.
  private var attempts: [SeparateAttempt] = []
  /// Of these the ones that wait for a connection; the channel has the call once for each.
  private var waiting: [SeparateAttempt] = []
  private var begun = 0
  /// How the last of the others failed.
  private var failure: RPCError?
  private var isStopped = false
  /// For the next attempt; the server may ask that there be none before `earliest`.
  private var timer: LoopTimer?
  private var earliest = Instant(nanoseconds: 0)

  init(_ call: ClientCall, _ policy: HedgingPolicy) {
    self.call = call
    self.policy = policy
  }

  /// Whether an attempt has a stream.
  var isUnderWay: Bool { attempts.contains(where: \.isOpen) }

  /// Bytes that wait to be sent where the fewest do; nil where nothing is under way.
  var queuedBytes: Int? { attempts.filter(\.isOpen).map(\.queuedBytes).min() }

  private var mayGoOn: Bool { !isStopped && begun < policy.attempts }
  private var isThrottled: Bool { !call.channel.retryTokens.allowRetries }

  // MARK: Attempts to come

  func beginAttempt() {
    let attempt = SeparateAttempt(of: call, number: begun)
    begun += 1
    attempts.append(attempt)
    place(attempt)
  }

  private func place(_ attempt: SeparateAttempt) {
    waiting.append(attempt)
    call.channel.place(call)
  }

  /// Has the next attempt begin, if there is one to be, instead of when it was due.
  private func schedule(after delay: Duration) {
    stopTimer()
    guard mayGoOn else { return }
    let loop = call.channel.loop
    // Never within the callback of a connection that may be going away.
    timer = loop.schedule(at: max(loop.now + delay, earliest)) { [call] in
      call.hedging?.timerFired()
    }
  }

  private func timerFired() {
    timer = nil
    if isThrottled { isStopped = true }
    if mayGoOn {
      beginAttempt()
    } else if attempts.isEmpty, let failure {
      call.finish(.failure(failure))
    }
  }

  private func stopTimer() {
    if let timer = timer.take() { call.channel.loop.cancel(timer) }
  }

  // MARK: For the call

  /// Makes the attempt that has waited longest.
  func open(on connection: ClientConnection) {
    guard let attempt = waiting.first else { return }
    attempt.connection = connection
    guard call.open(attempt, on: connection, previousAttempts: attempt.number) else { return }
    waiting.removeFirst()
    // Of a request that large one copy goes out.
    if call.requestIsTooLarge { isStopped = true }
    if timer == nil { schedule(after: policy.delay) }
  }

  /// No connection could be had for the attempt that has waited longest. Whether others go on.
  func goesOnWithout() -> Bool {
    guard !waiting.isEmpty else { return !attempts.isEmpty }
    let attempt = waiting.removeFirst()
    attempts.removeAll { $0 === attempt }
    attempt.leave()
    if attempts.isEmpty { return false }
    if timer == nil { schedule(after: policy.delay) }
    return true
  }

  func send(_ message: [UInt8]) {
    for attempt in attempts { attempt.send(message) }
  }

  func endRequest() {
    for attempt in attempts { attempt.end() }
  }

  /// The request is no longer kept: the first attempt is the call, once there is one.
  func settle() {
    if let attempt = attempts.first(where: \.isOpen) { settle(on: attempt) }
  }

  private func settle(on attempt: SeparateAttempt) {
    attempts.removeAll { $0 === attempt }
    call.adopt(attempt)
  }

  /// Nothing of this is needed any more: servers are told to stop.
  func end() {
    stopTimer()
    if !waiting.isEmpty { call.channel.withdraw(call) }
    for attempt in attempts { attempt.abandon() }
    attempts = []
    waiting = []
  }

  // MARK: For attempts

  /// The response of `attempt` begins.
  func began(_ attempt: SeparateAttempt, _ head: ResponseHead) {
    let call = call
    settle(on: attempt)
    call.receivedInitial(head)
  }

  /// `attempt` is over without a response: so is the call, unless its status is not fatal and others
  /// are under way or still to come.
  func ended(
    _ attempt: SeparateAttempt, _ result: Result<Void, RPCError>, _ fate: Attempts.Fate,
    pushback: Pushback? = nil
  ) {
    let loop = call.channel.loop
    let place = attempts.firstIndex { $0 === attempt }
    if let place, let again = attempt.again(after: fate) {
      attempts[place] = again
      attempt.leave()
      loop.schedule(at: loop.now) { if again.call != nil { self.place(again) } }
      return
    }
    if let place { attempts.remove(at: place) }
    attempt.leave()
    if case .answered = fate { call.channel.retryTokens.note(result, policy.codes, pushback) }
    guard case .failure(let error) = result, policy.codes.contains(error.code) else {
      return call.finish(result)
    }
    failure = error
    obey(pushback)
    if attempts.isEmpty, timer == nil || isThrottled || earliest >= call.deadline {
      call.finish(result)
    }
  }

  private func obey(_ pushback: Pushback?) {
    switch pushback {
    case .never:
      isStopped = true
      stopTimer()
    case .after(let delay):
      earliest = call.channel.loop.now + delay
      schedule(after: .zero)
    case nil:
      // The one that waits for a connection is the next.
      if waiting.isEmpty { schedule(after: .zero) }
    }
  }
}
