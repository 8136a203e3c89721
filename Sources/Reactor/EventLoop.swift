import CLinux
import Glibc
import Synchronization

/// What a file descriptor is ready for.
package struct Readiness: OptionSet, Sendable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let readable = Readiness(rawValue: EPOLLIN.rawValue)
  package static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
  /// Both sides are shut down. Always reported.
  package static let hangUp = Readiness(rawValue: EPOLLHUP.rawValue)
  /// The peer has shut down its side, or the descriptor failed. Always reported.
  package static let closed = Readiness(
    rawValue: EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue)
}

/// Told when a registered descriptor is ready. Called on the loop's thread.
package protocol ReadinessHandler: AnyObject {
  func ready(_ readiness: Readiness)
  /// The jobs that came of it have run.
  func readinessServed()
}

extension ReadinessHandler {
  package func readinessServed() {}
}

/// Told once at the end of each turn in which it asked to be: the place for the one write of a turn.
package protocol TurnEndHandler: AnyObject {
  func turnDidEnd()
}

/// An epoll loop on one thread that is also the serial executor of the `Reactor` actor, and the
/// preferred executor of the tasks that run on it.
///
/// A turn is: run the jobs that are ready, let everyone flush, wait, dispatch readiness, fire timers. What a
/// descriptor has brought is worked off before the next one is looked at, while the processor has it in
/// its caches.
/// All but `enqueue`, `execute`, `stop` and `isCurrent` may be called on the loop's thread only, which is checked.
package final class EventLoop: SerialExecutor, TaskExecutor, @unchecked Sendable {
  /// Jobs run before the loop looks at its descriptors again, so that a chatty task starves no socket.
  static let jobsPerTurn = 1024
  /// Readiness events taken from the kernel in one turn.
  static let eventsPerTurn = 256
  /// Bytes of the scratch buffers that all connections of a loop share for reading and for writing.
  static let scratchBytes = 64 * 1024

  private struct Registration {
    var generation: UInt32 = 0
    var handler: (any ReadinessHandler)?
  }

  private struct Foreign {
    var jobs: [UnownedJob] = []
    var actions: [@Sendable () -> Void] = []
    var isAwake = false
  }

  private let epoll: Int32
  private let wakeup: Int32
  private let foreign = Mutex(Foreign())
  private let stopping = Atomic<Bool>(false)
  private let thread = Atomic<UInt>(0)

  private var jobs = JobQueue()
  /// How many may still run in this turn.
  private var jobsLeft = 0
  private var registrations: [Registration] = []
  private var timers = TimerHeap()
  private var turnEnd: [any TurnEndHandler] = []
  private var events = [epoll_event](repeating: epoll_event(), count: EventLoop.eventsPerTurn)

  /// The time at the start of this turn's dispatch.
  package private(set) var now = Instant.now()

  /// Shared by all connections of the loop: valid only within one callback.
  let readScratch = UnsafeMutableRawBufferPointer.allocate(
    byteCount: EventLoop.scratchBytes, alignment: 16)
  let writeScratch = OutputBuffer(capacity: EventLoop.scratchBytes)

  package init() throws(SystemError) {
    epoll = try System.call("epoll_create1") { epoll_create1(Int32(EPOLL_CLOEXEC)) }
    wakeup = try System.call("eventfd") {
      eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    }
    var event = epoll_event(
      events: EPOLLIN.rawValue, data: epoll_data_t(u64: EventLoop.wakeupToken))
    _ = try System.call("epoll_ctl") { epoll_ctl(epoll, EPOLL_CTL_ADD, wakeup, &event) }
  }

  deinit {
    System.close(epoll)
    System.close(wakeup)
    readScratch.deallocate()
  }

  // MARK: Executor

  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if isCurrent {
      jobs.append(job)
    } else {
      enqueueForeign(job)
    }
  }

  private func enqueueForeign(_ job: UnownedJob) {
    addForeign { $0.jobs.append(job) }
  }

  private func addForeign(_ add: (inout Foreign) -> Void) {
    let mustWake = foreign.withLock { foreign in
      add(&foreign)
      defer { foreign.isAwake = true }
      return !foreign.isAwake
    }
    if mustWake { wake() }
  }

  /// Runs `action` on the loop: at once when the caller is on it, else in the loop's next turn.
  package func execute(_ action: @escaping @Sendable () -> Void) {
    if isCurrent { return action() }
    addForeign { $0.actions.append(action) }
  }

  package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    UnownedSerialExecutor(ordinary: self)
  }

  package func checkIsolated() {
    precondition(isCurrent, "not on the event loop's thread")
  }

  package func isIsolatingCurrentContext() -> Bool? { isCurrent }

  /// Whether the caller is on this loop's thread.
  package var isCurrent: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

  private func wake() {
    var one: UInt64 = 1
    _ = write(wakeup, &one, 8)
  }

  // MARK: Running

  /// Runs turns on the calling thread until `stop`.
  package func run() {
    thread.store(UInt(pthread_self()), ordering: .relaxed)
    // A peer that closed makes a write fail with EPIPE, which is handled; the signal would kill.
    signal(SIGPIPE, SIG_IGN)
    while !stopping.load(ordering: .acquiring) { turn() }
    thread.store(0, ordering: .relaxed)
  }

  /// Ends `run` after its present turn. From any thread.
  package func stop() {
    stopping.store(true, ordering: .releasing)
    wake()
  }

  /// Runs one turn on the calling thread, to which the loop belongs from then on, without waiting: for
  /// whoever drives several loops on one thread.
  ///
  /// - Returns: whether there was anything to do.
  package func turnAtOnce() -> Bool {
    thread.store(UInt(pthread_self()), ordering: .relaxed)
    let isBusy = !jobs.isEmpty || !turnEnd.isEmpty || earliestTimer.map { $0 <= .now() } ?? false
    return turn(waits: false) > 0 || isBusy
  }

  /// When the next timer is due.
  package var earliestTimer: Instant? { timers.earliest }

  /// - Returns: how many descriptors were ready.
  @discardableResult
  private func turn(waits: Bool = true) -> Int {
    jobsLeft = EventLoop.jobsPerTurn
    runJobs()
    endTurn()
    let ready = wait(waits ? pollTimeout() : 0)
    now = .now()
    for index in 0..<ready { dispatch(events[index]) }
    while let action = timers.popDue(now) { action() }
    return ready
  }

  private func runJobs() {
    while jobsLeft > 0, let job = jobs.popFirst() {
      // As both executors at once: neither an isolated nor another part of a task leaves its turn.
      job.runSynchronously(
        isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
      jobsLeft -= 1
    }
  }

  private func endTurn() {
    // A handler that flushes may ask again: it is served in the next turn.
    let handlers = turnEnd
    turnEnd.removeAll(keepingCapacity: true)
    for handler in handlers { handler.turnDidEnd() }
  }

  private func wait(_ timeout: Int32) -> Int {
    let count = events.withUnsafeMutableBufferPointer { buffer in
      epoll_wait(epoll, buffer.baseAddress, Int32(buffer.count), timeout)
    }
    return max(0, Int(count))
  }

  private func pollTimeout() -> Int32 {
    if !jobs.isEmpty || !turnEnd.isEmpty { return 0 }
    guard let earliest = timers.earliest else { return -1 }
    let wait = (earliest - .now()).nanosecondsSaturating
    if wait <= 0 { return 0 }
    // Rounded up: waking a fraction early would spin through empty turns.
    return Int32(clamping: (wait + 999_999) / 1_000_000)
  }

  // MARK: Descriptors

  private static let wakeupToken = UInt64.max

  /// Starts watching `descriptor`. A stale event of an earlier registration of the same number is
  /// told apart by its generation and dropped.
  package func register(
    _ descriptor: Int32, for interest: Readiness, _ handler: any ReadinessHandler
  ) throws(SystemError) {
    checkIsolated()
    let index = Int(descriptor)
    while registrations.count <= index { registrations.append(Registration()) }
    registrations[index].generation &+= 1
    try control(EPOLL_CTL_ADD, descriptor, interest)
    registrations[index].handler = handler
  }

  package func modify(_ descriptor: Int32, for interest: Readiness) throws(SystemError) {
    try control(EPOLL_CTL_MOD, descriptor, interest)
  }

  /// Stops watching; call before the descriptor is closed.
  package func deregister(_ descriptor: Int32) {
    checkIsolated()
    registrations[Int(descriptor)].handler = nil
    epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nil)
  }

  private func control(
    _ operation: Int32, _ descriptor: Int32, _ interest: Readiness
  ) throws(SystemError) {
    let generation = registrations[Int(descriptor)].generation
    // Without interest in reading, a half-closed peer would be reported in every turn.
    let halfClose = interest.contains(.readable) ? EPOLLRDHUP.rawValue : 0
    var event = epoll_event(
      events: interest.rawValue | halfClose,
      data: epoll_data_t(u64: UInt64(generation) << 32 | UInt64(UInt32(descriptor))))
    _ = try System.call("epoll_ctl") { epoll_ctl(epoll, operation, descriptor, &event) }
  }

  private func dispatch(_ event: epoll_event) {
    let token = event.data.u64
    if token == EventLoop.wakeupToken { return takeForeignJobs() }
    let registration = registrations[Int(UInt32(truncatingIfNeeded: token))]
    guard registration.generation == UInt32(token >> 32), let handler = registration.handler else {
      return
    }
    handler.ready(Readiness(rawValue: event.events))
    runJobs()
    handler.readinessServed()
  }

  private func takeForeignJobs() {
    var count: UInt64 = 0
    _ = read(wakeup, &count, 8)
    let taken = foreign.withLock { foreign in
      let taken = foreign
      foreign = Foreign()
      return taken
    }
    for job in taken.jobs { jobs.append(job) }
    for action in taken.actions { action() }
  }

  // MARK: Timers and ends of turns

  /// Runs `action` on the loop once `deadline` has passed, unless cancelled before.
  @discardableResult
  package func schedule(at deadline: Instant, _ action: @escaping () -> Void) -> LoopTimer {
    checkIsolated()
    return timers.insert(at: deadline, action: action)
  }

  /// The same without the allocation of a closure. `handler` is not held: it cancels the timer before it
  /// goes.
  package func schedule(at deadline: Instant, for handler: any TimerHandler) -> LoopTimer {
    checkIsolated()
    return timers.insert(at: deadline, for: handler)
  }

  @discardableResult
  package func schedule(after delay: Duration, _ action: @escaping () -> Void) -> LoopTimer {
    schedule(at: Instant.now() + delay, action)
  }

  package func cancel(_ timer: LoopTimer) {
    checkIsolated()
    timers.cancel(timer)
  }

  /// Calls `handler` when this turn's jobs have run. A handler asks once a turn (it keeps the flag).
  package func atTurnEnd(_ handler: any TurnEndHandler) {
    turnEnd.append(handler)
  }
}

/// A first-in-first-out ring of jobs.
private struct JobQueue {
  private var ring: [UnownedJob?] = Array(repeating: nil, count: 64)
  private var head = 0
  private var count = 0

  var isEmpty: Bool { count == 0 }

  mutating func append(_ job: UnownedJob) {
    if count == ring.count { grow() }
    ring[(head + count) & (ring.count - 1)] = job
    count += 1
  }

  mutating func popFirst() -> UnownedJob? {
    if count == 0 { return nil }
    defer {
      ring[head] = nil
      head = (head + 1) & (ring.count - 1)
      count -= 1
    }
    return ring[head]
  }

  private mutating func grow() {
    var larger: [UnownedJob?] = []
    larger.reserveCapacity(ring.count * 2)
    for offset in 0..<count { larger.append(ring[(head + offset) & (ring.count - 1)]) }
    larger.append(contentsOf: repeatElement(nil, count: ring.count * 2 - count))
    ring = larger
    head = 0
  }
}
