/// Takes one message's body, and its trailers, out of the input (RFC 9112 sections 6 and 7).
struct HTTP1BodyDecoder {
  enum Step: Equatable {
    case data([UInt8])
    case end(trailers: HTTPHeaders)
  }

  private enum State {
    case length(UInt64)
    case untilClose
    case chunkSize
    case chunkData(UInt64)
    case chunkDataEnd
    case trailers
  }

  /// The most hexadecimal digits of a 64-bit size; more would need an overflow check.
  private static let chunkSizeDigitsMax = 16
  /// Framing bytes that any chunk may have: "10000;name=value" is 16.
  private static let chunkOverheadFreeBytes = 16

  /// Fields that frame, route or authorize a message: after the body it is too late for them
  /// (RFC 9110 section 6.5.1).
  private static let forbiddenTrailers: Set<String> = [
    "authorization", "connection", "content-encoding", "content-length", "content-range",
    "content-type", "cookie", "expect", "host", "keep-alive", "max-forwards",
    "proxy-authorization", "range", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade",
  ]

  private var state: State
  private var received: UInt64 = 0
  private var overhead = 0
  private var trailers: HTTP1FieldSection
  private let limits: HTTP1Limits

  init(_ framing: HTTP1Framing, limits: HTTP1Limits) {
    switch framing {
    case .none: state = .length(0)
    case .length(let length): state = .length(length)
    case .chunked: state = .chunkSize
    case .untilClose: state = .untilClose
    }
    trailers = .trailer(limits)
    self.limits = limits
  }

  /// Nil where more bytes are needed. `inputEnded`: the peer sends nothing after the buffer.
  mutating func next(
    from buffer: inout HTTP1InputBuffer, inputEnded: Bool
  ) throws(HTTP1Error) -> Step? {
    while true {
      switch state {
      case .length(0): return .end(trailers: HTTPHeaders())
      case .length(let left):
        guard let data = take(left, from: &buffer) else { return nil }
        state = .length(left - UInt64(data.count))
        return .data(data)
      case .untilClose:
        guard !buffer.isEmpty else { return inputEnded ? .end(trailers: HTTPHeaders()) : nil }
        let data = buffer.takeAll()
        try count(UInt64(data.count))
        return .data(data)
      case .chunkSize:
        guard let size = try takeChunkSize(from: &buffer) else { return nil }
        state = size == 0 ? .trailers : .chunkData(size)
      case .chunkData(let left):
        guard let data = take(left, from: &buffer) else { return nil }
        let rest = left - UInt64(data.count)
        state = rest == 0 ? .chunkDataEnd : .chunkData(rest)
        return .data(data)
      case .chunkDataEnd:
        guard try takeChunkDataEnd(from: &buffer) else { return nil }
        state = .chunkSize
      case .trailers:
        guard try trailers.read(from: &buffer) else { return nil }
        for field in trailers.headers where Self.forbiddenTrailers.contains(field.name) {
          throw HTTP1Error(.trailerForbidden, field.name)
        }
        return .end(trailers: trailers.headers)
      }
    }
  }

  private func take(_ left: UInt64, from buffer: inout HTTP1InputBuffer) -> [UInt8]? {
    buffer.isEmpty ? nil : buffer.take(Int(min(left, UInt64(buffer.count))))
  }

  private mutating func count(_ more: UInt64) throws(HTTP1Error) {
    guard more <= limits.bodyBytesMax - received else {
      throw HTTP1Error(.bodyTooLarge, "at most \(limits.bodyBytesMax) bytes")
    }
    received += more
  }

  private mutating func takeChunkDataEnd(
    from buffer: inout HTTP1InputBuffer
  ) throws(HTTP1Error) -> Bool {
    guard let first = buffer.first else { return false }
    guard first == .carriageReturn else { throw HTTP1Error(.chunkDataUnterminated) }
    guard buffer.count >= 2 else { return false }
    guard buffer.take(2)[1] == .lineFeed else { throw HTTP1Error(.chunkDataUnterminated) }
    return true
  }

  private mutating func takeChunkSize(
    from buffer: inout HTTP1InputBuffer
  ) throws(HTTP1Error) -> UInt64? {
    let bytesMax = Self.chunkSizeDigitsMax + limits.chunkExtensionBytesMax
    let range: Range<Int>
    switch try buffer.takeLine(bytesMax: bytesMax) {
    case .incomplete: return nil
    case .tooLong: throw HTTP1Error(.chunkExtensionTooLong)
    case .complete(let line): range = line
    }
    let line = buffer.bytes.span.extracting(range)
    var size: UInt64 = 0
    var digits = 0
    while digits < line.count, let value = line[digits].hexadecimalValue {
      guard digits < Self.chunkSizeDigitsMax else { throw HTTP1Error(.chunkSizeInvalid) }
      size = size << 4 | UInt64(value)
      digits += 1
    }
    guard digits > 0 else { throw HTTP1Error(.chunkSizeInvalid) }
    if digits < line.count {
      guard line[digits] == UInt8(ascii: ";") else { throw HTTP1Error(.chunkSizeInvalid) }
      guard line.count - digits <= limits.chunkExtensionBytesMax else {
        throw HTTP1Error(.chunkExtensionTooLong)
      }
      try HTTP1ChunkExtensions.check(line.extracting(digits..<line.count))
    }
    try count(size)
    try countOverhead(framing: line.count + 4, data: size)
    return size
  }

  private mutating func countOverhead(framing: Int, data: UInt64) throws(HTTP1Error) {
    let free = Self.chunkOverheadFreeBytes + 2 * Int(min(data, UInt64(Int32.max)))
    overhead = max(0, overhead + framing - free)
    guard overhead <= limits.chunkOverheadBytesMax else {
      throw HTTP1Error(.chunkOverheadTooLarge)
    }
  }
}

/// `chunk-ext` (RFC 9112 section 7.1.1) without "bad" white space: checked, then ignored.
enum HTTP1ChunkExtensions {
  static func check(_ text: Span<UInt8>) throws(HTTP1Error) {
    var index = 0
    while index < text.count {
      guard text[index] == UInt8(ascii: ";") else { throw HTTP1Error(.chunkExtensionInvalid) }
      index = try skipToken(text, index + 1)
      guard index < text.count, text[index] == UInt8(ascii: "=") else { continue }
      index += 1
      if index < text.count, text[index] == UInt8(ascii: "\"") {
        index = try skipQuotedString(text, index + 1)
      } else {
        index = try skipToken(text, index)
      }
    }
  }

  private static func skipToken(_ text: Span<UInt8>, _ start: Int) throws(HTTP1Error) -> Int {
    var index = start
    while index < text.count, ByteSet.token.contains(text[index]) { index += 1 }
    guard index > start else { throw HTTP1Error(.chunkExtensionInvalid) }
    return index
  }

  /// Returns the index behind the closing quote.
  private static func skipQuotedString(
    _ text: Span<UInt8>, _ start: Int
  ) throws(HTTP1Error) -> Int {
    var index = start
    while index < text.count, text[index].isFieldValue {
      if text[index] == UInt8(ascii: "\"") { return index + 1 }
      if text[index] == UInt8(ascii: "\\") {
        index += 1
        guard index < text.count, text[index].isFieldValue else { break }
      }
      index += 1
    }
    throw HTTP1Error(.chunkExtensionInvalid)
  }
}
