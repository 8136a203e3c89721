import Glibc

/// Bytes on their way to a socket: appended at the end, taken from the front.
package final class OutputBuffer {
  private var storage: UnsafeMutableRawPointer
  private var capacity: Int
  private var head = 0
  private var tail = 0

  init(capacity: Int) {
    storage = .allocate(byteCount: max(capacity, 64), alignment: 16)
    self.capacity = max(capacity, 64)
  }

  deinit { storage.deallocate() }

  package var count: Int { tail - head }
  package var isEmpty: Bool { tail == head }

  package var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: storage + head, count: count)
  }

  package func append(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
    reserve(bytes.count)
    (storage + tail).copyMemory(from: base, byteCount: bytes.count)
    tail += bytes.count
  }

  package func append(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { append($0) }
  }

  package func append(_ string: String) {
    var string = string
    string.withUTF8 { append(UnsafeRawBufferPointer($0)) }
  }

  /// Room for `count` bytes that the caller has `body` fill; it returns how many it wrote.
  package func append(count: Int, _ body: (UnsafeMutableRawBufferPointer) -> Int) {
    reserve(count)
    tail += body(UnsafeMutableRawBufferPointer(start: storage + tail, count: count))
  }

  package func removeFirst(_ count: Int) {
    head += count
    if head == tail { removeAll() }
  }

  package func removeAll() {
    head = 0
    tail = 0
  }

  private func reserve(_ extra: Int) {
    if tail + extra <= capacity { return }
    if count + extra <= capacity {
      storage.copyMemory(from: storage + head, byteCount: count)
    } else {
      let larger = max(capacity * 2, count + extra)
      let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
      moved.copyMemory(from: storage + head, byteCount: count)
      storage.deallocate()
      storage = moved
      capacity = larger
    }
    tail = count
    head = 0
  }
}
