import Reactor
import Testing

@testable import Postgres

@Suite struct PoolStateMachineTests {
  private let start = Instant(nanoseconds: 1_000_000_000_000)
  private let failed = PostgresError(.connectFailed, "refused")

  private func machine(
    _ adjust: (inout PoolConfiguration) -> Void = { _ in }
  ) -> PoolStateMachine {
    var configuration = PoolConfiguration()
    configuration.idleMin = 0
    adjust(&configuration)
    return PoolStateMachine(configuration, random: Half())
  }

  private func limit(_ seconds: Int) -> Instant { start + .seconds(seconds) }

  @Test func aWaiterGetsTheConnectionMadeForIt() {
    var machine = machine()
    #expect(
      machine.acquire(1, deadline: limit(60), now: start)
        == [.wait(1, until: limit(5)), .connect(1)])
    #expect(machine.didConnect(1, now: start) == [.lease(1, to: 1, mustCheck: false)])
    #expect(machine.release(1, isUsable: true, now: start) == [])
    #expect(
      machine.acquire(2, deadline: limit(60), now: start)
        == [.lease(1, to: 2, mustCheck: false)])
  }

  @Test func waitersAreServedInOrderAndTheLastUsedConnectionFirst() {
    var machine = machine { $0.connectionsMax = 2 }
    _ = machine.acquire(1, deadline: limit(60), now: start)
    _ = machine.acquire(2, deadline: limit(60), now: start)
    #expect(
      machine.acquire(3, deadline: limit(60), now: start) == [.wait(3, until: limit(5))])
    _ = machine.acquire(4, deadline: limit(60), now: start)
    #expect(machine.didConnect(2, now: start) == [.lease(2, to: 1, mustCheck: false)])
    #expect(machine.didConnect(1, now: start) == [.lease(1, to: 2, mustCheck: false)])
    #expect(machine.cancel(3) == [.fail(3, .cancelled)])
    #expect(machine.cancel(3) == [])
    #expect(
      machine.release(1, isUsable: true, now: start) == [.lease(1, to: 4, mustCheck: false)])
    #expect(machine.release(2, isUsable: true, now: start) == [])
    #expect(machine.release(1, isUsable: true, now: start) == [])
    #expect(
      machine.acquire(5, deadline: limit(60), now: start)
        == [.lease(1, to: 5, mustCheck: false)])
  }

  @Test func aBrokenConnectionIsReplacedForThoseWhoWait() {
    var machine = machine { $0.connectionsMax = 1 }
    _ = machine.acquire(1, deadline: limit(60), now: start)
    _ = machine.didConnect(1, now: start)
    _ = machine.acquire(2, deadline: limit(60), now: start)
    #expect(machine.release(1, isUsable: false, now: start) == [.close(1), .connect(2)])
    #expect(machine.didClose(2) == [.connect(3)])
    // What was given up already is nobody's.
    #expect(machine.didClose(1) == [])
    #expect(machine.release(1, isUsable: true, now: start) == [])
    #expect(machine.didConnect(1, now: start) == [])
  }

  @Test func failedAttemptsAreSpacedOutAndSeveralWaitersMakeOne() {
    var machine = machine { $0.backoffMax = .milliseconds(300) }
    _ = machine.acquire(1, deadline: limit(60), now: start)
    _ = machine.acquire(2, deadline: limit(60), now: start)
    #expect(machine.didFailToConnect(1, failed, now: start) == [])
    #expect(machine.didFailToConnect(2, failed, now: start) == [])
    let again = start + .milliseconds(200)
    #expect(machine.nextTick == again)
    #expect(machine.tick(now: start) == [])
    #expect(machine.acquire(3, deadline: limit(60), now: start) == [.wait(3, until: limit(5))])
    #expect(machine.tick(now: again) == [.connect(3)])
    #expect(machine.didFailToConnect(3, failed, now: again) == [])
    #expect(machine.nextTick == again + .milliseconds(300))
    #expect(machine.tick(now: again + .milliseconds(300)) == [.connect(4)])
    // The server is back: the others are served as well.
    #expect(
      machine.didConnect(4, now: again)
        == [.lease(4, to: 1, mustCheck: false), .connect(5), .connect(6)])
  }

  @Test func waitsEndWithTheLimitsNameAndTheReason() {
    var machine = machine {
      $0.connectionsMax = 1
      $0.acquireQueueMax = 2
    }
    _ = machine.acquire(1, deadline: limit(60), now: start)
    _ = machine.acquire(2, deadline: limit(2), now: start)
    _ = machine.didFailToConnect(1, failed, now: start)
    guard case .fail(3, let full) = machine.acquire(3, deadline: limit(60), now: start).first,
      case .fail(1, let timeout) = machine.expire(1, deadline: limit(60), now: limit(5)).first,
      case .fail(2, let late) = machine.expire(2, deadline: limit(2), now: limit(2)).first
    else {
      Issue.record("three failures expected")
      return
    }
    #expect(full.kind == .exhausted("acquireQueueMax"))
    #expect(timeout.kind == .exhausted("acquireTimeout"))
    #expect(late.kind == .deadlineExceeded)
    for error in [full, timeout, late] {
      #expect(error.message.hasSuffix("the last attempt to connect failed: refused"))
    }
    #expect(machine.expire(1, deadline: limit(60), now: limit(5)) == [])
  }

  @Test func unusedConnectionsAreCheckedClosedAndKept() {
    var machine = machine {
      $0.idleMin = 1
      $0.idleLifetime = .seconds(100)
    }
    #expect(machine.tick(now: start) == [.connect(1)])
    #expect(machine.didConnect(1, now: start) == [])
    #expect(
      machine.acquire(1, deadline: limit(90), now: limit(31))
        == [.lease(1, to: 1, mustCheck: true)])
    _ = machine.acquire(2, deadline: limit(90), now: limit(31))
    _ = machine.didConnect(2, now: limit(31))
    _ = machine.release(2, isUsable: true, now: limit(32))
    _ = machine.release(1, isUsable: true, now: limit(33))
    #expect(machine.nextTick == limit(132))
    #expect(machine.tick(now: limit(131)) == [])
    #expect(machine.tick(now: limit(132)) == [.close(2)])
    // The last one stays until it is old.
    #expect(machine.tick(now: limit(1_000)) == [])
    #expect(machine.tick(now: limit(1_800)) == [.close(1), .connect(3)])
  }

  @Test func anOldConnectionIsNotUsedAgain() {
    var machine = machine()
    _ = machine.acquire(1, deadline: limit(60), now: start)
    _ = machine.didConnect(1, now: start)
    #expect(machine.release(1, isUsable: true, now: limit(1_800)) == [.close(1)])
  }

  @Test func closingFailsWaitersAndClosesWhatComesBack() {
    var machine = machine { $0.connectionsMax = 2 }
    for waiter in 1...3 { _ = machine.acquire(waiter, deadline: limit(60), now: start) }
    _ = machine.didConnect(1, now: start)
    #expect(machine.close() == [.fail(2, .poolClosed), .fail(3, .poolClosed)])
    #expect(machine.didConnect(2, now: start) == [.close(2)])
    #expect(machine.release(1, isUsable: true, now: start) == [.close(1)])
    #expect(machine.acquire(4, deadline: limit(60), now: start) == [.fail(4, .poolClosed)])
    #expect(machine.tick(now: limit(1_000)) == [])
    #expect(machine.nextTick == nil)
    #expect(machine.counts == PoolCounts(open: 0, idle: 0, connecting: 0, waiting: 0))
  }
}

/// Always the middle of a range.
private struct Half: RandomNumberGenerator {
  mutating func next() -> UInt64 { 1 << 63 }
}
