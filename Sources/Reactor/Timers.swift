/// Told when its timer fires, on the loop's thread.
package protocol TimerHandler: AnyObject {
  func timerFired()
}

/// One timer of an event loop; cancelled and fired at most once. Small, since every call holds one.
package struct LoopTimer {
  let slot: UInt32
  fileprivate let serial: UInt32
}

/// A binary heap of timers that are found by the slots they are kept in, so that a cancelled timer
/// leaves at once: most deadlines are cancelled long before they pass, and must not pile up. No
/// timer has an object of its own, and the heap is ordered without looking at anything beside it.
struct TimerHeap {
  /// What a timer does.
  struct Action {
    fileprivate let closure: (() -> Void)?
    fileprivate unowned(unsafe) let handler: (any TimerHandler)?

    func callAsFunction() {
      closure?()
      handler?.timerFired()
    }
  }

  private struct Entry {
    let deadline: Instant
    let slot: Int
  }

  private struct Slot {
    /// Of the timer that is kept here; 0 where none is. Comes again after four thousand million others, when
    /// hardly anybody has the one before any more.
    var serial: UInt32
    var position: UInt32
    var action: Action?
  }

  /// The most slots that are kept when no timer is left.
  private static let slotsKept = 1024

  private var heap: [Entry] = []
  private var slots: [Slot] = []
  private var freeSlots: [Int] = []
  private var lastSerial: UInt32

  init(lastSerial: UInt32 = 0) { self.lastSerial = lastSerial }

  var count: Int { heap.count }
  var slotCount: Int { slots.count }
  var earliest: Instant? { heap.first?.deadline }

  mutating func insert(at deadline: Instant, action: @escaping () -> Void) -> LoopTimer {
    insert(at: deadline, Action(closure: action, handler: nil))
  }

  mutating func insert(at deadline: Instant, for handler: any TimerHandler) -> LoopTimer {
    insert(at: deadline, Action(closure: nil, handler: handler))
  }

  private mutating func insert(at deadline: Instant, _ action: Action) -> LoopTimer {
    lastSerial = lastSerial == .max ? 1 : lastSerial + 1
    let slot = Slot(serial: lastSerial, position: UInt32(heap.count), action: action)
    let index: Int
    if let free = freeSlots.popLast() {
      index = free
      slots[index] = slot
    } else {
      index = slots.count
      slots.append(slot)
    }
    heap.append(Entry(deadline: deadline, slot: index))
    siftUp(heap.count - 1)
    return LoopTimer(slot: UInt32(index), serial: lastSerial)
  }

  mutating func cancel(_ timer: LoopTimer) {
    let slot = Int(timer.slot)
    guard slot < slots.count, slots[slot].serial == timer.serial else { return }
    _ = remove(at: Int(slots[slot].position))
  }

  /// The action of the earliest timer that is due at `now`, taken out of the heap.
  mutating func popDue(_ now: Instant) -> Action? {
    guard let first = heap.first, first.deadline <= now else { return nil }
    return remove(at: 0)
  }

  private mutating func remove(at position: Int) -> Action? {
    let slot = heap[position].slot
    let action = slots[slot].action
    slots[slot].serial = 0
    slots[slot].action = nil
    freeSlots.append(slot)
    let last = heap.removeLast()
    if position < heap.count {
      place(last, at: position)
      siftDown(position)
      siftUp(position)
    } else if heap.isEmpty, slots.count > TimerHeap.slotsKept {
      slots = []
      freeSlots = []
    }
    return action
  }

  private mutating func place(_ entry: Entry, at position: Int) {
    heap[position] = entry
    slots[entry.slot].position = UInt32(position)
  }

  private mutating func siftUp(_ start: Int) {
    let entry = heap[start]
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      if heap[parent].deadline <= entry.deadline { break }
      place(heap[parent], at: child)
      child = parent
    }
    if child != start { place(entry, at: child) }
  }

  private mutating func siftDown(_ start: Int) {
    let entry = heap[start]
    var parent = start
    while true {
      var child = 2 * parent + 1
      if child >= heap.count { break }
      if child + 1 < heap.count, heap[child + 1].deadline < heap[child].deadline { child += 1 }
      if heap[child].deadline >= entry.deadline { break }
      place(heap[child], at: parent)
      parent = child
    }
    if parent != start { place(entry, at: parent) }
  }
}
