import Testing

@testable import Reactor

@Suite struct TimerHeapTests {
  private final class Fired {
    var numbers: [UInt64] = []
  }

  private let fired = Fired()

  private func insert(_ number: UInt64, into heap: inout TimerHeap) -> LoopTimer {
    let fired = fired
    return heap.insert(at: Instant(nanoseconds: number)) { fired.numbers.append(number) }
  }

  private func fire(_ heap: inout TimerHeap, until now: UInt64) {
    while let action = heap.popDue(Instant(nanoseconds: now)) { action() }
  }

  @Test func firesInOrderWhatWasNotCancelled() {
    var heap = TimerHeap()
    // Each number below 1009 once, in no order.
    let numbers = (1...1008).map { UInt64($0 * 367 % 1009) }
    let timers = numbers.map { insert($0, into: &heap) }
    for (number, timer) in zip(numbers, timers) where number % 3 == 0 { heap.cancel(timer) }
    fire(&heap, until: 500)
    #expect(fired.numbers == (1...500).filter { $0 % 3 != 0 })
    #expect(heap.earliest == Instant(nanoseconds: 502))
    fire(&heap, until: .max)
    #expect(fired.numbers == (1...1008).filter { $0 % 3 != 0 })
    #expect(heap.count == 0)
  }

  @Test func cancellingAgainLeavesTheNextTimerInThatPlaceAlone() {
    var heap = TimerHeap()
    let first = insert(1, into: &heap)
    heap.cancel(first)
    _ = insert(2, into: &heap)
    heap.cancel(first)
    fire(&heap, until: 2)
    #expect(fired.numbers == [2])
    heap.cancel(first)
  }

  @Test func goesOnWhenItsSerialsHaveRunOut() {
    var heap = TimerHeap(lastSerial: .max - 2)
    let timers = (1...6).map { insert($0, into: &heap) }
    for timer in timers where timer.slot % 2 == 0 { heap.cancel(timer) }
    fire(&heap, until: 6)
    #expect(fired.numbers == [2, 4, 6])
    for timer in timers { heap.cancel(timer) }
    #expect(heap.count == 0)
  }

  @Test func keepsNoPlacesOfACrowdThatHasPassed() {
    var heap = TimerHeap()
    let timers = (1...5000).map { insert($0, into: &heap) }
    for timer in timers { heap.cancel(timer) }
    #expect(heap.slotCount == 0)
    heap.cancel(timers[4999])
    _ = insert(7, into: &heap)
    fire(&heap, until: 7)
    #expect(fired.numbers == [7])
  }
}
