/// A header block as it comes in: its fields one after another in one piece of memory, which is kept
/// from one block to the next while they follow each other.
package struct HeaderBlock: ~Copyable {
  /// What stands before each field: the lengths of its name and its value.
  private typealias Lengths = (name: UInt32, value: UInt32)
  private static let lengthsBytes = MemoryLayout<Lengths>.size
  /// Room for the heads of most calls.
  private static let capacityMin = 512

  private var memory: UnsafeMutableRawPointer?
  private var capacity = 0
  /// Of all fields, with eight for each.
  package private(set) var byteCount = 0

  init() {}

  deinit { memory?.deallocate() }

  mutating func append(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    let end = byteCount + HeaderBlock.lengthsBytes + name.count + value.count
    if end > capacity { grow(to: end) }
    guard let memory else { return }
    let field = memory + byteCount
    let lengths = (UInt32(truncatingIfNeeded: name.count), UInt32(truncatingIfNeeded: value.count))
    field.storeBytes(of: lengths, as: Lengths.self)
    let content = field + HeaderBlock.lengthsBytes
    if let bytes = name.baseAddress { content.copyMemory(from: bytes, byteCount: name.count) }
    if let bytes = value.baseAddress {
      (content + name.count).copyMemory(from: bytes, byteCount: value.count)
    }
    byteCount = end
  }

  private mutating func grow(to end: Int) {
    capacity = max(2 * capacity, end, HeaderBlock.capacityMin)
    let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 8)
    if let memory {
      larger.copyMemory(from: memory, byteCount: byteCount)
      memory.deallocate()
    }
    memory = larger
  }

  mutating func removeAll() { byteCount = 0 }

  /// Gives the memory back.
  mutating func release() {
    memory?.deallocate()
    memory = nil
    capacity = 0
    byteCount = 0
  }

  /// Calls `body` with the name and the value of each field, in the order in which they came. They are
  /// valid within the call only.
  package borrowing func readAll(
    _ body: (_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) -> Void
  ) {
    guard let memory else { return }
    var field = UnsafeRawPointer(memory)
    let end = field + byteCount
    while field < end {
      let lengths = field.loadUnaligned(as: Lengths.self)
      let bytes = (field + HeaderBlock.lengthsBytes).assumingMemoryBound(to: UInt8.self)
      let name = UnsafeBufferPointer(start: bytes, count: Int(lengths.name))
      let value = UnsafeBufferPointer(start: bytes + name.count, count: Int(lengths.value))
      body(name, value)
      field = UnsafeRawPointer(bytes + name.count + value.count)
    }
  }
}
