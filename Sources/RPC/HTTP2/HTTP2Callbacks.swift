import CNghttp2

/// What nghttp2 calls while it reads and writes, and what becomes of it.
extension HTTP2Session {
  /// Gives `body` what nghttp2 is to read the body of a stream with; nil where there is none.
  static func withProvider(
    _ stream: UnsafeMutableRawPointer?, _ body: (UnsafePointer<nghttp2_data_provider>?) -> Int32
  ) -> Int32 {
    guard let stream else { return body(nil) }
    let source = nghttp2_data_source(ptr: stream)
    let provider = nghttp2_data_provider(source: source, read_callback: readData)
    return withUnsafePointer(to: provider, body)
  }

  struct Callbacks: @unchecked Sendable { let pointer: OpaquePointer? }

  static let callbacks: Callbacks = {
    var callbacks: OpaquePointer?
    nghttp2_session_callbacks_new(&callbacks)
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, context in
      if let frame { HTTP2Session.with(context) { $0.beginHeaders(frame.pointee.hd.stream_id) } }
      return 0
    }
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks) { _, header, context in
      HTTP2Session.with(context) { session in
        if let header { session.frameBegan(header.pointee) }
        return session.verdict
      }
    }
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks) { _, _, _, context in
      HTTP2Session.with(context) { $0.headerStream = nil }
      return 0
    }
    // What is in frames of other types is of no use here.
    nghttp2_session_callbacks_set_unpack_extension_callback(callbacks) { _, _, _, _ in
      NGHTTP2_ERR_CANCEL.rawValue
    }
    nghttp2_session_callbacks_set_on_header_callback(callbacks) {
      _, _, name, nameLength, value, valueLength, _, context in
      HTTP2Session.with(context) { session in
        session.header(
          UnsafeBufferPointer(start: name, count: nameLength),
          UnsafeBufferPointer(start: value, count: valueLength))
        return session.verdict
      }
    }
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, context in
      if let frame { HTTP2Session.with(context) { $0.frameReceived(frame.pointee) } }
      return 0
    }
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
      _, _, id, data, length, context in
      HTTP2Session.with(context) {
        $0.bodyReceived(id, UnsafeRawBufferPointer(start: data, count: length))
      }
      return 0
    }
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, code, context in
      HTTP2Session.with(context) { $0.streamClosed(id, HTTP2ErrorCode(rawValue: code)) }
      return 0
    }
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, context in
      if let frame { HTTP2Session.with(context) { $0.frameSent(frame.pointee) } }
      return 0
    }
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks) {
      _, frame, _, context in
      if let frame { HTTP2Session.with(context) { $0.frameNotSent(frame.pointee) } }
      return 0
    }
    return Callbacks(pointer: callbacks)
  }()

  /// The context is this session: nghttp2 hands back what `init` gave it. Whoever called nghttp2 holds
  /// it, so that no callback needs to.
  private static func with<R>(
    _ context: UnsafeMutableRawPointer?, _ body: (HTTP2Session) -> R
  ) -> R {
    Unmanaged<HTTP2Session>.fromOpaque(context.unsafelyUnwrapped)._withUnsafeGuaranteedRef(body)
  }

  /// What a callback returns: nothing more is to be read from a peer that went too far.
  private var verdict: Int32 {
    failure == nil ? 0 : Int32(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
  }

  private func frameBegan(_ header: nghttp2_frame_hd) {
    // nghttp2 drops priorities unseen, but this is an error to RFC 9113 (section 6.3) all the same.
    if header.type == NGHTTP2_PRIORITY.rawValue, header.stream_id == 0 {
      nghttp2_session_terminate_session(session, HTTP2ErrorCode.protocolError.rawValue)
    }
    let frame = PeerConduct.Frame(
      type: header.type, flags: header.flags, length: header.length, stream: header.stream_id)
    if frame.type != NGHTTP2_CONTINUATION.rawValue { headerStream = nil }
    let isOnOpenStream = conduct.isOnFormerStream(frame) && stream(frame.stream) != nil
    let misconduct = conduct.began(
      frame, streams: streamCount, now: now, isOnOpenStream: isOnOpenStream)
    if let misconduct { fail(misconduct) }
  }

  private func bodyReceived(_ id: Int32, _ bytes: UnsafeRawBufferPointer) {
    let taken: Void? = withStream(id) { stream in
      stream.unconsumedBytes += bytes.count
      stream.received(bytes)
    }
    if taken == nil { nghttp2_session_consume(session, id, bytes.count) }
  }

  private func streamClosed(_ id: Int32, _ code: HTTP2ErrorCode) {
    if headerStream == id { headerStream = nil }
    guard let stream = stream(id) else { return }
    let overflowed = stream._withUnsafeGuaranteedRef { $0.headersOverflowed }
    close(stream, overflowed ? .headersTooLarge : code)
  }

  private func beginHeaders(_ stream: Int32) {
    headerStream = stream
    headerBytes = 0
    headerCount = 0
    headersOverflowed = false
    headers.reset()
  }

  private func header(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    headerBytes += name.count + value.count + 32
    headerCount += 1
    if headerBytes <= conduct.limits.headerListBytes, headerCount <= conduct.limits.headerFields {
      return headers.add(name, value)
    }
    if !headersOverflowed, role == .server, let misconduct = conduct.provokedError(now: now) {
      fail(misconduct)
    }
    headersOverflowed = true
    if headerBytes > limits.headerBombBytes { fail(.largeHeaders) }
  }

  private func frameReceived(_ frame: nghttp2_frame) {
    let ends = frame.hd.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    switch UInt32(frame.hd.type) {
    case NGHTTP2_HEADERS.rawValue:
      headerStream = nil
      headersReceived(frame.hd.stream_id, endsStream: ends)
    case NGHTTP2_DATA.rawValue:
      if ends {
        withStream(frame.hd.stream_id) { $0.receivedEnd() }
      } else if frame.data.padlen > 0, frame.hd.length == frame.data.padlen,
        let misconduct = conduct.receivedPadding(now: now)
      {
        fail(misconduct)
      }
    case NGHTTP2_SETTINGS.rawValue:
      if frame.hd.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) == 0 { delegate.receivedSettings() }
    case NGHTTP2_RST_STREAM.rawValue: traffic.receivedResets += 1
    case NGHTTP2_GOAWAY.rawValue:
      delegate.receivedGoaway(
        lastStream: frame.goaway.last_stream_id,
        HTTP2ErrorCode(rawValue: frame.goaway.error_code))
    default: break
    }
  }

  private func headersReceived(_ id: Int32, endsStream: Bool) {
    let isKnown = withStream(id) { continued($0, endsStream: endsStream) } != nil
    if isKnown || role == .client { return }
    let opened = delegate.openedStream(
      id, endsStream: endsStream, overflowed: headersOverflowed)
    guard let opened else {
      nghttp2_submit_rst_stream(
        session, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, HTTP2ErrorCode.refusedStream.rawValue)
      return
    }
    traffic.streams += 1
    let stream = link(opened, id)
    nghttp2_session_set_stream_user_data(session, id, stream.toOpaque())
    stream._withUnsafeGuaranteedRef { tellHeaders($0, endsStream: endsStream) }
  }

  /// A stream that is open has a further header block.
  private func continued(_ stream: HTTP2Stream, endsStream: Bool) {
    if headersOverflowed {
      // The stream may be over before the reset goes out.
      stream.headersOverflowed = role == .client
      return reset(stream, .enhanceYourCalm)
    }
    tellHeaders(stream, endsStream: endsStream)
  }

  private func tellHeaders(_ stream: HTTP2Stream, endsStream: Bool) {
    stream.receivedHeaders(endsStream: endsStream)
    if endsStream, stream.isOpen { stream.receivedEnd() }
  }

  /// nghttp2 gives up a header block that is larger than it sends, and says no more: without a reset
  /// the peer would wait.
  private func frameNotSent(_ frame: nghttp2_frame) {
    // Of a request that was not sent nghttp2 closes the stream itself; the peer has never heard of it, and
    // would end the connection for a reset of it.
    guard UInt32(frame.hd.type) == NGHTTP2_HEADERS.rawValue,
      frame.headers.cat != NGHTTP2_HCAT_REQUEST
    else { return }
    _ = withStream(frame.hd.stream_id) { reset($0, .internalError) }
  }

  private func frameSent(_ frame: nghttp2_frame) {
    let ends = frame.hd.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    switch UInt32(frame.hd.type) {
    case NGHTTP2_RST_STREAM.rawValue:
      let code = HTTP2ErrorCode(rawValue: frame.rst_stream.error_code)
      if code != .noError { traffic.sentResets += 1 }
      if let misconduct = conduct.sentReset(code, now: now) { fail(misconduct) }
    case NGHTTP2_GOAWAY.rawValue:
      if failure != nil { saidGoodbye = true }
      traffic.sentGoaway = HTTP2ErrorCode(rawValue: frame.goaway.error_code)
    case NGHTTP2_HEADERS.rawValue, NGHTTP2_DATA.rawValue:
      conduct.sentResponse()
      // A response that is complete before its request: tell the client to stop sending, which may
      // only be submitted once the end has gone out, since a reset drops what is still queued.
      if ends, role == .server,
        nghttp2_session_get_stream_remote_close(session, frame.hd.stream_id) == 0
      {
        nghttp2_submit_rst_stream(
          session, UInt8(NGHTTP2_FLAG_NONE.rawValue), frame.hd.stream_id,
          HTTP2ErrorCode.noError.rawValue)
      }
      if ends, role == .server { return }
      _ = withStream(frame.hd.stream_id) { stream in
        stream.hasBegun = true
        if !ends, stream.queuedBytes == 0 { stream.outputDrained() }
      }
    default: break
    }
  }
}

private func readData(
  _ session: OpaquePointer?, _ id: Int32, _ buffer: UnsafeMutablePointer<UInt8>?, _ length: Int,
  _ flags: UnsafeMutablePointer<UInt32>?, _ source: UnsafeMutablePointer<nghttp2_data_source>?,
  _ context: UnsafeMutableRawPointer?
) -> Int {
  guard let pointer = source?.pointee.ptr, let flags else {
    return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
  }
  let target = UnsafeMutableRawBufferPointer(start: buffer, count: length)
  let read = Unmanaged<HTTP2Stream>.fromOpaque(pointer)._withUnsafeGuaranteedRef {
    $0.readOutput(into: target)
  }
  switch read {
  case .data(let count): return count
  case .deferred: return Int(NGHTTP2_ERR_DEFERRED.rawValue)
  case .last(let count, let trailers):
    flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
    switch trailers {
    case .open, .none: break
    case .constant(let fields):
      flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
      fields.withNameValues { _ = nghttp2_submit_trailer(session, id, $0, $1) }
    case .fields(let fields):
      flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
      fields.withNameValues { _ = nghttp2_submit_trailer(session, id, $0, $1) }
    }
    return count
  }
}
