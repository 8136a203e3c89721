/// Takes the fields of the header block that a connection is receiving: there is only ever one.
///
/// Fields come one by one, as nghttp2 decodes them. When the block is whole the session's delegate or the stream
/// hears of it, who looks here for what it needs. Open, as `HTTP2Stream` is.
open class HTTP2HeaderSink {
  package init() {}

  /// Another block begins, or what was received is worked off: whoever heard of the block has what it needs.
  open func reset() {}

  /// Name and value are valid within the call only.
  open func add(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {}
}
