import Glibc

/// Received bytes that no event has taken yet, read as CRLF lines or as plain data.
struct HTTP1InputBuffer {
  enum Line {
    /// Where the line lies in `bytes`, without its CRLF; valid until the buffer is next changed.
    case complete(Range<Int>)
    case incomplete
    case tooLong
  }

  private(set) var bytes: [UInt8] = []
  private var start = 0
  /// Every byte before this one is known not to be a line feed, so no byte is searched twice.
  private var searched = 0

  var count: Int { bytes.count - start }
  var isEmpty: Bool { count == 0 }
  var first: UInt8? { isEmpty ? nil : bytes[start] }

  mutating func append(_ more: Span<UInt8>) {
    if start > 0 {
      bytes.removeFirst(start)
      searched -= start
      start = 0
    }
    more.withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
  }

  /// Takes the next line. A line is too long as soon as more than `bytesMax` bytes stand before
  /// its line feed, so the verdict does not depend on how the bytes arrive.
  mutating func takeLine(bytesMax: Int) throws(HTTP1Error) -> Line {
    let end = min(bytes.count, start + bytesMax + 2)
    searched = max(searched, start)
    if let lineFeed = firstLineFeed(in: searched..<end) {
      guard lineFeed > start, bytes[lineFeed - 1] == .carriageReturn else {
        throw HTTP1Error(.bareLineFeed)
      }
      let line = start..<lineFeed - 1
      start = lineFeed + 1
      return .complete(line)
    }
    searched = max(searched, end)
    return count > bytesMax + 1 ? .tooLong : .incomplete
  }

  private func firstLineFeed(in range: Range<Int>) -> Int? {
    bytes.withUnsafeBufferPointer { buffer in
      guard !range.isEmpty, let base = buffer.baseAddress else { return nil }
      let found = memchr(base + range.lowerBound, Int32(UInt8.lineFeed), range.count)
      return found.map { UnsafeRawPointer($0) - UnsafeRawPointer(base) }
    }
  }

  /// Where the byte first stands among the next `length` bytes, counted from the next one.
  func firstIndex(of byte: UInt8, within length: Int) -> Int? {
    bytes[start..<start + min(length, count)].firstIndex(of: byte).map { $0 - start }
  }

  mutating func take(_ length: Int) -> [UInt8] {
    let taken = Array(bytes[start..<start + length])
    start += length
    return taken
  }

  mutating func takeAll() -> [UInt8] {
    take(count)
  }
}
