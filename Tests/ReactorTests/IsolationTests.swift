import Reactor
import Testing

/// State that is confined to a reactor: not Sendable on purpose.
private final class Counter {
  var value = 0
  var continuation: CheckedContinuation<Void, Never>?

  func increment() async { value += 1 }

  func yield() async { await Task.yield() }

  func wait() async {
    await withCheckedContinuation { continuation = $0 }
  }
}

@Suite struct IsolationTests {
  @Test func asynchronousWorkStaysOnTheLoopsThread() async throws {
    let reactor = try Reactor.start(name: "test")
    let onThread = await reactor.run { reactor in
      let counter = Counter()
      let loop = reactor.loop
      var seen: [Bool] = []
      await counter.increment()
      seen.append(loop.isCurrent)
      loop.schedule(after: .milliseconds(1)) { counter.continuation?.resume() }
      await counter.wait()
      seen.append(loop.isCurrent)
      return seen
    }
    #expect(onThread == [true, true])
    reactor.loop.stop()
  }

  @Test func spawnedTasksBeginAtOnceAndResumeOnTheLoop() async throws {
    let reactor = try Reactor.start(name: "test")
    let seen = await reactor.run { reactor in
      let counter = Counter()
      let loop = reactor.loop
      let done = Counter()
      loop.spawn(on: reactor) {
        counter.value = 1
        await counter.wait()
        counter.value = loop.isCurrent ? 2 : -1
        done.continuation?.resume()
      }
      let atOnce = counter.value
      loop.schedule(after: .milliseconds(1)) { counter.continuation?.resume() }
      await done.wait()
      return [atOnce, counter.value]
    }
    #expect(seen == [1, 2])
    reactor.loop.stop()
  }

  /// Where a task goes on after a suspension, and where its children run, is the loop itself: the way
  /// through the global pool would cost thirty times as much.
  @Test func tasksPreferTheLoopForAllThatIsNotIsolated() async throws {
    let reactor = try Reactor.start(name: "test")
    defer { reactor.loop.stop() }
    let seen = await reactor.run { reactor in
      let loop = reactor.loop
      var seen = [await isOnThread(of: loop)]
      async let child = isOnThread(of: loop)
      seen.append(await child)
      let done = Counter()
      loop.spawn(on: reactor) {
        await done.yield()
        done.value = await isOnThread(of: loop) ? 1 : 0
        done.continuation?.resume()
      }
      await done.wait()
      return seen + [done.value == 1]
    }
    #expect(seen == [true, true, true])
  }
}

@concurrent private func isOnThread(of loop: EventLoop) async -> Bool { loop.isCurrent }
