/// Told when its timer fires, on the loop's thread.
package protocol TimerHandler: AnyObject {
  func timerFired()
}

/// One timer of an event loop; cancelled and fired at most once.
///
/// Confined to the loop that made it.
package final class LoopTimer {
  let deadline: Instant
  fileprivate var position: Int
  fileprivate var isWaiting = true
  private let action: (() -> Void)?
  private unowned(unsafe) let handler: (any TimerHandler)?

  fileprivate init(
    deadline: Instant, position: Int, action: (() -> Void)?, handler: (any TimerHandler)?
  ) {
    self.deadline = deadline
    self.position = position
    self.action = action
    self.handler = handler
  }

  func fire() {
    action?()
    handler?.timerFired()
  }
}

/// A binary heap of timers whose entries know their place, so that a cancelled timer leaves at once:
/// most deadlines are cancelled long before they pass, and must not pile up.
struct TimerHeap {
  private var heap: [LoopTimer] = []

  var count: Int { heap.count }
  var earliest: Instant? { heap.first?.deadline }

  mutating func insert(
    at deadline: Instant, action: (() -> Void)? = nil, handler: (any TimerHandler)? = nil
  ) -> LoopTimer {
    let timer = LoopTimer(
      deadline: deadline, position: heap.count, action: action, handler: handler)
    heap.append(timer)
    siftUp(timer.position)
    return timer
  }

  mutating func cancel(_ timer: LoopTimer) {
    if !timer.isWaiting { return }
    timer.isWaiting = false
    remove(at: timer.position)
  }

  /// The earliest timer that is due at `now`, taken out of the heap.
  mutating func popDue(_ now: Instant) -> LoopTimer? {
    guard let first = heap.first, first.deadline <= now else { return nil }
    first.isWaiting = false
    remove(at: 0)
    return first
  }

  private mutating func remove(at position: Int) {
    let last = heap.count - 1
    if position != last { swapAt(position, last) }
    heap.removeLast()
    if position < heap.count {
      siftDown(position)
      siftUp(position)
    }
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      if heap[parent].deadline <= heap[child].deadline { return }
      swapAt(child, parent)
      child = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var parent = start
    while true {
      var smallest = parent
      for child in (2 * parent + 1)...(2 * parent + 2)
      where child < heap.count && heap[child].deadline < heap[smallest].deadline {
        smallest = child
      }
      if smallest == parent { return }
      swapAt(parent, smallest)
      parent = smallest
    }
  }

  private mutating func swapAt(_ left: Int, _ right: Int) {
    heap.swapAt(left, right)
    heap[left].position = left
    heap[right].position = right
  }
}
