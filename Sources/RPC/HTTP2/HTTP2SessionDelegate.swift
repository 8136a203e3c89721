/// What the owner of a session hears. Called within `receive`, or within `send`.
package protocol HTTP2SessionDelegate: AnyObject {
  /// A header block begins. Fields of an earlier one that was given up midway are of no use.
  func beganHeaders()
  /// One field of the header block that is being received; `overflowed` blocks are cut short.
  func received(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>)
  /// A client opened a stream and all its header fields have been handed over. Returns what serves
  /// it, or nil to refuse. `overflowed`: the block was larger than the limits allow.
  func openedStream(_ id: Int32, endsStream: Bool, overflowed: Bool) -> HTTP2Stream?
  /// The peer will take no more streams, and has seen none above `lastStream`.
  func receivedGoaway(lastStream: Int32, _ code: HTTP2ErrorCode)
  /// The peer has said what it allows, which it may change later.
  func receivedSettings()
  /// The peer has answered a `ping`.
  func receivedPingAnswer()
  /// There is output to fetch with `send`.
  func sessionHasOutput()
}

extension HTTP2SessionDelegate {
  package func receivedPingAnswer() {}
}
