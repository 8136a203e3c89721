/// What the owner of a session hears. Called within `receive`, or within `send`.
package protocol HTTP2SessionDelegate: AnyObject {
  /// A client opened a stream, with the fields that the header sink has. Returns what serves it, or nil to
  /// refuse. `overflowed`: the header block was larger than the limits allow, and is cut short.
  func openedStream(_ id: Int32, endsStream: Bool, overflowed: Bool) -> HTTP2Stream?
  /// The peer will take no more streams, and has seen none above `lastStream`.
  func receivedGoaway(lastStream: Int32, _ code: HTTP2ErrorCode)
  /// The peer has said what it allows, which it may change later.
  func receivedSettings()
  /// There is output to fetch with `send`.
  func sessionHasOutput()
}
