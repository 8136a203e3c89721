/// Writes frames, each message as one frame. A client masks every frame with a fresh key.
package struct WebSocketEncoder<Generator: RandomNumberGenerator> {
  private let role: WebSocketRole
  private var generator: Generator
  /// After a close nothing more is sent.
  package private(set) var isClosed = false

  /// - Parameter generator: of masking keys; they must be unpredictable to what the payload's
  ///   author controls (RFC 6455 section 10.3), so pass another than the system's in tests only.
  package init(role: WebSocketRole = .client, generator: Generator) {
    self.role = role
    self.generator = generator
  }

  /// Writes the message, and returns false where nothing can be written: after a close, and for
  /// control payloads over 125 bytes or close codes that must not be sent.
  package mutating func write(_ message: WebSocketMessage, into output: inout [UInt8]) -> Bool {
    guard !isClosed else { return false }
    switch message {
    case .text(let text): writeFrame(.text, Array(text.utf8), into: &output)
    case .binary(let bytes): writeFrame(.binary, bytes, into: &output)
    case .ping(let bytes), .pong(let bytes):
      guard bytes.count <= WebSocketDecoder.controlPayloadBytesMax else { return false }
      if case .ping = message {
        writeFrame(.ping, bytes, into: &output)
      } else {
        writeFrame(.pong, bytes, into: &output)
      }
    case .close(let code, let reason):
      var payload: [UInt8] = []
      if let code {
        guard WebSocketCloseCode.isSendable(code) else { return false }
        payload = [UInt8(code >> 8), UInt8(code & 0xFF)] + Array(reason.utf8)
      }
      guard payload.count <= WebSocketDecoder.controlPayloadBytesMax else { return false }
      writeFrame(.close, payload, into: &output)
      isClosed = true
    }
    return true
  }

  private mutating func writeFrame(
    _ opcode: WebSocketOpcode, _ payload: [UInt8], into output: inout [UInt8]
  ) {
    output.append(0x80 | opcode.rawValue)
    let maskBit: UInt8 = role == .client ? 0x80 : 0
    switch payload.count {
    case ...125: output.append(maskBit | UInt8(payload.count))
    case ...0xFFFF:
      output.append(maskBit | 126)
      output.appendBigEndian(UInt16(payload.count))
    default:
      output.append(maskBit | 127)
      output.appendBigEndian(UInt64(payload.count))
    }
    guard role == .client else {
      output.append(contentsOf: payload)
      return
    }
    let key = UInt32(truncatingIfNeeded: generator.next())
    output.appendBigEndian(key)
    let start = output.count
    output.append(contentsOf: payload)
    WebSocketMask.apply(key, to: &output, from: start)
  }
}

extension WebSocketEncoder where Generator == SystemRandomNumberGenerator {
  package init(role: WebSocketRole = .client) {
    self.init(role: role, generator: SystemRandomNumberGenerator())
  }
}

extension [UInt8] {
  fileprivate mutating func appendBigEndian(_ value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
  }
}
