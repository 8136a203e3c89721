import HTTP2
import Protobuf
import RPCCore
import Reactor

/// One call on the client's side. What depends on the messages' types is in the subclasses.
class ClientCall: HTTP2StreamHandler {
  let method: MethodDescriptor
  let channel: Channel
  let deadline: Instant
  private let options: CallOptions

  private(set) var stream: HTTP2Stream?
  private weak var connection: ClientConnection?
  private var deframer: MessageDeframer
  private var timer: LoopTimer?
  private(set) var isFinished = false
  private(set) var initialMetadata = Metadata()
  private(set) var trailingMetadata = Metadata()
  /// The server has said that it did not process the call, by REFUSED_STREAM.
  private(set) var wasNeverSeen = false

  init(_ method: MethodDescriptor, _ channel: Channel, _ options: CallOptions) {
    self.method = method
    self.channel = channel
    self.options = options
    let own = channel.loop.now + (options.timeout ?? channel.configuration.callTimeout)
    deadline = min(own, CallDeadline.current ?? .distantFuture)
    deframer = MessageDeframer(messageBytesMax: channel.configuration.messageBytes)
  }

  // MARK: For subclasses

  func received(message: UnsafeRawBufferPointer) throws(RPCError) {}
  func consumed(_ count: Int) { stream?.consume(count) }
  func completed(_ result: Result<Void, RPCError>) {}
  func drained() {}

  // MARK: Life

  /// Connects where necessary and sends the header block.
  func open(endsStream: Bool = false) async throws {
    let connection = try await channel.ready(until: deadline, waits: options.waitForReady)
    if isFinished { throw RPCError(.cancelled, "the call was cancelled") }
    let remaining = (deadline - Instant.now()).nanosecondsSaturating
    if remaining <= 0 { throw RPCError(.deadlineExceeded, "the deadline passed before the call") }
    let stream = HTTP2Stream(self)
    do {
      try connection.open(stream, fields(remaining))
    } catch {
      throw RPCError(.unavailable, "cannot open a stream: \(error)")
    }
    self.stream = stream
    self.connection = connection
    timer = channel.loop.schedule(at: deadline) { [unowned self] in
      self.timer = nil
      self.end(.failure(RPCError(.deadlineExceeded, "no answer before the deadline")))
    }
  }

  private func fields(_ remaining: Int64) -> HeaderFields {
    var fields = HeaderFields()
    fields.append(":method", "POST")
    fields.append(":scheme", channel.configuration.tls == nil ? "http" : "https")
    fields.append(":path", method.path)
    fields.append(":authority", channel.configuration.authority)
    fields.append("te", "trailers")
    fields.append("content-type", "application/grpc")
    fields.append("grpc-timeout", GRPCTimeout.encode(nanoseconds: remaining))
    for metadata in [channel.metadata(), options.metadata] {
      for entry in metadata.entries {
        fields.append(
          entry.name, Metadata.wireValue(entry.value), isSensitive: entry.name == "authorization")
      }
    }
    return fields
  }

  /// Ends the call from this side; the server is told to stop.
  func cancel() { end(.failure(RPCError(.cancelled, "the call was cancelled"))) }

  /// From any thread.
  func cancelFromAnywhere() {
    nonisolated(unsafe) let call = self
    channel.loop.execute { call.cancel() }
  }

  private func end(_ result: Result<Void, RPCError>) {
    if isFinished { return }
    finish()
    stream?.reset(.cancel)
    stream = nil
    completed(result)
  }

  private func finish() {
    isFinished = true
    if let timer { channel.loop.cancel(timer) }
    timer = nil
  }

  // MARK: HTTP2StreamHandler

  func receivedHeaders(endsStream: Bool) {
    guard let head = connection?.takeHead() else { return }
    if let status = head.httpStatus, (100..<200).contains(status) { return }
    if head.grpcStatus == nil || head.httpStatus == nil {
      trailingMetadata = head.metadata
    }
    if head.httpStatus != nil { initialMetadata = head.metadata }
    guard var outcome = head.outcome else { return }
    if case .success = outcome, deframer.holdsPartOfAMessage {
      outcome = .failure(RPCError(.internal, "the response ended in the middle of a message"))
    }
    if isFinished { return }
    finish()
    if !endsStream { stream?.reset(.cancel) }
    completed(outcome)
  }

  func received(_ bytes: UnsafeRawBufferPointer) {
    if isFinished { return consumed(bytes.count) }
    do throws(RPCError) {
      try deframer.feed(bytes) { message throws(RPCError) in try self.received(message: message) }
    } catch {
      end(.failure(error))
    }
    consumed(bytes.count)
  }

  func receivedEnd() {
    end(.failure(RPCError(.unknown, "the server ended the call without a status")))
  }

  func outputDrained() { drained() }

  func closed(_ code: HTTP2ErrorCode) {
    stream = nil
    if isFinished { return }
    finish()
    wasNeverSeen = code == .refusedStream
    let reason =
      code == .connectionLost
      ? "the connection was lost: \(channel.lastFailure)"
      : "the server reset the call (HTTP/2 code \(code.rawValue))"
    let status =
      code == .noError ? StatusCode.unknown : StatusCode(http2ErrorCode: code.rawValue)
    var error = RPCError(status, reason)
    error.isOutcomeUnknown = code == .connectionLost
    completed(.failure(error))
  }
}

extension ClientCall {
  /// Runs `body`, and cancels the call when the task around it is cancelled.
  func cancelling<R>(_ body: () async throws -> R) async throws -> R {
    nonisolated(unsafe) let call = self
    return try await cancellable(body) { call.cancelFromAnywhere() }
  }
}
