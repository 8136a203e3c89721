import CNghttp2

/// One side of one HTTP/2 connection, without any input or output of its own: bytes in, bytes out.
///
/// Wraps an nghttp2 session; all of nghttp2's pointers stay in this file, `HTTP2Callbacks` and
/// `HeaderFields`.
package final class HTTP2Session {
  package enum Role { case client, server }

  package let role: Role
  package var limits: HTTP2Limits { conduct.limits }
  var session: OpaquePointer?
  /// Owns the session, and lets go of it at the end of the connection. Not unowned, which would cost at every
  /// call.
  let delegate: any HTTP2SessionDelegate
  private var firstStream: Unmanaged<HTTP2Stream>?
  package private(set) var streamCount = 0
  /// The stream that was looked for last, until it is closed: what nghttp2 does comes stream by stream.
  private var latest: (id: Int32, stream: Unmanaged<HTTP2Stream>?) = (-1, nil)

  // The header block being received.
  let headers: HTTP2HeaderSink
  var headerBytes = 0
  var headerCount = 0
  var headersOverflowed = false

  var conduct: PeerConduct
  /// The time of the last `receive`.
  var now: UInt64 = 0
  private var isReceiving = false
  private var isSending = false
  /// Held until the present `receive` or `send` is over.
  private var abandoned: [HTTP2Stream] = []
  var failure: HTTP2Error?
  var traffic = HTTP2Traffic()
  var saidGoodbye = false

  /// The stream of the header block that has begun and not ended.
  var headerStream: Int32?
  package var isInHeaderBlock: Bool { headerStream != nil }

  package init(
    _ role: Role, limits: HTTP2Limits = HTTP2Limits(), headers: HTTP2HeaderSink,
    delegate: any HTTP2SessionDelegate
  ) throws(HTTP2Error) {
    self.role = role
    self.headers = headers
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
    while let stream = firstStream?.takeRetainedValue() {
      firstStream = stream.next
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
    // Of other types than RFC 9113 has; without this they would be dropped before `PeerConduct` sees them.
    for type: UInt8 in 10...255 { nghttp2_option_set_user_recv_extension_type(option, type) }
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
    traffic.receivedBytes += bytes.count
    isReceiving = true
    defer {
      isReceiving = false
      letGo()
    }
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
    isSending = true
    defer {
      isSending = false
      letGo()
    }
    var left = room
    while left > 0, !saidGoodbye {
      var data: UnsafePointer<UInt8>?
      let count = nghttp2_session_mem_send(session, &data)
      if count < 0 { throw .connection(String(cString: nghttp2_strerror(Int32(count)))) }
      if count == 0 { return }
      emit(UnsafeRawBufferPointer(start: data, count: count))
      traffic.sentBytes += count
      left -= count
    }
  }

  /// What is idle is to hold as little as may be. Of a header block that broke off, or whose stream went
  /// meanwhile, nobody is told.
  private func letGo() {
    if !abandoned.isEmpty { abandoned = [] }
    if headerStream == nil, headerCount > 0 {
      headerCount = 0
      headers.reset()
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
    while let stream = firstStream {
      let id = stream._withUnsafeGuaranteedRef { $0.id }
      nghttp2_session_set_stream_user_data(session, id, nil)
      // One of them may be in the middle of a call.
      if isReceiving || isSending { abandoned.append(stream.takeUnretainedValue()) }
      close(stream, code)
    }
  }

  // MARK: Submitting

  /// Opens a stream for `stream` (client). With `endsStream`, there is no body.
  package func submitRequest(
    _ fields: HeaderFields, for stream: HTTP2Stream, endsStream: Bool
  ) throws(HTTP2Error) {
    try opened(
      stream, fields.withNameValues { submitRequest($0, $1, stream, hasBody: !endsStream) })
  }

  /// The same for a request that has a body, and `fields` in common with others beside the up to `count`
  /// that `add` gives.
  package func submitRequest(
    _ fields: ConstantHeaderFields, and count: Int, for stream: HTTP2Stream,
    _ add: (inout AddedHeaderFields) -> Void
  ) throws(HTTP2Error) {
    try opened(
      stream,
      fields.withNameValues(and: count, add) { submitRequest($0, $1, stream, hasBody: true) })
  }

  private func submitRequest(
    _ values: UnsafePointer<nghttp2_nv>?, _ count: Int, _ stream: HTTP2Stream, hasBody: Bool
  ) -> Int32 {
    let context = Unmanaged.passUnretained(stream).toOpaque()
    return HTTP2Session.withProvider(hasBody ? context : nil) {
      nghttp2_submit_request(session, nil, values, count, $0, context)
    }
  }

  private func opened(_ stream: HTTP2Stream, _ id: Int32) throws(HTTP2Error) {
    try check(id)
    link(stream, id)
    hasOutput()
  }

  func submitResponse(_ fields: ConstantHeaderFields, for stream: HTTP2Stream) {
    fields.withNameValues { submitResponse($0, $1, stream, hasBody: true) }
  }

  func submitResponse(_ fields: HeaderFields, for stream: HTTP2Stream) {
    fields.withNameValues { submitResponse($0, $1, stream, hasBody: true) }
  }

  func submitOnlyHeaders(_ fields: HeaderFields, for stream: HTTP2Stream) {
    fields.withNameValues { submitResponse($0, $1, stream, hasBody: false) }
  }

  private func submitResponse(
    _ values: UnsafePointer<nghttp2_nv>?, _ count: Int, _ stream: HTTP2Stream, hasBody: Bool
  ) {
    let context = Unmanaged.passUnretained(stream).toOpaque()
    let code = HTTP2Session.withProvider(hasBody ? context : nil) {
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

  /// Holds the stream until `close`.
  @discardableResult
  func link(_ stream: HTTP2Stream, _ id: Int32) -> Unmanaged<HTTP2Stream> {
    precondition(stream.id < 0, "a stream is opened once")
    stream.id = id
    stream.session = .passUnretained(self)
    stream.next = firstStream
    streamCount += 1
    let pointer = Unmanaged.passRetained(stream)
    firstStream?._withUnsafeGuaranteedRef { $0.previous = pointer }
    firstStream = pointer
    latest = (id, pointer)
    return pointer
  }

  func close(_ pointer: Unmanaged<HTTP2Stream>, _ code: HTTP2ErrorCode) {
    let stream = pointer.takeRetainedValue()
    let (previous, next) = (stream.previous, stream.next)
    if let previous {
      previous._withUnsafeGuaranteedRef { $0.next = next }
    } else {
      firstStream = next
    }
    next?._withUnsafeGuaranteedRef { $0.previous = previous }
    if latest.id == stream.id { latest = (-1, nil) }
    stream.next = nil
    stream.previous = nil
    stream.session = nil
    streamCount -= 1
    // What nobody will read any more must not keep the other streams of the connection waiting.
    if stream.unconsumedBytes > 0 {
      nghttp2_session_consume_connection(session, stream.unconsumedBytes)
    }
    stream.discardOutput()
    stream.closed(code)
  }

  /// Gives the open stream to `body`. Nobody holds it but the session, which has it outlive the call.
  func withStream<R>(_ id: Int32, _ body: (HTTP2Stream) -> R) -> R? {
    stream(id).map { $0._withUnsafeGuaranteedRef(body) }
  }

  func stream(_ id: Int32) -> Unmanaged<HTTP2Stream>? {
    if id != latest.id {
      guard let found = nghttp2_session_get_stream_user_data(session, id) else { return nil }
      latest = (id, Unmanaged.fromOpaque(found))
    }
    return latest.stream
  }

  // MARK: Cutting the peer off

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
