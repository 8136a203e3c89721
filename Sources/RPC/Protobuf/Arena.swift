import CProtobufC
import Glibc

/// The memory of one packing or unpacking. It starts on the stack, goes on in blocks from the heap, and
/// is freed as a whole.
package struct Arena: ~Copyable {
  /// What fits on the stack: most messages.
  private static let stackBytes = 1024
  private static let blockBytesMin = 4096
  private static let blockBytesMax = 1 << 20
  private static let alignment = 8

  /// Lives at the start of the stack's memory, where protobuf-c's call back finds it.
  private struct State {
    var cursor: UnsafeMutableRawPointer
    var end: UnsafeMutableRawPointer
    /// The last block from the heap; each begins with a pointer to the one before.
    var lastBlock: UnsafeMutableRawPointer?
    var nextBlockBytes: Int
    /// A text without characters, for all that are empty.
    let emptyText: UnsafeMutablePointer<CChar>
  }

  private let state: UnsafeMutablePointer<State>

  /// Gives an arena to `body`; its memory is gone afterwards.
  ///
  /// - Parameter capacity: the bytes that will be needed, as far as known.
  static func with<Result>(
    capacity: Int = 0, _ body: (borrowing Arena) throws -> Result
  ) rethrows -> Result {
    try withUnsafeTemporaryAllocation(byteCount: stackBytes, alignment: 16) { memory in
      try body(Arena(memory, capacity: capacity))
    }
  }

  private init(_ memory: UnsafeMutableRawBufferPointer, capacity: Int) {
    guard let start = memory.baseAddress else { preconditionFailure("no memory on the stack") }
    state = start.bindMemory(to: State.self, capacity: 1)
    let emptyText = start + MemoryLayout<State>.size
    emptyText.storeBytes(of: 0, as: UInt8.self)
    let header = Self.rounded(MemoryLayout<State>.size + 1)
    state.initialize(
      to: State(
        cursor: start + header, end: start + memory.count, nextBlockBytes: Self.blockBytesMin,
        emptyText: emptyText.assumingMemoryBound(to: CChar.self)))
    if capacity > memory.count - header { _ = Self.addBlock(to: state, fitting: capacity) }
  }

  deinit {
    var block = state.pointee.lastBlock
    while let current = block {
      block = current.load(as: UnsafeMutableRawPointer?.self)
      free(current)
    }
  }

  /// The memory of all texts without characters.
  var emptyText: UnsafeMutablePointer<CChar> { state.pointee.emptyText }

  static func rounded(_ byteCount: Int) -> Int {
    (byteCount + alignment - 1) & ~(alignment - 1)
  }

  /// Memory that is not initialized.
  package func allocate(byteCount: Int) -> UnsafeMutableRawPointer {
    guard let memory = Self.allocate(byteCount: byteCount, from: state) else {
      preconditionFailure("no memory for a message")
    }
    return memory
  }

  /// The allocator for protobuf-c. It frees nothing; that is done with the arena.
  func withAllocator<Result>(
    _ body: (UnsafeMutablePointer<ProtobufCAllocator>) -> Result
  ) -> Result {
    var allocator = ProtobufCAllocator(
      alloc: { state, byteCount in
        guard let state else { return nil }
        return Arena.allocate(
          byteCount: byteCount, from: state.assumingMemoryBound(to: State.self))
      },
      free: { _, _ in },
      allocator_data: state)
    return body(&allocator)
  }

  private static func allocate(
    byteCount: Int, from state: UnsafeMutablePointer<State>
  ) -> UnsafeMutableRawPointer? {
    let size = rounded(byteCount)
    if state.pointee.end - state.pointee.cursor < size {
      guard addBlock(to: state, fitting: size) else { return nil }
    }
    let memory = state.pointee.cursor
    state.pointee.cursor += size
    return memory
  }

  private static func addBlock(to state: UnsafeMutablePointer<State>, fitting size: Int) -> Bool {
    let header = rounded(MemoryLayout<UnsafeMutableRawPointer>.size)
    let byteCount = max(header + size, state.pointee.nextBlockBytes)
    guard let block = malloc(byteCount) else { return false }
    block.storeBytes(of: state.pointee.lastBlock, as: UnsafeMutableRawPointer?.self)
    state.pointee.lastBlock = block
    state.pointee.cursor = block + header
    state.pointee.end = block + byteCount
    state.pointee.nextBlockBytes = min(2 * state.pointee.nextBlockBytes, blockBytesMax)
    return true
  }
}
