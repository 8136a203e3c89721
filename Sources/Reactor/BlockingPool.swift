import Glibc
import Synchronization

/// A few threads for calls that block: name resolution, password hashing, libpq's cancel requests.
///
/// Work waits in a queue of `queueMax`; one more is refused with `BlockingPoolFull`. Threads are
/// started as they are needed, at most `threadsMax`, and end with the pool. With none, the caller does
/// the work.
package final class BlockingPool: Sendable {
  private let workers: Workers

  package init(name: String = "blocking", threadsMax: Int = 4, queueMax: Int = 256) {
    precondition(threadsMax >= 0 && queueMax > 0, "a blocking pool needs a queue")
    workers = Workers(name: name, threadsMax: threadsMax, queueMax: queueMax)
  }

  deinit { workers.stop() }

  /// Runs `body` on one of the pool's threads; the caller goes on where it was.
  ///
  /// Once queued, it runs even if the caller is cancelled.
  package func run<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
    if workers.threadsMax == 0 { return try body() }
    return try await withUnsafeThrowingContinuation { continuation in
      do {
        try workers.submit { continuation.resume(with: Result(catching: body)) }
      } catch {
        continuation.resume(throwing: error)
      }
    }
  }
}

/// The queue of a blocking pool is full.
package struct BlockingPoolFull: Error, Equatable, CustomStringConvertible {
  package let pool: String
  package let queueMax: Int

  package init(pool: String, queueMax: Int) {
    self.pool = pool
    self.queueMax = queueMax
  }

  package var description: String {
    "the queue of the blocking pool '\(pool)' is full (queueMax = \(queueMax)): try again later"
  }
}

/// What the threads share; it outlives the pool until the last of them has ended.
private final class Workers: Sendable {
  typealias Job = @Sendable () -> Void

  private struct State {
    var jobs: [Job] = []
    var idle = 0
    var threads = 0
    var isStopping = false
  }

  private let name: String
  let threadsMax: Int
  private let queueMax: Int
  private let state = Mutex(State())
  private nonisolated(unsafe) let available = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

  init(name: String, threadsMax: Int, queueMax: Int) {
    self.name = name
    self.threadsMax = threadsMax
    self.queueMax = queueMax
    sem_init(available, 0, 0)
  }

  deinit {
    sem_destroy(available)
    available.deallocate()
  }

  func submit(_ job: @escaping Job) throws {
    let startsThread = try state.withLock { state in
      if state.jobs.count >= queueMax { throw BlockingPoolFull(pool: name, queueMax: queueMax) }
      state.jobs.append(job)
      let starts = state.idle < state.jobs.count && state.threads < threadsMax
      if starts { state.threads += 1 }
      return starts
    }
    sem_post(available)
    if startsThread { try start() }
  }

  func stop() {
    let threads = state.withLock { state in
      state.isStopping = true
      return state.threads
    }
    for _ in 0..<threads { sem_post(available) }
  }

  private func start() throws {
    do {
      try startThread(name: name) { self.work() }
    } catch {
      let isAlone = state.withLock { state in
        state.threads -= 1
        if state.threads > 0 { return false }
        _ = state.jobs.popLast()
        return true
      }
      // With another thread at work the job is served all the same, only later.
      if isAlone { throw error }
    }
  }

  private func work() {
    while let job = next() { job() }
  }

  /// The next job, nil when the pool has gone and all jobs are done.
  private func next() -> Job? {
    state.withLock { $0.idle += 1 }
    while sem_wait(available) == -1 {}
    return state.withLock { state in
      state.idle -= 1
      if !state.jobs.isEmpty { return state.jobs.removeFirst() }
      state.threads -= 1
      return nil
    }
  }
}
