/// One log line under construction, in memory of a fixed size. What does not fit is left out whole,
/// field by field, and the line says so; nothing grows.
struct LineBuffer: ~Copyable {
  /// PIPE_BUF of Linux: a line of this size reaches a pipe in one piece, whoever else writes to it, and
  /// does not block when poll(2) has said that the pipe takes data.
  static let bytesMaximum = 4096
  /// Kept free for the end of the line.
  private static let tailBytes = 64

  private let storage: UnsafeMutableBufferPointer<UInt8>
  private(set) var count = 0
  private var limit: Int
  /// Something was appended that did not fit since the last mark.
  private var overflowed = false
  /// A field was left out.
  private(set) var isTruncated = false

  /// - Parameter storage: at least `bytesMaximum` bytes, owned by the caller.
  init(storage: UnsafeMutableBufferPointer<UInt8>) {
    self.storage = storage
    limit = min(storage.count, Self.bytesMaximum) - Self.tailBytes
  }

  /// The line so far; good as long as the storage.
  var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(UnsafeMutableBufferPointer(rebasing: storage[..<count]))
  }

  /// Appends what `body` writes, or nothing of it.
  mutating func field(_ body: (inout LineBuffer) -> Void) {
    let mark = count
    body(&self)
    if overflowed {
      count = mark
      overflowed = false
      isTruncated = true
    }
  }

  /// Lets the end of the line use what was kept free for it.
  mutating func beginTail() {
    limit += Self.tailBytes
  }

  mutating func append(_ byte: UInt8) {
    if count < limit {
      storage[count] = byte
      count += 1
    } else {
      overflowed = true
    }
  }

  mutating func append(_ text: StaticString) {
    for byte in UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount) {
      append(byte)
    }
  }

  mutating func append(_ number: Int) {
    append(verbatim: String(number))
  }

  /// Text known to be printable ASCII.
  mutating func append(verbatim text: String) {
    for byte in text.utf8 { append(byte) }
  }

  /// Decimal digits, with zeros in front up to `width`.
  mutating func append(_ number: Int, width: Int) {
    var divisor = 1
    for _ in 1..<width { divisor *= 10 }
    while divisor > 0 {
      append(UInt8(48 + number / divisor % 10))
      divisor /= 10
    }
  }

  /// Text from anywhere, made harmless: escaped as in a JSON string (RFC 8259), with everything else
  /// escaped too that could start a line, drive a terminal or reorder what is read: C1 controls, line
  /// separators, bidirectional overrides. Past `bytesMaximum` bytes of text, or twice that once
  /// escaped, "…" is put for the rest.
  mutating func appendEscaped(_ text: String, bytesMaximum: Int) {
    var text = text
    text.withUTF8 { bytes in
      let start = count
      // Nearly all text is plain and short enough: it is copied in one piece.
      if bytes.count <= bytesMaximum, count + bytes.count <= limit, bytes.allSatisfy(Self.isPlain) {
        for byte in bytes {
          storage[count] = byte
          count += 1
        }
        return
      }
      var index = 0
      while index < bytes.count {
        let length = Self.scalarLength(bytes[index])
        let escapedLength = count - start + Self.escapeBytesMaximum
        if index + length > bytesMaximum || escapedLength > 2 * bytesMaximum {
          append("…")
          return
        }
        if length == 1 {
          appendEscaped(ascii: bytes[index])
        } else {
          appendScalar(UnsafeBufferPointer(rebasing: bytes[index..<index + length]))
        }
        index += length
      }
    }
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    byte >= 0x20 && byte < 0x7f && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
  }

  /// `\u` and four digits.
  private static let escapeBytesMaximum = 6

  private static func scalarLength(_ lead: UInt8) -> Int {
    if lead < 0x80 { return 1 }
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
  }

  private mutating func appendEscaped(ascii byte: UInt8) {
    switch byte {
    case UInt8(ascii: "\""): append("\\\"")
    case UInt8(ascii: "\\"): append("\\\\")
    case 0x0a: append("\\n")
    case 0x0d: append("\\r")
    case 0x09: append("\\t")
    case 0..<0x20, 0x7f: appendEscape(UInt16(byte))
    default: append(byte)
    }
  }

  private mutating func appendScalar(_ bytes: UnsafeBufferPointer<UInt8>) {
    if bytes.count < 4 {
      let head = bytes.count == 2 ? UInt16(bytes[0] & 0x1f) : UInt16(bytes[0] & 0x0f)
      let scalar = bytes.dropFirst().reduce(head) { $0 << 6 | UInt16($1 & 0x3f) }
      switch scalar {
      case 0x80...0x9f, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069, 0xfeff:
        return appendEscape(scalar)
      default: break
      }
    }
    for byte in bytes { append(byte) }
  }

  private mutating func appendEscape(_ scalar: UInt16) {
    append("\\u")
    for shift in [12, 8, 4, 0] as [UInt16] {
      append(Hex.digit(UInt8(truncatingIfNeeded: scalar >> shift) & 15))
    }
  }
}
