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
    let field = room(upTo: end) + byteCount
    field.storeBytes(of: (UInt32(name.count), UInt32(value.count)), as: Lengths.self)
    if let bytes = name.baseAddress {
      (field + HeaderBlock.lengthsBytes).copyMemory(from: bytes, byteCount: name.count)
    }
    if let bytes = value.baseAddress {
      (field + HeaderBlock.lengthsBytes + name.count).copyMemory(
        from: bytes, byteCount: value.count)
    }
    byteCount = end
  }

  private mutating func room(upTo end: Int) -> UnsafeMutableRawPointer {
    if let memory, end <= capacity { return memory }
    capacity = max(2 * capacity, end, HeaderBlock.capacityMin)
    let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 8)
    if let memory {
      larger.copyMemory(from: memory, byteCount: byteCount)
      memory.deallocate()
    }
    memory = larger
    return larger
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
    var offset = 0
    while offset < byteCount {
      let lengths = (memory + offset).loadUnaligned(as: Lengths.self)
      let bytes = (memory + offset + HeaderBlock.lengthsBytes).assumingMemoryBound(to: UInt8.self)
      let (nameCount, valueCount) = (Int(lengths.name), Int(lengths.value))
      body(
        UnsafeBufferPointer(start: bytes, count: nameCount),
        UnsafeBufferPointer(start: bytes + nameCount, count: valueCount))
      offset += HeaderBlock.lengthsBytes + nameCount + valueCount
    }
  }
}
