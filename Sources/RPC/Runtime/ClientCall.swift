package import HTTP2
import Observability
import Protobuf
import RPCCore
import Reactor

/// One call on the client's side, over as many attempts as it takes. What depends on the messages'
/// types is in the subclasses.
///
/// It is its own first attempt, where it is not hedged: most calls make no other, and an object beside each
/// is one more to make, hold and let go of. Small, since of a thousand calls under way each is out of the
/// processor's caches by the time it is answered. What it inherits is that first stream's: what the call does
/// goes by `attempt`.
package class ClientCall: HTTP2Stream, TimerHandler {
  /// Of the request. nghttp2 drops header blocks of more than 64 KiB without a word.
  static let metadataBytesMax = 32 * 1024

  let channel: Channel
  let method: ClientMethod
  private(set) var deadline: Instant
  /// When it was made, before it waited for a connection.
  let begun: Instant
  let waitsForReady: Bool
  private let compresses: Bool
  private let record: CallRecord?
  /// What all its attempts carry: the caller's metadata and what interceptors have added.
  var metadata: Metadata

  /// That under way, where there can be one only. The call itself, for its first, holds itself by it until the
  /// stream is closed at the latest.
  private(set) var attempt: HTTP2Stream?
  /// Of its own stream, held until that is closed.
  private var connection: ClientConnection?
  private var deframer: MessageDeframer

  private var request = ReplayBuffer()
  private(set) var attempts = Attempts()
  /// How long a unary call may take before anybody listens whether its task is cancelled. To listen costs a
  /// call a tenth of all that it does here, and most are over before anybody could have said so.
  static let unheard = Duration.milliseconds(20)
  /// Whether nobody listens yet.
  var isUnheard = false
  /// While several attempts may be under way, none of which is the call's yet.
  private(set) var hedging: Hedging?
  private var timer: LoopTimer?
  private var retryTimer: LoopTimer?
  private var opening: UnsafeContinuation<Void, Never>?
  /// How the call has failed, or will when it is started: not over unless `isFinished`.
  private(set) var failure: RPCError?
  private var isStarted = false
  private(set) var receivedBytes = 0
  private(set) var sentBytes = 0
  private(set) var isFinished = false
  private(set) var initialMetadata = Metadata()
  private(set) var trailingMetadata = Metadata()

  init(
    _ method: borrowing MethodDescriptor, _ channel: borrowing Channel,
    _ options: borrowing CallOptions
  ) {
    self.channel = copy channel
    let method = channel.method(method)
    self.method = method
    waitsForReady = options.waitForReady ?? method.config.waitForReady ?? false
    compresses = options.compresses
    record = options.record
    let now = channel.loop.now
    deadline = method.deadline(options.timeout, now: now)
    begun = now
    metadata = options.metadata
    deframer = MessageDeframer(messageBytesMax: method.responseBytesMax)
  }

  // The loop does not hold whom its timer is for.
  deinit { if let timer { channel.loop.cancel(timer) } }

  /// How the messages of the request go out.
  var encoding: MessageEncoding { compresses ? .gzip : .identity }

  // MARK: For subclasses

  func received(message: UnsafeRawBufferPointer, wasCompressed: Bool) throws(RPCError) {}
  func consumed(_ count: Int) { attempt?.consume(count) }
  /// Why a call that ended with OK has failed all the same.
  var fault: RPCError? { nil }
  func completed(_ result: Result<Void, RPCError>) {}
  /// The call has taken `unheard`.
  func beHeard() {}
  func drained() {}

  // MARK: Life

  /// Begins the call: on a connection that is there, or as soon as there is one.
  func start() {
    // The task may have been cancelled before.
    if isFinished { return }
    precondition(!isStarted, "a call is made once")
    isStarted = true
    let scope = RequestScope.current
    // That of the call being served, for the calls made on its behalf.
    if let scope { deadline = min(deadline, Instant(nanoseconds: scope.deadline)) }
    channel.interceptors?.began(OutgoingCall(call: self), in: scope)
    if let refusal = failure ?? metadataRefusal { return stop(.failure(refusal)) }
    let first = isUnheard ? min(deadline, begun + ClientCall.unheard) : deadline
    timer = channel.loop.schedule(at: first, for: self)
    if let policy = method.config.hedging {
      let hedging = Hedging(self, policy)
      self.hedging = hedging
      hedging.beginAttempt()
    } else {
      channel.place(self)
    }
  }

  package func timerFired() {
    timer = nil
    let wasUnheard = isUnheard
    isUnheard = false
    if wasUnheard, channel.loop.now < deadline {
      timer = channel.loop.schedule(at: deadline, for: self)
      return beHeard()
    }
    let reason =
      !isUnderWay
      ? "no connection before the deadline: \(channel.lastFailure)"
      : "no answer before the deadline"
    stop(.failure(RPCError(.deadlineExceeded, reason)))
  }

  /// Whether an attempt has a stream.
  private var isUnderWay: Bool { attempt != nil || hedging?.isUnderWay == true }

  /// Begins the call, and waits until it is on its way.
  func open() async throws {
    start()
    if !isUnderWay, !isFinished {
      await withUnsafeContinuation { continuation in
        // The task may have come here by way of the loop's queue.
        if isUnderWay || isFinished { continuation.resume() } else { opening = continuation }
      }
    }
    if let failure { throw failure }
  }

  /// Makes an attempt on `connection`; for the channel.
  func open(on connection: ClientConnection) {
    if let hedging { return hedging.open(on: connection) }
    if id < 0 {
      self.connection = connection
      if open(self, on: connection) { attempt = self }
    } else {
      let further = SeparateAttempt(of: self)
      further.connection = connection
      if open(further, on: connection, previousAttempts: Int(attempts.retries)) {
        attempt = further
      }
    }
  }

  /// Opens the stream of `attempt` and sends what there is of the request. False when that failed, as has
  /// the attempt.
  func open(
    _ attempt: HTTP2Stream, on connection: ClientConnection, previousAttempts: Int = 0
  ) -> Bool {
    let now = channel.loop.now
    if deadline.nanoseconds <= now.nanoseconds {
      stop(.failure(RPCError(.deadlineExceeded, "the deadline passed before the call")))
      return false
    }
    do {
      try method.open(
        attempt, on: connection,
        nanoseconds: Int64(clamping: deadline.nanoseconds - now.nanoseconds),
        previousAttempts: previousAttempts, compresses: compresses, metadata)
    } catch {
      fail(RPCError(.unavailable, "cannot open a stream: \(error)"))
      return false
    }
    attempts.made += 1
    sendRequest(on: attempt)
    if requestIsTooLarge, hedging == nil { commit() }
    opening.take()?.resume()
    return true
  }

  // MARK: The request

  /// What there is of it.
  private func sendRequest(on attempt: HTTP2Stream) {
    if let first = request.first { attempt.send(first) }
    if !request.rest.isEmpty { for message in request.rest { attempt.send(message) } }
    if request.hasEnded { attempt.end() }
  }

  /// Queues a message, prefix included, for this attempt and those that may follow.
  func sendMessage(_ message: [UInt8]) {
    if let most = method.config.requestBytesMax, message.count - MessageDeframer.prefixBytes > most
    {
      let reason = "the request has a message of more than \(most) bytes"
      return refuse(RPCError(.resourceExhausted, reason))
    }
    sentBytes += message.count
    if !attempts.areOver {
      request.append(message)
      if requestIsTooLarge {
        hedging?.settle()
        if attempt != nil { commit() }
      }
    }
    attempt?.send(message)
    hedging?.send(message)
  }

  /// More than is kept for further attempts.
  var requestIsTooLarge: Bool { request.bytes > channel.configuration.replayBytes }

  private var metadataRefusal: RPCError? {
    let (bytes, most) = (metadata.byteCount, ClientCall.metadataBytesMax)
    if bytes <= most { return nil }
    return RPCError(
      .resourceExhausted, "the request has \(bytes) bytes of metadata, more than \(most)")
  }

  /// Ends the call because of its request; one that has not begun as soon as it has.
  private func refuse(_ error: RPCError) {
    if isStarted { stop(.failure(error)) } else { failure = error }
  }

  /// No more messages follow.
  func endRequest() {
    request.hasEnded = true
    attempt?.end()
    hedging?.endRequest()
  }

  /// Bytes that wait to be sent.
  var unsentBytes: Int { attempt?.queuedBytes ?? hedging?.queuedBytes ?? request.bytes }

  /// No further attempt will be made.
  private func commit() {
    attempts.areOver = true
    request.removeAll()
  }

  // MARK: The end

  /// Ends the call from this side; the server is told to stop.
  func cancel() { stop(.failure(RPCError(.cancelled, "the call was cancelled"))) }

  /// The same for a task that was cancelled in the call, and what it throws. Not inlined, for the frames of
  /// suspended calls (see `UnaryClientCall.run`).
  @inline(never)
  func cancelled() -> RPCError {
    cancel()
    return failure ?? RPCError(.cancelled, "the call was cancelled")
  }

  /// From any thread.
  func cancelFromAnywhere() {
    nonisolated(unsafe) let call = self
    channel.loop.execute { call.cancel() }
  }

  /// No connection could be had; for the channel. Other attempts under way go on.
  func fail(_ error: RPCError) {
    if hedging?.goesOnWithout() != true { stop(.failure(error)) }
  }

  private func stop(_ result: Result<Void, RPCError>) {
    if isFinished { return }
    if let attempt = attempt.take() { attempt.reset(.cancel) } else { channel.withdraw(self) }
    finish(result)
  }

  func finish(_ result: Result<Void, RPCError>) {
    var result = result
    if case .success = result, let fault { result = .failure(fault) }
    isFinished = true
    hedging.take()?.end()
    if let timer = timer.take() { channel.loop.cancel(timer) }
    if let timer = retryTimer.take() { channel.loop.cancel(timer) }
    request.removeAll()
    if case .failure(let error) = result { failure = error }
    if let record {
      record.initialMetadata = initialMetadata
      record.trailingMetadata = trailingMetadata
      record.attempts = Int(attempts.made)
    }
    if isStarted { channel.interceptors?.ended(OutgoingCall(call: self)) }
    completed(result)
    opening.take()?.resume()
  }

  // MARK: Further attempts

  /// The attempt is over: so is the call, unless it is worth another one.
  private func conclude(
    _ result: Result<Void, RPCError>, _ fate: Attempts.Fate, pushback: Pushback? = nil
  ) {
    // First of all, so that the failure itself counts when its retry is weighed.
    if case .answered = fate, let codes = method.config.hedging?.codes ?? method.config.retry?.codes
    {
      channel.retryTokens.note(result, codes, pushback)
    }
    guard case .failure(let error) = result,
      let delay = delay(after: error, fate, pushback), channel.loop.now + delay < deadline
    else { return finish(result) }
    leaveAttempt()
    // Not within the callback of a connection that may be going away.
    retryTimer = channel.loop.schedule(at: channel.loop.now + delay) {
      self.retryTimer = nil
      self.channel.place(self)
    }
  }

  /// How long to wait before another attempt, nil where none is to be made.
  private func delay(
    after error: RPCError, _ fate: Attempts.Fate, _ pushback: Pushback?
  ) -> Duration? {
    if attempts.areOver { return nil }
    if attempts.repetitions.allow(fate) { return .zero }
    guard let policy = method.config.retry, policy.codes.contains(error.code),
      Int(attempts.retries) + 1 < policy.attempts, channel.retryTokens.allowRetries
    else { return nil }
    attempts.retries += 1
    switch pushback {
    case .never: return nil
    case .after(let delay): return delay
    case nil: return policy.delay(after: Int(attempts.retries))
    }
  }

  private func leaveAttempt() {
    (attempt.take() as? SeparateAttempt)?.leave()
    deframer = MessageDeframer(messageBytesMax: method.responseBytesMax)
  }

  /// Of hedged attempts this one is the call.
  func adopt(_ attempt: SeparateAttempt) {
    hedging.take()?.end()
    self.attempt = attempt
  }

  /// An attempt has a status: neither side may go on for nobody.
  func concluded(_ head: ResponseHead, _ attempt: HTTP2Stream, endsStream: Bool) {
    trailingMetadata = head.metadata
    if !endsStream || !request.hasEnded || attempt.queuedBytes > 0 { attempt.reset(.cancel) }
  }

  /// Why, and how, an attempt failed whose stream was closed with `code`.
  func failure(_ code: HTTP2ErrorCode, hadBegun: Bool) -> (RPCError, Attempts.Fate) {
    if code == .headersTooLarge {
      let limit = channel.configuration.http2.headerListBytes
      let reason = "the response has metadata of more than \(limit) bytes (headerListBytes)"
      return (RPCError(.resourceExhausted, reason), .answered)
    }
    let reason =
      code == .connectionLost
      ? "the connection was lost: \(channel.lastFailure)"
      : "the server reset the call (HTTP/2 code \(code.rawValue))"
    var error = RPCError(StatusCode(http2ErrorCode: code.rawValue), reason)
    error.isOutcomeUnknown = code == .connectionLost && hadBegun
    return (error, !hadBegun ? .unsent : code == .refusedStream ? .refused : .answered)
  }

  // MARK: For the attempt that is the call

  func received(_ head: ResponseHead, on attempt: HTTP2Stream, endsStream: Bool) {
    if isFinished { return }
    guard let outcome = head.outcome else { return receivedInitial(head) }
    concluded(head, attempt, endsStream: endsStream)
    if case .success = outcome, deframer.holdsPartOfAMessage {
      let error = RPCError(.internal, "the response ended in the middle of a message")
      return finish(.failure(error))
    }
    conclude(outcome, .answered, pushback: head.pushback)
  }

  func receivedInitial(_ head: ResponseHead) {
    initialMetadata = head.metadata
    commit()
    if let encoding = head.encoding {
      deframer.encoding = encoding
    } else {
      stop(
        .failure(RPCError(.internal, "the server answered in an encoding that we do not accept")))
    }
  }

  func receivedBody(_ bytes: UnsafeRawBufferPointer) {
    if isFinished { return consumed(bytes.count) }
    receivedBytes += bytes.count
    do throws(RPCError) {
      try deframer.feed(bytes) { message, wasCompressed throws(RPCError) in
        self.record?.lastWasCompressed = wasCompressed
        try self.received(message: message, wasCompressed: wasCompressed)
      }
    } catch {
      stop(.failure(error))
    }
    consumed(bytes.count)
  }

  func receivedNoStatus() {
    stop(.failure(RPCError(.unknown, "the server ended the call without a status")))
  }

  func attemptClosed(_ code: HTTP2ErrorCode, hadBegun: Bool) {
    attempt = nil
    if isFinished { return }
    let (error, fate) = failure(code, hadBegun: hadBegun)
    conclude(.failure(error), fate)
  }

  // MARK: HTTP2Stream, as its own first attempt

  private var isItsOwnAttempt: Bool { attempt === self }

  override package func receivedHeaders(endsStream: Bool) {
    guard let head = connection?.takeHead(), isItsOwnAttempt else { return }
    received(head, on: self, endsStream: endsStream)
  }

  override package func received(_ bytes: UnsafeRawBufferPointer) {
    if isItsOwnAttempt { receivedBody(bytes) } else { consume(bytes.count) }
  }

  override package func receivedEnd() { if isItsOwnAttempt { receivedNoStatus() } }

  override package func outputDrained() { if isItsOwnAttempt { drained() } }

  override package func closed(_ code: HTTP2ErrorCode) {
    connection.take()?.streamClosed()
    if isItsOwnAttempt { attemptClosed(code, hadBegun: hasBegun) }
  }
}

extension ClientCall {
  /// Runs `body`, and cancels the call when the task around it is cancelled.
  func cancelling<R, E: Error>(_ body: () async throws(E) -> R) async throws(E) -> R {
    nonisolated(unsafe) let call = self
    return try await cancellable(body) { call.cancelFromAnywhere() }
  }
}
