import Reactor

/// One attempt of a step: a call of the backend that is stopped when its time, or the lease, is over.
final class SideEffect {
  enum Outcome {
    case done
    case failed(ProvisionFailure)
    case timedOut
    /// Told to stop; `isQuiet` when nothing acts any more.
    case stopped(OperationLease.Ending, isQuiet: Bool)
  }

  private let reactor: Reactor
  /// How long a call has to end once it was cancelled and is abandoned by force.
  private let grace: Duration
  private let abandon: () async -> Void
  private var task: Task<Void, Never>?
  private var waiter: Resumption<Void>?
  private var result: Result<Void, ProvisionFailure>?
  private var isAbandoned = false
  private var stopReason: StopReason?

  private enum StopReason {
    case timeout
    case ending(OperationLease.Ending)
  }

  init(on reactor: Reactor, grace: Duration, abandon: @escaping () async -> Void) {
    self.reactor = reactor
    self.grace = grace
    self.abandon = abandon
  }

  /// Makes the call and waits for its end or, when it is stopped, until nothing acts any more, at most
  /// the grace.
  func run(
    timeout: Duration, _ call: @escaping () async throws -> Void
  ) async -> Outcome {
    if stopReason == nil { start(call) }
    let timer = reactor.loop.schedule(after: timeout) { self.stop(.timeout) }
    await wait { self.result != nil || self.stopReason != nil }
    reactor.loop.cancel(timer)
    guard let stopReason else { return outcome }
    let isQuiet = await quieten()
    switch stopReason {
    case .timeout: return isQuiet ? .timedOut : .stopped(.lost, isQuiet: false)
    case .ending(let ending): return .stopped(ending, isQuiet: isQuiet)
    }
  }

  /// Ends the call early.
  func stop(_ ending: OperationLease.Ending) {
    if ending == .lost, stopReason != nil, task != nil, !isAbandoned {
      // What has been left time to end by itself has none any more.
      reactor.loop.spawn(on: reactor) { await self.abandon() }
    }
    stop(.ending(ending))
  }

  private func start(_ call: @escaping () async throws -> Void) {
    task = reactor.loop.spawn(on: reactor) {
      do {
        try await call()
        self.result = .success(())
      } catch {
        self.result = .failure(
          error as? ProvisionFailure ?? ProvisionFailure(.unexpected, "\(error)"))
      }
      self.wake()
    }
  }

  private var outcome: Outcome {
    switch result {
    case .failure(let failure): .failed(failure)
    default: .done
    }
  }

  private func stop(_ reason: StopReason) {
    if stopReason != nil || result != nil { return }
    stopReason = reason
    task?.cancel()
    wake()
  }

  /// Whether nothing acts any more: the call has ended, and what it set going elsewhere too.
  private func quieten() async -> Bool {
    if task == nil { return true }
    let abandoning = reactor.loop.spawn(on: reactor) {
      await self.abandon()
      self.isAbandoned = true
      self.wake()
    }
    var isOver = false
    let timer = reactor.loop.schedule(after: grace) {
      isOver = true
      self.wake()
    }
    await wait { isOver || (self.isAbandoned && self.result != nil) }
    reactor.loop.cancel(timer)
    if !isAbandoned { abandoning.cancel() }
    return isAbandoned && result != nil
  }

  private func wait(until isTrue: @escaping () -> Bool) async {
    let onCancel = {}
    while !isTrue() {
      await suspended(on: reactor, onCancel: onCancel) { resumption in
        // Other jobs may have run on the way here.
        if isTrue() { return resumption.resume(()) }
        self.waiter = resumption
      }
    }
  }

  private func wake() {
    let waiter = self.waiter
    self.waiter = nil
    waiter?.resume(())
  }
}
