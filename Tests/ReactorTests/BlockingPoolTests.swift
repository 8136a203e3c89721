import Glibc
import Reactor
import Synchronization
import Testing

@Suite struct BlockingPoolTests {
  struct Refused: Error, Equatable {}

  @Test func workRunsElsewhereAndTheCallerGoesOnWhereItWas() async throws {
    let reactor = try Reactor.start(name: "test")
    defer { reactor.loop.stop() }
    let pool = BlockingPool()
    let seen = try await reactor.run { reactor in
      let loop = reactor.loop
      let inside = try await pool.run { loop.isCurrent }
      return [inside, loop.isCurrent]
    }
    #expect(seen == [false, true])
  }

  @Test func errorsReachTheCaller() async {
    let pool = BlockingPool()
    await #expect(throws: Refused.self) { try await pool.run { throw Refused() } }
  }

  @Test func aFullQueueRefusesByName() async throws {
    let pool = BlockingPool(name: "small", threadsMax: 1, queueMax: 1)
    let started = AsyncStream<Void>.makeStream()
    let gate = Gate()
    let busy = Task {
      try await pool.run {
        started.continuation.yield()
        gate.wait()
        return 1
      }
    }
    for await _ in started.stream { break }
    // One waits in the queue and one is refused, whichever comes first.
    let results = await withTaskGroup(of: BlockingPoolFull?.self) { group in
      for _ in 0..<2 {
        group.addTask {
          do {
            try await pool.run {}
            return nil
          } catch {
            gate.open()
            return error as? BlockingPoolFull
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(results.compactMap(\.self) == [BlockingPoolFull(pool: "small", queueMax: 1)])
    #expect(results.count == 2)
    #expect(try await busy.value == 1)
    #expect("\(BlockingPoolFull(pool: "small", queueMax: 1))".contains("queueMax = 1"))
  }

  @Test func manyJobsAreDoneByFewThreads() async throws {
    let pool = BlockingPool(threadsMax: 3, queueMax: 2_000)
    let threads = Threads()
    let total = try await withThrowingTaskGroup(of: Int.self) { group in
      for number in 0..<1_000 {
        group.addTask {
          try await pool.run {
            threads.seen.withLock { _ = $0.insert(UInt(pthread_self())) }
            return number
          }
        }
      }
      return try await group.reduce(0, +)
    }
    #expect(total == 499_500)
    #expect((1...3).contains(threads.seen.withLock(\.count)))
  }
}

private final class Threads: Sendable {
  let seen = Mutex<Set<UInt>>([])
}

private final class Gate: Sendable {
  private nonisolated(unsafe) let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

  init() { sem_init(semaphore, 0, 0) }
  deinit { semaphore.deallocate() }
  func open() { sem_post(semaphore) }
  func wait() { sem_wait(semaphore) }
}
