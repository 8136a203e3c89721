import CNghttp2

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

/// One side of one HTTP/2 connection, without any input or output of its own: bytes in, bytes out.
///
/// Wraps an nghttp2 session; all of nghttp2's pointers stay in this file and `HeaderFields`.
package final class HTTP2Session {
  package enum Role { case client, server }

  package let role: Role
  package var limits: HTTP2Limits { conduct.limits }
  private var session: OpaquePointer?
  /// Owns the session.
  private unowned(unsafe) let delegate: any HTTP2SessionDelegate
  private var firstStream: HTTP2Stream?
  package private(set) var streamCount = 0

  // The header block being received: there is only ever one on a connection.
  private var headerBytes = 0
  private var headerCount = 0
  private var headersOverflowed = false

  private var conduct: PeerConduct
  private var now: UInt64 = 0
  private var isReceiving = false
  private var failure: HTTP2Error?
  private var saidGoodbye = false

  /// The stream of the header block that has begun and not ended.
  private var headerStream: Int32?
  package var isInHeaderBlock: Bool { headerStream != nil }

  package init(
    _ role: Role, limits: HTTP2Limits = HTTP2Limits(), delegate: any HTTP2SessionDelegate
  ) throws(HTTP2Error) {
    self.role = role
    self.delegate = delegate
    conduct = PeerConduct(limits, isServer: role == .server)
    let option = HTTP2Session.makeOption(limits)
    defer { nghttp2_option_del(option) }
    let context = Unmanaged.passUnretained(self).toOpaque()
    let code =
      role == .server
      ? nghttp2_session_server_new2(&session, HTTP2Session.callbacks.pointer, context, option)
      : nghttp2_session_client_new2(&session, HTTP2Session.callbacks.pointer, context, option)
    try check(code)
    try submitSettings()
  }

  deinit {
    nghttp2_session_del(session)
    // Unlinked one by one: a long chain of last references would overflow the stack.
    while let stream = firstStream {
      firstStream = stream.next
      stream.next = nil
      stream.previous = nil
      stream.session = nil
    }
  }

  private static func makeOption(_ limits: HTTP2Limits) -> OpaquePointer? {
    var option: OpaquePointer?
    nghttp2_option_new(&option)
    nghttp2_option_set_no_auto_window_update(option, 1)
    nghttp2_option_set_no_closed_streams(option, 1)
    // A second line behind `PeerConduct`, which says more in its GOAWAY.
    let resets = (burst: UInt64(2 * limits.resets.burst), rate: UInt64(2 * limits.resets.perSecond))
    nghttp2_option_set_stream_reset_rate_limit(option, resets.burst, resets.rate)
    nghttp2_option_set_max_continuations(option, limits.continuations)
    nghttp2_option_set_max_outbound_ack(option, limits.queuedFrames)
    return option
  }

  private func submitSettings() throws(HTTP2Error) {
    func entry(_ id: nghttp2_settings_id, _ value: UInt32) -> nghttp2_settings_entry {
      nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: value)
    }
    let entries = [
      entry(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.concurrentStreams),
      entry(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, UInt32(limits.headerListBytes)),
      entry(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, UInt32(limits.streamWindowBytes)),
      entry(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1),
      entry(NGHTTP2_SETTINGS_ENABLE_PUSH, 0),
    ]
    // A server must not send ENABLE_PUSH.
    let count = role == .server ? entries.count - 1 : entries.count
    try check(nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), entries, count))
    try check(
      nghttp2_session_set_local_window_size(
        session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, limits.connectionWindowBytes))
  }

  private func check(_ code: Int32) throws(HTTP2Error) {
    if code < 0 { throw .refused(String(cString: nghttp2_strerror(code))) }
  }

  // MARK: Bytes in, bytes out

  /// Takes what the peer sent. `now` in nanoseconds of any steady clock.
  package func receive(_ bytes: UnsafeRawBufferPointer, now: UInt64) throws(HTTP2Error) {
    if let failure { throw failure }
    self.now = now
    isReceiving = true
    defer { isReceiving = false }
    let base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    let count = nghttp2_session_mem_recv(session, base, bytes.count)
    if let failure { throw failure }
    if count < 0 {
      let error = HTTP2Error.connection(String(cString: nghttp2_strerror(Int32(count))))
      let flooded = [NGHTTP2_ERR_FLOODED, NGHTTP2_ERR_TOO_MANY_CONTINUATIONS].map(\.rawValue)
      fail(error, flooded.contains(Int32(count)) ? .enhanceYourCalm : .protocolError)
      throw error
    }
  }

  /// Hands what is to be sent to `emit`, chunk by chunk, until about `room` bytes are out.
  package func send(
    room: Int, _ emit: (UnsafeRawBufferPointer) -> Void
  ) throws(HTTP2Error) {
    var left = room
    while left > 0, !saidGoodbye {
      var data: UnsafePointer<UInt8>?
      let count = nghttp2_session_mem_send(session, &data)
      if count < 0 { throw .connection(String(cString: nghttp2_strerror(Int32(count)))) }
      if count == 0 { return }
      emit(UnsafeRawBufferPointer(start: data, count: count))
      left -= count
    }
  }

  package var wantsToSend: Bool { nghttp2_session_want_write(session) != 0 }

  /// Nothing more will be read or written: the connection can be closed.
  package var isFinished: Bool {
    nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0
  }

  /// Too many answers wait for a peer that does not read: its bytes should be left in the kernel.
  package var isOverfull: Bool {
    nghttp2_session_get_outbound_queue_size(session) > limits.queuedFrames
  }

  /// What the peer allows; 2^32-1 until it has said so.
  package var peerConcurrentStreams: Int {
    Int(
      nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
  }

  /// Ends every stream with `code`; for a connection that is gone.
  package func abandonStreams(_ code: HTTP2ErrorCode) {
    while let stream = firstStream { close(stream, code) }
  }

  // MARK: Submitting

  /// Opens a stream for `stream` (client). With `endsStream`, there is no body.
  package func submitRequest(
    _ fields: HeaderFields, for stream: HTTP2Stream, endsStream: Bool
  ) throws(HTTP2Error) {
    let context = Unmanaged.passUnretained(stream).toOpaque()
    let id = fields.withNameValues { values, count in
      HTTP2Session.withProvider(endsStream) {
        nghttp2_submit_request(session, nil, values, count, $0, context)
      }
    }
    try check(id)
    link(stream, id)
    hasOutput()
  }

  /// Response headers; the body follows by `HTTP2Stream.send` and `end`.
  package func submitResponse(_ fields: ConstantHeaderFields, for stream: HTTP2Stream) {
    fields.withNameValues { submitResponse($0, $1, stream, hasBody: true) }
  }

  package func submitResponse(_ fields: HeaderFields, for stream: HTTP2Stream) {
    fields.withNameValues { submitResponse($0, $1, stream, hasBody: true) }
  }

  /// Response headers that are all there is (gRPC's Trailers-Only).
  package func submitOnlyHeaders(_ fields: HeaderFields, for stream: HTTP2Stream) {
    fields.withNameValues { submitResponse($0, $1, stream, hasBody: false) }
  }

  private func submitResponse(
    _ values: UnsafePointer<nghttp2_nv>?, _ count: Int, _ stream: HTTP2Stream, hasBody: Bool
  ) {
    if stream.session == nil { return }
    let code = HTTP2Session.withProvider(!hasBody) {
      nghttp2_submit_response(session, stream.id, values, count, $0)
    }
    if code < 0 { reset(stream, .internalError) }
    hasOutput()
  }

  func reset(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode) {
    nghttp2_submit_rst_stream(
      session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.id, code.rawValue)
    hasOutput()
  }

  func resume(_ stream: HTTP2Stream) {
    nghttp2_session_resume_data(session, stream.id)
    hasOutput()
  }

  func consume(_ count: Int, on stream: HTTP2Stream) {
    stream.unconsumedBytes -= count
    nghttp2_session_consume(session, stream.id, count)
    if !isReceiving { hasOutput() }
  }

  package func ping() {
    nghttp2_submit_ping(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), nil)
    hasOutput()
  }

  /// First step of a graceful end: tells the peer to open no more streams, and takes those on the way.
  package func announceShutdown() {
    nghttp2_submit_shutdown_notice(session)
    hasOutput()
  }

  /// Second step, a round trip later: streams above the last one seen are not served.
  package func shutdown(_ code: HTTP2ErrorCode = .noError) {
    nghttp2_submit_goaway(
      session, UInt8(NGHTTP2_FLAG_NONE.rawValue), nghttp2_session_get_last_proc_stream_id(session),
      code.rawValue, nil, 0)
    hasOutput()
  }

  private func hasOutput() {
    // Within `receive` the owner looks by itself when it is over.
    if !isReceiving { delegate.sessionHasOutput() }
  }

  // MARK: Streams

  private func link(_ stream: HTTP2Stream, _ id: Int32) {
    stream.id = id
    stream.session = self
    stream.next = firstStream
    firstStream?.previous = stream
    firstStream = stream
    streamCount += 1
  }

  private func close(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode) {
    if let previous = stream.previous {
      previous.next = stream.next
    } else {
      firstStream = stream.next
    }
    stream.next?.previous = stream.previous
    stream.next = nil
    stream.previous = nil
    stream.session = nil
    streamCount -= 1
    // What nobody will read any more must not keep the other streams of the connection waiting.
    if stream.unconsumedBytes > 0 {
      nghttp2_session_consume_connection(session, stream.unconsumedBytes)
    }
    let handler = stream.handler
    stream.handler = nil
    handler?.closed(code)
  }

  private func stream(_ id: Int32) -> HTTP2Stream? {
    nghttp2_session_get_stream_user_data(session, id).map {
      Unmanaged<HTTP2Stream>.fromOpaque($0).takeUnretainedValue()
    }
  }

  // MARK: nghttp2's callbacks

  private static func withProvider(
    _ isBodiless: Bool, _ body: (UnsafePointer<nghttp2_data_provider>?) -> Int32
  ) -> Int32 {
    if isBodiless { return body(nil) }
    let provider = nghttp2_data_provider(source: nghttp2_data_source(), read_callback: readData)
    return withUnsafePointer(to: provider, body)
  }

  private struct Callbacks: @unchecked Sendable { let pointer: OpaquePointer? }

  private static let callbacks: Callbacks = {
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
      type: header.type, flags: header.flags, length: header.length, stream: header.stream_id,
      isOnOpenStream: header.type == NGHTTP2_HEADERS.rawValue && stream(header.stream_id) != nil)
    if frame.type != NGHTTP2_CONTINUATION.rawValue { headerStream = nil }
    if let misconduct = conduct.began(frame, streams: streamCount, now: now) { fail(misconduct) }
  }

  private func bodyReceived(_ id: Int32, _ bytes: UnsafeRawBufferPointer) {
    if let stream = stream(id) {
      stream.unconsumedBytes += bytes.count
      stream.handler?.received(bytes)
    } else {
      nghttp2_session_consume(session, id, bytes.count)
    }
  }

  private func streamClosed(_ id: Int32, _ code: HTTP2ErrorCode) {
    if headerStream == id { headerStream = nil }
    if let stream = stream(id), stream.session != nil { close(stream, code) }
  }

  private func beginHeaders(_ stream: Int32) {
    headerStream = stream
    headerBytes = 0
    headerCount = 0
    headersOverflowed = false
    delegate.beganHeaders()
  }

  private func header(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    headerBytes += name.count + value.count + 32
    headerCount += 1
    if headerBytes > limits.headerListBytes || headerCount > limits.headerFields {
      if !headersOverflowed, let misconduct = conduct.provokedError(now: now) { fail(misconduct) }
      headersOverflowed = true
      if headerBytes > limits.headerBombBytes { fail(.largeHeaders) }
    }
    if !headersOverflowed { delegate.received(name: name, value: value) }
  }

  private func frameReceived(_ frame: nghttp2_frame) {
    let ends = frame.hd.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    switch UInt32(frame.hd.type) {
    case NGHTTP2_HEADERS.rawValue:
      headerStream = nil
      headersReceived(frame.hd.stream_id, endsStream: ends)
    case NGHTTP2_DATA.rawValue: if ends { stream(frame.hd.stream_id)?.handler?.receivedEnd() }
    case NGHTTP2_SETTINGS.rawValue:
      if frame.hd.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) == 0 { delegate.receivedSettings() }
    case NGHTTP2_PING.rawValue:
      if frame.hd.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0 { delegate.receivedPingAnswer() }
    case NGHTTP2_GOAWAY.rawValue:
      delegate.receivedGoaway(
        lastStream: frame.goaway.last_stream_id,
        HTTP2ErrorCode(rawValue: frame.goaway.error_code))
    default: break
    }
  }

  private func headersReceived(_ id: Int32, endsStream: Bool) {
    if let stream = stream(id) {
      if headersOverflowed { return reset(stream, .enhanceYourCalm) }
      stream.handler?.receivedHeaders(endsStream: endsStream)
      if endsStream, stream.session != nil { stream.handler?.receivedEnd() }
      return
    }
    if role == .client { return }
    let opened = delegate.openedStream(
      id, endsStream: endsStream, overflowed: headersOverflowed)
    guard let opened else {
      nghttp2_submit_rst_stream(
        session, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, HTTP2ErrorCode.refusedStream.rawValue)
      return
    }
    link(opened, id)
    nghttp2_session_set_stream_user_data(session, id, Unmanaged.passUnretained(opened).toOpaque())
    opened.handler?.receivedHeaders(endsStream: endsStream)
    if endsStream, opened.session != nil { opened.handler?.receivedEnd() }
  }

  private func frameSent(_ frame: nghttp2_frame) {
    let ends = frame.hd.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    switch UInt32(frame.hd.type) {
    case NGHTTP2_RST_STREAM.rawValue:
      let code = HTTP2ErrorCode(rawValue: frame.rst_stream.error_code)
      if let misconduct = conduct.sentReset(code, now: now) { fail(misconduct) }
    case NGHTTP2_GOAWAY.rawValue: if failure != nil { saidGoodbye = true }
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
      if let stream = stream(frame.hd.stream_id) {
        stream.hasBegun = true
        if !ends, stream.queuedBytes == 0 { stream.handler?.outputDrained() }
      }
    default: break
    }
  }

  /// Cuts the peer off: a GOAWAY that says why is the last thing that is sent.
  package func fail(_ misconduct: HTTP2Misconduct) {
    fail(.misconduct(misconduct), misconduct.code, misconduct.debugData)
  }

  private func fail(_ error: HTTP2Error, _ code: HTTP2ErrorCode, _ debugData: String = "") {
    if failure != nil { return }
    failure = error
    var text = debugData
    text.withUTF8 { data in
      _ = nghttp2_submit_goaway(
        session, UInt8(NGHTTP2_FLAG_NONE.rawValue),
        nghttp2_session_get_last_proc_stream_id(session), code.rawValue,
        data.baseAddress, data.count)
    }
    hasOutput()
  }

  /// Set when the peer went too far; the connection is to be closed once the GOAWAY is out.
  package var hasFailed: Bool { failure != nil }
}

private func readData(
  _ session: OpaquePointer?, _ id: Int32, _ buffer: UnsafeMutablePointer<UInt8>?, _ length: Int,
  _ flags: UnsafeMutablePointer<UInt32>?, _ source: UnsafeMutablePointer<nghttp2_data_source>?,
  _ context: UnsafeMutableRawPointer?
) -> Int {
  guard let pointer = nghttp2_session_get_stream_user_data(session, id), let flags else {
    return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
  }
  let stream = Unmanaged<HTTP2Stream>.fromOpaque(pointer).takeUnretainedValue()
  let target = UnsafeMutableRawBufferPointer(start: buffer, count: length)
  switch stream.readOutput(into: target) {
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
