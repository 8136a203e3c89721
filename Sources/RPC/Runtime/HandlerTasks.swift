import Reactor

/// The tasks in which a server's handlers run, one call after another: to make and end a task for each
/// call would cost more than all that is done with its message.
///
/// Calls wait in a list until a task takes them, in the same turn of the loop. One task goes on with
/// the next call as long as handlers return without a suspension; while any wait, one further task has
/// been woken, which goes on where a handler suspends.
final class HandlerTasks {
  /// Tasks kept for further calls; those beyond end with their call.
  static let idleMax = 64
  /// Calls that a task takes in a row before the loop looks at its other jobs.
  static let callsInARow = 128

  private let reactor: Reactor
  private var firstWaiting: ServerCall?
  private var lastWaiting: Unmanaged<ServerCall>?
  private(set) var idle: [HandlerTask] = []
  /// Woken, and not running yet. There is one whenever calls wait.
  private var next: HandlerTask?

  init(_ reactor: Reactor) { self.reactor = reactor }

  deinit {
    next?.end()
    for task in idle { task.end() }
  }

  /// Runs `call`'s handler in this turn of the loop.
  func run(_ call: ServerCall) {
    if let lastWaiting {
      lastWaiting._withUnsafeGuaranteedRef { $0.nextWaiting = call }
    } else {
      firstWaiting = call
    }
    lastWaiting = .passUnretained(call)
    wakeNext()
  }

  private func wakeNext() {
    if next != nil { return }
    let task = idle.popLast() ?? HandlerTask(self, reactor)
    next = task
    task.wake()
  }

  fileprivate var areCallsWaiting: Bool { firstWaiting != nil }

  /// The next call for a task that runs. Nil where others have taken them all.
  fileprivate func take(for task: HandlerTask) -> ServerCall? {
    if next === task { next = nil }
    guard let call = firstWaiting.take() else { return nil }
    firstWaiting = call.nextWaiting.take()
    if firstWaiting == nil { lastWaiting = nil } else { wakeNext() }
    return call
  }

  /// Whether a task that has no call is to wait for one, and not to end.
  fileprivate func keep(_ task: HandlerTask) -> Bool {
    if idle.count >= HandlerTasks.idleMax { return false }
    idle.append(task)
    return true
  }
}

/// A task for handlers.
final class HandlerTask {
  /// Ends its tasks before it goes.
  private let tasks: Unmanaged<HandlerTasks>
  private var task: Task<Void, Never>?
  private var isAwake = false
  private var isEnded = false
  private var sleep: UnsafeContinuation<Void, Never>?

  fileprivate init(_ tasks: HandlerTasks, _ reactor: Reactor) {
    self.tasks = .passUnretained(tasks)
    task = reactor.loop.spawn(on: reactor) { await self.run() }
  }

  fileprivate func wake() {
    isAwake = true
    sleep.take()?.resume()
  }

  fileprivate func end() {
    isEnded = true
    wake()
  }

  /// Cancels the call that runs here. A task stays cancelled, hence takes no other.
  func cancel() {
    isEnded = true
    task?.cancel()
  }

  private func run(isolation: isolated (any Actor)? = #isolation) async {
    repeat {
      await withUnsafeContinuation { if isAwake { $0.resume() } else { sleep = $0 } }
      isAwake = false
    } while await runCalls(isolation: isolation)
  }

  /// Returns whether to wait for more.
  private func runCalls(isolation: isolated (any Actor)?) async -> Bool {
    var count = 0
    while !isEnded {
      count += 1
      if let goesOn = await runCall(count, isolation: isolation) { return goesOn }
    }
    return false
  }

  /// Returns nil to take a further call at once. A function of its own: nothing of a call is held once
  /// it has returned.
  @inline(__always)
  private func runCall(_ count: Int, isolation: isolated (any Actor)?) async -> Bool? {
    guard let call = tasks._withUnsafeGuaranteedRef({ $0.take(for: self) }) else {
      return tasks._withUnsafeGuaranteedRef { $0.keep(self) }
    }
    await call.execute(on: self, isolation: isolation)
    // The call may be the last to hold the server, and with it the tasks.
    return withExtendedLifetime(call) {
      if isEnded { return false }
      return tasks._withUnsafeGuaranteedRef {
        $0.areCallsWaiting && count < HandlerTasks.callsInARow ? nil : $0.keep(self)
      }
    }
  }
}
