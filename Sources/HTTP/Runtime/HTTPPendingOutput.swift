import Reactor

/// Bytes of one HTTP/1.1 connection that wait to be pulled by its socket.
struct HTTPPendingOutput {
  private var bytes: [UInt8] = []
  private var start = 0

  var count: Int { bytes.count - start }
  var isEmpty: Bool { bytes.isEmpty }

  mutating func append(_ more: [UInt8]) {
    if bytes.isEmpty { bytes = more } else { bytes += more }
  }

  /// Moves about `room` bytes; the buffer is shared by all connections and should not grow.
  mutating func move(to output: OutputBuffer, room: Int) {
    let length = min(room, count)
    bytes.withUnsafeBytes {
      output.append(UnsafeRawBufferPointer(rebasing: $0[start..<start + length]))
    }
    start += length
    if start == bytes.count {
      bytes = []
      start = 0
    }
  }
}
