/// What one WebSocket may cost.
package struct WebSocketLimits: Equatable, Sendable {
  /// A message is held whole before it is handed on; this bounds it over all its fragments.
  package var messageBytesMax = 1024 * 1024
  /// Empty fragments are free in bytes; without a bound they keep a message open for ever.
  package var fragmentsMax = 1024

  package init() {}
}

/// A whole message or a control frame (RFC 6455).
package enum WebSocketMessage: Equatable, Sendable {
  case text(String)
  case binary([UInt8])
  /// At most 125 bytes; to be answered with a pong of the same bytes.
  case ping([UInt8])
  case pong([UInt8])
  /// Nothing follows. The code is nil where the peer sent none; the reason has at most 123 bytes.
  case close(code: UInt16?, reason: String)
}

/// A violation by the peer: the connection is closed with `closeCode`.
package enum WebSocketError: Error, Equatable, Sendable, CustomStringConvertible {
  case reservedBitSet
  case opcodeUnknown(UInt8)
  /// Servers must not mask, clients must.
  case maskingWrong
  case controlFrameFragmented
  case controlFrameTooLong
  case lengthNotMinimal
  case continuationUnexpected
  case continuationExpected
  case messageTooLarge(bytesMax: Int)
  case tooManyFragments(fragmentsMax: Int)
  case textNotUTF8
  case closePayloadInvalid
  case closeCodeInvalid(UInt16)
  case dataAfterClose

  /// RFC 6455 section 7.4.1.
  package var closeCode: UInt16 {
    switch self {
    case .textNotUTF8: 1007
    case .messageTooLarge, .tooManyFragments: 1009
    default: 1002
    }
  }

  package var description: String {
    switch self {
    case .reservedBitSet: "a reserved bit is set without an extension"
    case .opcodeUnknown(let opcode): "opcode \(opcode) is unknown"
    case .maskingWrong: "the frame's masking is wrong for its sender"
    case .controlFrameFragmented: "a control frame is fragmented"
    case .controlFrameTooLong: "a control frame has more than 125 bytes"
    case .lengthNotMinimal: "a frame length is not in its shortest form or over 2^63"
    case .continuationUnexpected: "a continuation without a message to continue"
    case .continuationExpected: "a new message inside a fragmented one"
    case .messageTooLarge(let bytesMax): "a message has more than \(bytesMax) bytes"
    case .tooManyFragments(let max): "a message has more than \(max) fragments"
    case .textNotUTF8: "a text is not UTF-8"
    case .closePayloadInvalid: "a close frame has one byte where the code takes two"
    case .closeCodeInvalid(let code): "close code \(code) must not be sent"
    case .dataAfterClose: "bytes follow a close frame"
    }
  }
}

enum WebSocketOpcode: UInt8 {
  case continuation = 0
  case text = 1
  case binary = 2
  case close = 8
  case ping = 9
  case pong = 10

  var isControl: Bool { rawValue >= 8 }
}

enum WebSocketMask {
  /// Applies the mask, which is its own inverse (RFC 6455 section 5.3).
  static func apply(_ key: UInt32, to bytes: inout [UInt8], from start: Int) {
    for index in start..<bytes.count {
      bytes[index] ^= UInt8(truncatingIfNeeded: key >> UInt32(24 - ((index - start) & 3) * 8))
    }
  }
}

/// Codes that an endpoint may put in a close frame (RFC 6455 section 7.4).
enum WebSocketCloseCode {
  static func isSendable(_ code: UInt16) -> Bool {
    switch code {
    case 1000...1003, 1007...1014, 3000...4999: true
    default: false
    }
  }
}
