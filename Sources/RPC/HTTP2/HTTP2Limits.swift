/// What one HTTP/2 connection may ask of us. Each bound names the attack or the waste that it stops.
package struct HTTP2Limits: Sendable {
  /// SETTINGS_MAX_CONCURRENT_STREAMS: endless streams.
  package var concurrentStreams: UInt32 = 256
  /// SETTINGS_MAX_HEADER_LIST_SIZE, counted as RFC 9113 does (name + value + 32): header bombs, in
  /// which a few bytes of HPACK index a large entry again and again.
  package var headerListBytes = 16 * 1024
  /// Fields of one header block, cookies counted one by one: the same attack with short fields.
  package var headerFields = 128
  /// Bytes of a header block, so counted, at which the connection ends. A block between the two limits
  /// is only refused: its sender can be told.
  package var headerBombBytes = 256 * 1024
  /// SETTINGS_INITIAL_WINDOW_SIZE: what a stream may have in flight that nobody has read yet.
  package var streamWindowBytes: Int32 = 256 * 1024
  /// The same for the whole connection.
  package var connectionWindowBytes: Int32 = 1024 * 1024
  /// Streams the peer may open and reset (Rapid Reset, CVE-2023-44487). All its calls may pass their
  /// deadline at once, twice over.
  package var resets = RateLimit(burst: 512, perSecond: 100)
  /// Stream errors that the peer may provoke (MadeYouReset, CVE-2025-8671), oversized header blocks
  /// included.
  package var provokedResets = RateLimit(burst: 100, perSecond: 10)
  /// Streams over `concurrentStreams` that are refused: a client may send many before it has read our
  /// SETTINGS, but not for ever.
  package var refusedStreams = RateLimit(burst: 1000, perSecond: 100)
  /// Frames that carry nothing: SETTINGS, PRIORITY, GOAWAY, DATA without data, headers on streams that
  /// are over, and all frames of types that RFC 9113 does not have.
  package var emptyFrames = RateLimit(burst: 500, perSecond: 50)
  /// DATA frames with fewer bytes than a gRPC message's prefix, beyond one for each that has more: a
  /// message sent a byte at a time.
  package var smallFrames = RateLimit(burst: 1000, perSecond: 100)
  /// WINDOW_UPDATEs beyond what our own frames can have been the reason for. grpcio sends up to two for
  /// each call before any answer, and hardly one for a hundred frames of a long response.
  package var windowUpdates = RateLimit(burst: 1000, perSecond: 100)
  /// PINGs closer together than this are strikes, and so are those that are closer than the longer
  /// interval while no stream is open; one strike more than `pingStrikes` ends the connection (gRFC A8).
  /// What we send as a response takes all strikes back.
  package var pingInterval: Duration = .seconds(300)
  package var pingIntervalWithoutStreams: Duration = .seconds(7200)
  package var pingStrikes = 2
  /// Gaps in the numbers of a client's streams that are remembered, to tell a stream number that
  /// decreases from one that was open.
  package var skippedStreamRanges = 16
  /// Frames waiting to be sent at which we stop reading while the peer does not read (PING and
  /// SETTINGS floods: each wants an answer).
  package var queuedFrames = 1000
  /// CONTINUATION frames after one HEADERS (CVE-2024-28182).
  package var continuations = 8
  /// From the connection's start to the peer's SETTINGS: half-open connections.
  package var preface: Duration = .seconds(10)
  /// From the beginning of a header block to its end: a head sent a byte at a time.
  package var headerBlock: Duration = .seconds(10)
  /// How long the GOAWAY of a connection that failed may take to be read.
  package var linger: Duration = .seconds(1)

  package init() {}

  /// The connection's window has room for the windows of all its streams: some that nobody reads must not
  /// hold up the others. Whoever takes these bounds the memory for what is not read by other means.
  package static var withRoomForAllStreams: HTTP2Limits {
    var limits = HTTP2Limits()
    limits.connectionWindowBytes = limits.streamWindowBytes * Int32(limits.concurrentStreams)
    return limits
  }
}

/// A broken or hostile connection; nothing more can be read from it.
package enum HTTP2Error: Error, Equatable, CustomStringConvertible {
  /// nghttp2 gave up on the connection; its words.
  case connection(String)
  /// The peer passed one of the `HTTP2Limits`.
  case misconduct(HTTP2Misconduct)
  /// nghttp2 refused what we asked of it: a fault of ours.
  case refused(String)

  package var description: String {
    switch self {
    case .connection(let reason): "HTTP/2 connection error: \(reason)"
    case .misconduct(let what): "the peer was cut off: \(what.debugData)"
    case .refused(let reason): "HTTP/2 operation refused: \(reason)"
    }
  }
}

/// RFC 9113 section 7.
public struct HTTP2ErrorCode: RawRepresentable, Equatable, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let noError = HTTP2ErrorCode(rawValue: 0)
  package static let protocolError = HTTP2ErrorCode(rawValue: 1)
  package static let internalError = HTTP2ErrorCode(rawValue: 2)
  package static let refusedStream = HTTP2ErrorCode(rawValue: 7)
  package static let cancel = HTTP2ErrorCode(rawValue: 8)
  package static let enhanceYourCalm = HTTP2ErrorCode(rawValue: 11)
  package static let inadequateSecurity = HTTP2ErrorCode(rawValue: 12)
  /// Never on the wire: a header block of the peer was larger than `HTTP2Limits.headerListBytes`.
  package static let headersTooLarge = HTTP2ErrorCode(rawValue: .max - 1)
  /// Never on the wire: the connection went away under the stream.
  package static let connectionLost = HTTP2ErrorCode(rawValue: .max)
}
