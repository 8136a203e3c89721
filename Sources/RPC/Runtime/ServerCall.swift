package import HTTP2
import Observability
import Protobuf
import RPCCore
import Reactor

/// One call on the server's side: from the header block to the trailers.
///
/// What depends on the messages' types is in the subclasses.
package class ServerCall: HTTP2Stream, TimerHandler {
  /// Runs what the service has for the call, and responds.
  package typealias Handler = (ResponseSender) async throws -> Void

  final let method: ServerMethod
  final let connection: ServerConnection

  private(set) final var metadata = Metadata()
  private(set) final var received = Instant.distantFuture
  private(set) final var deadline = Instant.distantFuture
  /// What the handler inherits.
  final var scope: RequestScope?
  var responseMetadata = Metadata()
  var trailingMetadata = Metadata()
  var values: [ObjectIdentifier: Any] = [:]
  /// Whether the handler wants its messages compressed; it is done where the client accepts that.
  var compressesResponses = false
  private var clientAcceptsGzip = false
  /// The headers have said that messages may be compressed.
  private(set) var sendsGzip = false

  private var deframer: MessageDeframer
  private var timer: LoopTimer?
  private var task: HandlerTask?
  /// The call behind this one, while both wait for a task.
  var nextWaiting: ServerCall?
  private var hasHead = false
  private var headersSent = false
  private(set) var isFinished = false
  private var isRunning = false
  /// Interceptors whose `begin` has returned.
  private var begunInterceptors = 0
  private var handlerHasBegun = false
  /// What ended the call before its handler did.
  private var earlyEnd: RPCError?
  private var isAbandoned = false
  /// Bytes of messages, with their prefixes and as they are on the wire.
  private(set) final var receivedBytes = 0
  final var sentBytes = 0
  private var gatheredBytes = 0
  /// What an open call takes beside its messages.
  private var openBytes = 0
  private var heldBytes = 0

  init(_ method: borrowing ServerMethod, _ connection: borrowing ServerConnection) {
    self.method = copy method
    self.connection = copy connection
    deframer = MessageDeframer(messageBytesMax: connection.server.limits.messageBytes)
  }

  func open(_ head: RequestHead) {
    metadata = head.metadata
    metadata.trim()
    openBytes = ServerLimits.callBytes + metadata.memoryBytes
    deframer.encoding = head.encoding ?? .identity
    clientAcceptsGzip = head.acceptsGzip
    let longest =
      method.streams ? connection.server.longestStreamingCall : connection.server.longestUnaryCall
    received = connection.loop.now
    deadline = Instant(
      nanoseconds: received.nanoseconds + UInt64(min(head.timeout ?? longest, longest)))
  }

  // MARK: For subclasses

  func received(message: UnsafeRawBufferPointer, wasCompressed: Bool) throws(RPCError) {}
  /// Whether the message that the handler has taken last came compressed.
  var requestWasCompressed: Bool { false }
  func receivedEndOfRequest() throws(RPCError) {}
  func failed(_ error: RPCError) {}
  func drained() {}
  func begin() {}
  /// The handler, to be run once.
  func takeHandler() -> Handler? { nil }
  /// Sends the response of a call that has one, behind the gRPC prefix.
  func respond(_ message: consuming [UInt8]) throws(RPCError) {}
  /// Bytes of messages beside the one that is being received which wait here: for the handler, or for
  /// the client.
  var waitingBytes: Int { 0 }

  // MARK: HTTP2Stream

  package override func receivedHeaders(endsStream: Bool) {
    // The client's trailers say nothing to a server.
    if hasHead { return }
    hasHead = true
    timer = connection.loop.schedule(at: deadline, for: self)
    do throws(RPCError) {
      try holdBytes()
    } catch {
      refuse(error)
      // What was not claimed must not be kept until the client has taken the status.
      metadata = Metadata()
      return
    }
    begin()
  }

  package override func received(_ bytes: UnsafeRawBufferPointer) {
    if isFinished { return }
    receivedBytes += bytes.count
    do throws(RPCError) {
      let mayBeCompressed = if case .gzip = deframer.encoding { true } else { false }
      if mayBeCompressed, !connection.mayInflate() {
        throw RPCError(
          .resourceExhausted, "compressed messages come to too much; send less at once")
      }
      // What is refused on the way has cost as much.
      defer { if mayBeCompressed { connection.inflated(deframer.takeInflatedBytes()) } }
      try deframer.feed(bytes) { message, wasCompressed throws(RPCError) in
        try self.received(message: message, wasCompressed: wasCompressed)
        // At once: a small frame may hold many messages that were compressed well.
        try self.holdBytes()
      }
      gatheredBytes = deframer.gatheredBytes
      try holdBytes()
    } catch {
      refuse(error)
    }
  }

  package override func receivedEnd() {
    if isFinished { return }
    do throws(RPCError) {
      if gatheredBytes > 0 {
        throw RPCError(.internal, "the request ended in the middle of a message")
      }
      try receivedEndOfRequest()
    } catch {
      refuse(error)
    }
  }

  package override func outputDrained() { drained() }

  package override func closed(_ code: HTTP2ErrorCode) {
    connection.callEnded()
    stopTimer()
    if !isFinished {
      let code = StatusCode(http2ErrorCode: code.rawValue)
      abort(RPCError(code == .unavailable ? .cancelled : code, "the call was ended by the client"))
    }
    releaseBytes()
  }

  /// Also bounds how long a client may take over a response that is complete.
  package func timerFired() {
    timer = nil
    let error = RPCError(.deadlineExceeded, "the deadline passed")
    if isFinished {
      reset(.cancel)
      return
    }
    // A status tells a client whose clock is slower what happened, but it cannot overtake messages
    // that the client does not take.
    if queuedBytes > 0 {
      reset(.cancel)
      abort(error)
    } else {
      refuse(error)
      // Nor does it go out while the client's window is closed.
      let grace = connection.server.limits.statusGrace
      timer = connection.loop.schedule(at: Instant.now() + grace, for: self)
    }
  }

  /// Ends the call while its handler runs: it is told, and is on its own from here.
  private func abort(_ error: RPCError) {
    let task = self.task
    endEarly(error)
    finish()
    abandonHandler()
    failed(error)
    task?.cancel()
  }

  private func abandonHandler() {
    if !isRunning || isAbandoned { return }
    isAbandoned = true
    connection.abandonedHandler()
  }

  // MARK: What the call holds

  /// Claims what the call holds now, or gives back what it no longer does.
  final func holdBytes() throws(RPCError) {
    // All is given back; what a handler has left running may still take messages.
    if !isOpen, !isRunning { return }
    let held = openBytes + gatheredBytes + waitingBytes
    if held == heldBytes { return }
    try connection.hold(bytes: held - heldBytes)
    heldBytes = held
  }

  /// When the stream and the handler are both done with.
  private func releaseBytes() {
    if isRunning || isOpen || heldBytes == 0 { return }
    try? connection.hold(bytes: -heldBytes)
    heldBytes = 0
  }

  // MARK: Running the handler

  /// Starts the handler, in this turn of the loop.
  func run() {
    do throws(RPCError) {
      try connection.admitHandler()
    } catch {
      endEarly(error)
      let pushback = connection.server.limits.retryPushback * Double.random(in: 0.5...1.5)
      return respond(error: error, retryAfter: pushback)
    }
    isRunning = true
    connection.server.handlerTasks.run(self)
  }

  /// The handler with all that stands around it, on `task`. One function with those that call it, since
  /// each that waits costs a switch of executors.
  @inline(__always)
  final func execute(on task: HandlerTask, isolation: isolated (any Actor)?) async {
    defer { finishedHandler() }
    if isFinished { return }
    self.task = task
    handlerHasBegun = true
    do {
      try beginInterceptors()
      if let handler = takeHandler() {
        let scope = scope ?? RequestScope(context: nil, deadline: deadline.nanoseconds)
        try await RequestScope.$current.withValue(scope) {
          _ = isolation
          try await handler(ResponseSender(call: self))
        }
      }
      endInterceptors(earlyEnd)
      succeed()
    } catch {
      endInterceptors(earlyEnd ?? error)
      respond(error: RPCError(error))
    }
  }

  private func beginInterceptors() throws {
    try connection.server.interceptors?.begin(ServerContext(call: self), &begunInterceptors)
  }

  private func endInterceptors(_ error: (any Error)?) {
    if begunInterceptors == 0 { return }
    connection.server.interceptors?.end(ServerContext(call: self), error, begunInterceptors)
  }

  private func endEarly(_ error: RPCError) {
    if handlerHasBegun {
      earlyEnd = error
    } else {
      connection.server.interceptors?.refused(ServerContext(call: self), error)
    }
  }

  private func finishedHandler() {
    isRunning = false
    connection.finishedHandler(wasAbandoned: isAbandoned)
    releaseBytes()
  }

  func succeed() {
    if isFinished { return }
    sendHeaders()
    if trailingMetadata.isEmpty {
      end(ServerCall.okTrailers)
    } else {
      end(trailers(for: RPCError(.ok, "")))
    }
    finish()
  }

  /// Fails the call from outside the handler: bad framing, an undecodable message.
  private func refuse(_ error: RPCError) {
    if isFinished { return }
    let task = self.task
    endEarly(error)
    respond(error: error)
    abandonHandler()
    failed(error)
    task?.cancel()
  }

  // MARK: The response

  private static let okHeaders = ConstantHeaderFields([
    (":status", "200"), ("content-type", "application/grpc"),
  ])
  private static let okTrailers = ConstantHeaderFields([("grpc-status", "0")])

  /// How messages will be sent if the headers go out now.
  final var responseEncoding: MessageEncoding {
    compressesResponses && clientAcceptsGzip ? .gzip : .identity
  }

  func sendHeaders() {
    if headersSent || !isOpen { return }
    headersSent = true
    sendsGzip = compressesResponses && clientAcceptsGzip
    if responseMetadata.isEmpty, !sendsGzip {
      submitResponse(ServerCall.okHeaders)
    } else {
      var fields = ServerCall.responseFields()
      if sendsGzip { fields.append("grpc-encoding", MessageEncoding.gzip.rawValue) }
      fields.append(responseMetadata)
      submitResponse(fields)
    }
  }

  /// - Parameter pushback: when the client may try again; for calls that were never begun.
  func respond(error: RPCError, retryAfter pushback: Duration? = nil) {
    if isFinished { return }
    if headersSent {
      end(trailers(for: error))
    } else if isOpen {
      var fields = ServerCall.responseFields()
      fields.append(responseMetadata)
      fields.append(error)
      if let pushback {
        fields.append("grpc-retry-pushback-ms", String(Int(pushback / .milliseconds(1))))
      }
      fields.append(trailingMetadata)
      submitOnlyHeaders(fields)
    }
    finish()
  }

  private func trailers(for error: RPCError) -> HeaderFields {
    var fields = HeaderFields()
    fields.append(error)
    fields.append(trailingMetadata)
    return fields
  }

  private static func responseFields() -> HeaderFields {
    var fields = HeaderFields()
    fields.append(":status", "200")
    fields.append("content-type", "application/grpc")
    return fields
  }

  private func finish() {
    isFinished = true
    task = nil
    if !isOpen { stopTimer() }
  }

  private func stopTimer() {
    if let timer { connection.loop.cancel(timer) }
    timer = nil
  }
}

extension RPCError {
  /// What a client is told of an error that a handler has thrown.
  package init(_ error: any Error) {
    switch error {
    case let error as RPCError: self = error
    case is CancellationError: self.init(.cancelled, "the call was cancelled")
    // What it says may be internal: it is for the log, and an interceptor has put it there.
    default: self.init(.unknown, "internal error")
    }
  }
}
