/// Takes the fields of the header block that a connection is receiving: there is only ever one.
///
/// Fields come one by one, as nghttp2 decodes them. When the block is whole the session's delegate or the stream
/// hears of it, who looks here for what it needs. Open, as `HTTP2Stream` is.
open class HTTP2HeaderSink {
  package init() {}

  /// Another block begins, or whoever heard of this one has what it needs: a connection that is idle is to hold
  /// as little as may be.
  open func reset() {}

  /// Name and value are valid within the call only.
  open func add(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {}
}
