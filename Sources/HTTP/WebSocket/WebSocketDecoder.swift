package enum WebSocketRole: Sendable {
  case client
  case server
}

/// Reads the peer's frames and joins fragments: bytes in, messages out, no I/O.
///
/// Control frames are handed on as they come, between the fragments of a message too.
package struct WebSocketDecoder {
  static let controlPayloadBytesMax = 125

  private struct Header {
    var opcode: WebSocketOpcode
    var isFinal: Bool
    var length: Int
    var mask: UInt32?
    var headerBytes: Int
  }

  private let role: WebSocketRole
  private let limits: WebSocketLimits
  private var buffer: [UInt8] = []
  private var start = 0
  /// The message under way: its kind and what has come of it.
  private var kind: WebSocketOpcode?
  private var message: [UInt8] = []
  private var fragments = 0
  private var isClosed = false
  private var failure: WebSocketError?

  /// - Parameter role: our own; the peer has the other one.
  package init(role: WebSocketRole = .client, limits: WebSocketLimits = WebSocketLimits()) {
    self.role = role
    self.limits = limits
  }

  package mutating func receive(_ bytes: Span<UInt8>) {
    if start > 0 {
      buffer.removeFirst(start)
      start = 0
    }
    buffer.append(bytes)
  }

  /// The next message, or nil where more bytes are needed. After an error every further call
  /// throws that error again.
  package mutating func next() throws(WebSocketError) -> WebSocketMessage? {
    if let failure { throw failure }
    do throws(WebSocketError) {
      while let (header, payload) = try takeFrame() {
        if let message = try accept(header, payload) { return message }
      }
      return nil
    } catch {
      failure = error
      throw error
    }
  }

  private mutating func takeFrame() throws(WebSocketError) -> (Header, [UInt8])? {
    guard start < buffer.count else { return nil }
    guard !isClosed else { throw .dataAfterClose }
    guard let header = try readHeader() else { return nil }
    let end = start + header.headerBytes + header.length
    guard end <= buffer.count else { return nil }
    var payload = Array(buffer[start + header.headerBytes..<end])
    if let mask = header.mask { WebSocketMask.apply(mask, to: &payload, from: 0) }
    start = end
    return (header, payload)
  }

  /// Every check that the header allows is made before the payload is waited for.
  private func readHeader() throws(WebSocketError) -> Header? {
    let available = buffer.count - start
    guard buffer[start] & 0x70 == 0 else { throw .reservedBitSet }
    guard let opcode = WebSocketOpcode(rawValue: buffer[start] & 0x0F) else {
      throw .opcodeUnknown(buffer[start] & 0x0F)
    }
    let isFinal = buffer[start] & 0x80 != 0
    guard isFinal || !opcode.isControl else { throw .controlFrameFragmented }
    guard available >= 2 else { return nil }
    let isMasked = buffer[start + 1] & 0x80 != 0
    guard isMasked == (role == .server) else { throw .maskingWrong }
    let short = Int(buffer[start + 1] & 0x7F)
    guard short <= Self.controlPayloadBytesMax || !opcode.isControl else {
      throw .controlFrameTooLong
    }
    let lengthBytes = short == 126 ? 2 : short == 127 ? 8 : 0
    let headerBytes = 2 + lengthBytes + (isMasked ? 4 : 0)
    guard available >= 2 + lengthBytes else { return nil }
    let length = lengthBytes == 0 ? UInt64(short) : bigEndian(at: start + 2, bytes: lengthBytes)
    guard lengthBytes == 0 || length > (lengthBytes == 2 ? 125 : 0xFFFF), length < 1 << 63 else {
      throw .lengthNotMinimal
    }
    guard opcode.isControl || length <= UInt64(max(0, limits.messageBytesMax - message.count))
    else { throw .messageTooLarge(bytesMax: limits.messageBytesMax) }
    guard available >= headerBytes else { return nil }
    return Header(
      opcode: opcode, isFinal: isFinal, length: Int(length),
      mask: isMasked ? UInt32(bigEndian(at: start + 2 + lengthBytes, bytes: 4)) : nil,
      headerBytes: headerBytes)
  }

  private func bigEndian(at index: Int, bytes: Int) -> UInt64 {
    buffer[index..<index + bytes].reduce(0) { $0 << 8 | UInt64($1) }
  }

  private mutating func accept(
    _ header: Header, _ payload: [UInt8]
  ) throws(WebSocketError) -> WebSocketMessage? {
    switch header.opcode {
    case .ping: return .ping(payload)
    case .pong: return .pong(payload)
    case .close:
      isClosed = true
      return try Self.close(payload)
    case .continuation: guard kind != nil else { throw .continuationUnexpected }
    case .text, .binary:
      guard kind == nil else { throw .continuationExpected }
      kind = header.opcode
    }
    fragments += 1
    guard fragments <= limits.fragmentsMax else {
      throw .tooManyFragments(fragmentsMax: limits.fragmentsMax)
    }
    message.append(contentsOf: payload)
    guard header.isFinal else { return nil }
    defer {
      kind = nil
      message = []
      fragments = 0
    }
    guard kind == .text else { return .binary(message) }
    guard let text = String(validating: message, as: UTF8.self) else { throw .textNotUTF8 }
    return .text(text)
  }

  private static func close(_ payload: [UInt8]) throws(WebSocketError) -> WebSocketMessage {
    guard !payload.isEmpty else { return .close(code: nil, reason: "") }
    guard payload.count >= 2 else { throw .closePayloadInvalid }
    let code = UInt16(payload[0]) << 8 | UInt16(payload[1])
    guard WebSocketCloseCode.isSendable(code) else { throw .closeCodeInvalid(code) }
    guard let reason = String(validating: payload[2...], as: UTF8.self) else {
      throw .textNotUTF8
    }
    return .close(code: code, reason: reason)
  }
}
