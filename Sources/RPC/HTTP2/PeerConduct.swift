/// What a peer does too much of, or what no client that means well does. Each ends the connection.
package enum HTTP2Misconduct: Error, Equatable, Sendable {
  case resets, provokedResets, refusedStreams, emptyFrames, smallFrames, windowUpdates, pings
  case decreasingStream, largeHeaders, slowHeaders

  /// What the GOAWAY says.
  package var code: HTTP2ErrorCode {
    self == .decreasingStream ? .protocolError : .enhanceYourCalm
  }

  /// The GOAWAY's debug data; `too_many_pings` is what gRPC's clients look for.
  var debugData: String {
    switch self {
    case .resets: "too_many_resets"
    case .provokedResets: "too_many_stream_errors"
    case .refusedStreams: "too_many_streams"
    case .emptyFrames: "too_many_empty_frames"
    case .smallFrames: "too_many_small_frames"
    case .windowUpdates: "too_many_window_updates"
    case .pings: "too_many_pings"
    case .largeHeaders: "header_block_too_large"
    case .slowHeaders: "header_block_too_slow"
    case .decreasingStream: "decreasing_stream_id"
    }
  }
}

/// Keeps count of what one peer makes us do, frame by frame. A value without any input or output.
struct PeerConduct {
  let limits: HTTP2Limits
  private let isServer: Bool

  private var resets = LeakyBucket()
  private var provokedResets = LeakyBucket()
  private var refusedStreams = LeakyBucket()
  private var emptyFrames = LeakyBucket()
  private var smallFrames = LeakyBucket()
  private var windowUpdates = LeakyBucket()

  private var lastPing: UInt64?
  private var pingStrikes = 0

  private var highestStream: Int32 = -1
  /// Streams below the highest that were passed over, and by that closed without ever being open.
  private var skippedStreams: [ClosedRange<Int32>] = []

  init(_ limits: HTTP2Limits, isServer: Bool) {
    self.limits = limits
    self.isServer = isServer
  }

  /// The head of a frame that the peer sends.
  struct Frame {
    let type: UInt8
    let flags: UInt8
    let length: Int
    let stream: Int32
  }

  private enum FrameType {
    static let data: UInt8 = 0
    static let headers: UInt8 = 1
    static let reset: UInt8 = 3
    static let settings: UInt8 = 4
    static let pushPromise: UInt8 = 5
    static let ping: UInt8 = 6
    static let windowUpdate: UInt8 = 8
    static let continuation: UInt8 = 9
  }

  /// Less than the prefix of a gRPC message, and so with no good reason.
  private static let smallFrameBytes = 5
  private static let endStream: UInt8 = 1
  private static let acknowledges: UInt8 = 1
  /// For each frame of ours a peer may open windows so often: those of the connection and of the stream,
  /// for each of a few pieces in which it takes the frame.
  private static let windowUpdatesPerFrame = 8.0

  /// Whether the frame begins headers on a stream that is not new.
  func isOnFormerStream(_ frame: Frame) -> Bool {
    frame.type == FrameType.headers && frame.stream <= highestStream
  }

  /// To be called at the beginning of each frame. `streams` is how many are open; `isOnOpenStream`,
  /// whether the frame's is, counts where `isOnFormerStream`.
  mutating func began(
    _ frame: Frame, streams: Int, now: UInt64, isOnOpenStream: Bool
  ) -> HTTP2Misconduct? {
    switch frame.type {
    case FrameType.data:
      if frame.length >= PeerConduct.smallFrameBytes {
        smallFrames.remove(1)
        return nil
      }
      return frame.flags & PeerConduct.endStream == 0 ? beganSmallData(frame, now) : nil
    case FrameType.headers: return beganHeaders(frame, now, isOnOpenStream)
    case FrameType.reset:
      return isServer && !resets.add(within: limits.resets, now: now) ? .resets : nil
    case FrameType.settings:
      return frame.flags & PeerConduct.acknowledges == 0 ? wasted(now) : nil
    case FrameType.ping:
      return isServer && frame.flags & PeerConduct.acknowledges == 0
        ? pinged(streams: streams, now) : nil
    case FrameType.windowUpdate:
      return windowUpdates.add(within: limits.windowUpdates, now: now) ? nil : .windowUpdates
    // What is wrong with these nghttp2 tells.
    case FrameType.pushPromise, FrameType.continuation: return nil
    default: return wasted(now)
    }
  }

  private mutating func beganSmallData(_ frame: Frame, _ now: UInt64) -> HTTP2Misconduct? {
    if frame.length == 0 { return wasted(now) }
    return smallFrames.add(within: limits.smallFrames, now: now) ? nil : .smallFrames
  }

  /// To be called at the end of a DATA frame that was all padding, and did not end its stream.
  mutating func receivedPadding(now: UInt64) -> HTTP2Misconduct? { wasted(now) }

  private mutating func wasted(_ now: UInt64) -> HTTP2Misconduct? {
    emptyFrames.add(within: limits.emptyFrames, now: now) ? nil : .emptyFrames
  }

  /// RFC 9113 section 5.1.1: a new stream has a higher number than all before it. Headers on a stream
  /// that was open once are no offence, since the peer may not know yet that we have reset it; those
  /// on a stream that was passed over can be nothing else.
  private mutating func beganHeaders(
    _ frame: Frame, _ now: UInt64, _ isOnOpenStream: Bool
  ) -> HTTP2Misconduct? {
    // A stream that no client may open is an error for nghttp2 to tell of.
    if !isServer || frame.stream & 1 == 0 { return nil }
    if frame.stream > highestStream {
      if frame.stream > highestStream + 2 {
        skippedStreams.append(highestStream + 2...frame.stream - 2)
        if skippedStreams.count > limits.skippedStreamRanges { skippedStreams.removeFirst() }
      }
      highestStream = frame.stream
      return nil
    }
    if isOnOpenStream { return nil }
    return skippedStreams.contains { $0.contains(frame.stream) } ? .decreasingStream : wasted(now)
  }

  /// gRFC A8. A response in between takes all strikes back.
  private mutating func pinged(streams: Int, _ now: UInt64) -> HTTP2Misconduct? {
    defer { lastPing = now }
    guard let lastPing else { return nil }
    let interval = streams > 0 ? limits.pingInterval : limits.pingIntervalWithoutStreams
    if Double(now &- lastPing) / 1e9 >= interval / .seconds(1) { return nil }
    pingStrikes += 1
    return pingStrikes > limits.pingStrikes ? .pings : nil
  }

  /// HEADERS or DATA have gone out.
  mutating func sentResponse() {
    windowUpdates.remove(PeerConduct.windowUpdatesPerFrame)
    pingStrikes = 0
    lastPing = nil
  }

  /// A reset of ours has gone out.
  mutating func sentReset(_ code: HTTP2ErrorCode, now: UInt64) -> HTTP2Misconduct? {
    switch code {
    // Ours: a deadline, a response that is complete before its request.
    case .noError, .cancel: return nil
    // A client's calls are of its own making.
    case _ where !isServer: return nil
    case .refusedStream:
      return refusedStreams.add(within: limits.refusedStreams, now: now) ? nil : .refusedStreams
    default: return provokedError(now: now)
    }
  }

  /// The peer's doing was answered with an error that cost it nothing.
  mutating func provokedError(now: UInt64) -> HTTP2Misconduct? {
    provokedResets.add(within: limits.provokedResets, now: now) ? nil : .provokedResets
  }
}
