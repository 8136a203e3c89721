/// Cuts a byte stream into lines, each bounded.
struct LineSplitter {
  let lineBytesMax: Int
  private var pending: [UInt8] = []
  /// Every byte before this one is known not to be a line feed.
  private var searched = 0

  init(lineBytesMax: Int) { self.lineBytesMax = lineBytesMax }

  /// Hands on the lines that `chunk` completes, without their line feeds; empty ones are left out.
  mutating func feed(
    _ chunk: [UInt8], _ body: ([UInt8]) throws(KubernetesError) -> Void
  ) throws(KubernetesError) {
    pending += chunk
    var start = 0
    while let end = pending[searched...].firstIndex(of: UInt8(ascii: "\n")) {
      if end > start { try body(Array(pending[start..<end])) }
      start = end + 1
      searched = start
    }
    pending.removeFirst(start)
    searched = pending.count
    guard pending.count <= lineBytesMax else {
      throw KubernetesError(
        .limitReached, "a watch's event is larger than \(lineBytesMax) bytes (eventBytesMax)")
    }
  }
}
