/// What one HTTP/2 connection may ask of us. Each bound names the attack or the waste that it stops.
package struct HTTP2Limits: Sendable {
  /// SETTINGS_MAX_CONCURRENT_STREAMS: endless streams.
  package var concurrentStreams: UInt32 = 256
  /// SETTINGS_MAX_HEADER_LIST_SIZE, counted as RFC 9113 does (name + value + 32): header bombs, in
  /// which a few bytes of HPACK index a large entry again and again.
  package var headerListBytes = 16 * 1024
  /// Fields of one header block, cookies counted one by one: the same attack with short fields.
  package var headerFields = 128
  /// SETTINGS_INITIAL_WINDOW_SIZE: what a stream may have in flight that nobody has read yet.
  package var streamWindowBytes: Int32 = 256 * 1024
  /// The same for the whole connection.
  package var connectionWindowBytes: Int32 = 1024 * 1024
  /// Streams the peer may open and reset at once before it is cut off (Rapid Reset, CVE-2023-44487).
  package var resetBurst: UInt64 = 200
  /// The same, a second, over time.
  package var resetsPerSecond: UInt64 = 50
  /// Resets of ours that the peer may provoke at once before it is cut off (MadeYouReset,
  /// CVE-2025-8671), and how many it is forgiven a second.
  package var provokedResetBurst = 100.0
  package var provokedResetsPerSecond = 10.0
  /// Frames waiting to be sent at which we stop reading while the peer does not read (PING and
  /// SETTINGS floods: each wants an answer).
  package var queuedFrames = 1000
  /// CONTINUATION frames after one HEADERS (CVE-2024-28182).
  package var continuations = 8

  package init() {}
}

/// A broken or hostile connection; nothing more can be read from it.
package enum HTTP2Error: Error, Equatable, CustomStringConvertible {
  /// nghttp2 gave up on the connection; its words.
  case connection(String)
  /// The peer provoked more resets than `HTTP2Limits.provokedResetBurst`.
  case tooManyProvokedResets
  /// nghttp2 refused what we asked of it: a fault of ours.
  case refused(String)

  package var description: String {
    switch self {
    case .connection(let reason): "HTTP/2 connection error: \(reason)"
    case .tooManyProvokedResets: "the peer provoked too many stream resets"
    case .refused(let reason): "HTTP/2 operation refused: \(reason)"
    }
  }
}

/// RFC 9113 section 7.
package struct HTTP2ErrorCode: RawRepresentable, Equatable, Sendable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let noError = HTTP2ErrorCode(rawValue: 0)
  package static let protocolError = HTTP2ErrorCode(rawValue: 1)
  package static let internalError = HTTP2ErrorCode(rawValue: 2)
  package static let refusedStream = HTTP2ErrorCode(rawValue: 7)
  package static let cancel = HTTP2ErrorCode(rawValue: 8)
  package static let enhanceYourCalm = HTTP2ErrorCode(rawValue: 11)
  package static let inadequateSecurity = HTTP2ErrorCode(rawValue: 12)
  /// Never on the wire: the connection went away under the stream.
  package static let connectionLost = HTTP2ErrorCode(rawValue: .max)
}
