import CSimulatedMachine
import Glibc
import Reactor

/// A machine with one process: an event loop whose turns the simulation takes, and clocks of its own that
/// run a little faster or slower than the true time.
final class Machine {
  /// What the calendar showed at the start of a run: 2026-01-01.
  static let epoch: Int64 = 1_767_225_600_000_000_000

  let name: String
  let reactor: Reactor
  /// Of the clock since the start of the machine, against the true time.
  private let offset: Int64
  private let partsPerMillion: Int64
  /// How far its calendar is off.
  private(set) var calendarOffset: Int64
  /// It does nothing, and comes back with its clocks gone on.
  var isPaused = false
  /// It does nothing for ever.
  var isDead = false
  /// It is cut off from the database.
  var isCutOff = false
  var needsTurn = true

  var loop: EventLoop { reactor.loop }
  var isRunning: Bool { !isPaused && !isDead }

  init(_ name: String, offset: Int64, partsPerMillion: Int64, calendarOffset: Int64) throws {
    self.name = name
    self.offset = offset
    self.partsPerMillion = partsPerMillion
    self.calendarOffset = calendarOffset
    reactor = try Reactor()
  }

  /// Makes the calling thread one of this machine.
  func enter(at time: Int64) {
    let local = local(time)
    simulated_machine_set_clocks(local, Machine.epoch + calendarOffset + local - offset)
  }

  /// Somebody sets its calendar.
  func setCalendar(by nanoseconds: Int64) { calendarOffset += nanoseconds }

  private func local(_ time: Int64) -> Int64 {
    offset + time + time * partsPerMillion / 1_000_000
  }

  /// The true time at which its next timer is due.
  var nextTimer: Int64? {
    guard let due = loop.earliestTimer, due != .distantFuture else { return nil }
    let goal = Int64(clamping: due.nanoseconds)
    var time = max(0, (goal - offset) / (1_000_000 + partsPerMillion) * 1_000_000)
    while local(time) < goal {
      time += max(1, (goal - local(time)) * 1_000_000 / (1_000_000 + partsPerMillion))
    }
    return time
  }
}

/// Suspends the calling task for a while, by its machine's clock, or until it is cancelled.
func rest(for duration: Duration, on reactor: Reactor) async {
  var waiter: Resumption<Void>?
  var isOver = false
  let end = {
    isOver = true
    let resumption = waiter
    waiter = nil
    resumption?.resume(())
  }
  let timer = reactor.loop.schedule(after: duration, end)
  if Task.isCancelled { end() }
  await suspended(on: reactor, onCancel: end) { resumption in
    if isOver { return resumption.resume(()) }
    waiter = resumption
  }
  reactor.loop.cancel(timer)
}
