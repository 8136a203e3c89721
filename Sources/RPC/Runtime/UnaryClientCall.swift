import RPCCore

/// A call whose response is one message.
final class UnaryClientCall<Response: Sendable>: ClientCall {
  private let decode: MessageDecoding<Response>
  private var response: Response?
  private var outcome: Result<Response, RPCError>?
  private var waiter: UnsafeContinuation<Response, any Error>?
  let gate = OutputGate()

  init(
    _ method: MethodDescriptor, _ channel: Channel, _ options: CallOptions,
    _ decode: @escaping MessageDecoding<Response>
  ) {
    self.decode = decode
    super.init(method, channel, options)
  }

  override func received(
    message: UnsafeRawBufferPointer, wasCompressed: Bool
  ) throws(RPCError) {
    if response != nil {
      throw RPCError(.unimplemented, "\(method.path) has one response message, more came")
    }
    var memoryBytes = 0
    response = try decode(message, &memoryBytes)
  }

  override var fault: RPCError? {
    response == nil
      ? RPCError(.unimplemented, "\(method.path) has one response message, none came") : nil
  }

  override func completed(_ result: Result<Void, RPCError>) {
    switch result {
    case .success:
      outcome = response.map { .success($0) }
      gate.fail(RPCError(.cancelled, "the server has answered; it reads no more"))
    case .failure(let error):
      outcome = .failure(error)
      gate.fail(error)
    }
    if let outcome { waiter.take()?.resume(with: outcome.mapError { $0 as any Error }) }
  }

  override func drained() { gate.drained() }

  /// Waits for the end of the call.
  func result() async throws -> Response {
    if let outcome { return try outcome.get() }
    return try await withUnsafeThrowingContinuation { continuation in
      // The task may have come here by way of the loop's queue, and the answer before it.
      if let outcome {
        continuation.resume(with: outcome.mapError { $0 as any Error })
      } else {
        waiter = continuation
      }
    }
  }
}
