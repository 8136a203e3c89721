import Reactor

/// The holder's side of a lease: until when it may act, by its own clock, which counts sleep.
///
/// The database counts from when it gave the lease, which is after the holder asked for it; the holder
/// counts from when it asked and stops `margin` earlier. So it has stopped before anybody else can
/// begin, unless the two clocks differ by more than the margin within one lease.
final class OperationLease {
  let claim: Claim
  private let terms: LeaseTerms
  private let loop: EventLoop
  private var timer: LoopTimer?
  private(set) var validUntil: Instant
  private(set) var isLost = false
  private(set) var isCancelled = false
  /// Called once, when the lease is lost or its work is to be cancelled.
  var onEnd: ((Ending) -> Void)?

  enum Ending: Equatable {
    case lost
    case cancelled
    case shutdown
  }

  /// - Parameter askedAt: when the claim was sent.
  init(_ claim: Claim, askedAt: Instant, terms: LeaseTerms, on loop: EventLoop) {
    self.claim = claim
    self.terms = terms
    self.loop = loop
    validUntil = askedAt + (terms.duration - terms.margin)
    schedule()
  }

  /// The database renewed it; `askedAt` is when it was asked to.
  func renewed(askedAt: Instant, isCancelled: Bool) {
    if isLost { return }
    validUntil = max(validUntil, askedAt + (terms.duration - terms.margin))
    schedule()
    if isCancelled { cancel() }
  }

  /// The work is to be stopped and the operation ended.
  func cancel() {
    if isCancelled || isLost { return }
    isCancelled = true
    onEnd?(.cancelled)
  }

  /// Nobody may act under it any more.
  func lose() {
    if isLost { return }
    isLost = true
    stopTimer()
    onEnd?(.lost)
  }

  /// To be called before anything new is begun under it: on a machine that slept, what had come before is
  /// worked off before the timer fires.
  func check() {
    if Instant.now() >= validUntil { lose() }
  }

  /// Its operation was given back or ended.
  func end() {
    isLost = true
    onEnd = nil
    stopTimer()
  }

  private func schedule() {
    stopTimer()
    timer = loop.schedule(at: validUntil) { [unowned self] in
      timer = nil
      lose()
    }
  }

  private func stopTimer() {
    if let timer { loop.cancel(timer) }
    timer = nil
  }
}

/// How long leases last.
package struct LeaseTerms: Equatable, Sendable {
  /// From each renewal on, by the database's clock.
  package let duration: Duration
  /// How much earlier the holder stops.
  package let margin: Duration
  /// How often leases are renewed.
  package let beat: Duration

  package static let standard = LeaseTerms(
    duration: .seconds(10), margin: .seconds(3), beat: .seconds(2))

  /// - Precondition: two beats fit into what the holder uses of the lease.
  package init(duration: Duration, margin: Duration, beat: Duration) {
    precondition(margin > .zero && beat > .zero, "a lease needs a margin and a beat")
    precondition(beat * 2 <= duration - margin, "a lease must outlast two of its beats")
    self.duration = duration
    self.margin = margin
    self.beat = beat
  }
}
