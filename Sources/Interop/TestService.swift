package import Contracts
package import RPC
import RPCCore
import Reactor

/// The server's side of gRPC's interoperability tests, by the public specification.
package final class TestService: GRPCTesting.TestServiceHandler {
  /// The largest payload that a request may ask for, and requests of one half-duplex call.
  static let payloadBytesMax = 4 * 1024 * 1024 - 64
  static let halfDuplexRequestsMax = 1000

  package init() {}

  /// What a server has to serve: all but `UnimplementedCall`, which no server has.
  package var served: [ServerMethod] {
    methods.filter { $0.descriptor != GRPCTesting.TestServiceMethods.unimplementedCall }
  }

  package func emptyCall(
    _ request: GRPCTesting.Empty, context: ServerContext
  ) async throws -> GRPCTesting.Empty { GRPCTesting.Empty() }

  package func unaryCall(
    _ request: GRPCTesting.SimpleRequest, context: ServerContext
  ) async throws -> GRPCTesting.SimpleResponse {
    try TestService.check(request.expectCompressed, context)
    try TestService.fail(as: request.responseStatus)
    context.compressesResponses = request.responseCompressed?.value ?? false
    return GRPCTesting.SimpleResponse(payload: try TestService.payload(request.responseSize))
  }

  package func cacheableUnaryCall(
    _ request: GRPCTesting.SimpleRequest, context: ServerContext
  ) async throws -> GRPCTesting.SimpleResponse {
    context.responseMetadata.append("cache-control", "max-age=60, public")
    return GRPCTesting.SimpleResponse(payload: request.payload)
  }

  package func streamingOutputCall(
    _ request: GRPCTesting.StreamingOutputCallRequest,
    responses: ResponseWriter<GRPCTesting.StreamingOutputCallResponse>, context: ServerContext
  ) async throws {
    try await answer(request, responses, context)
  }

  package func streamingInputCall(
    _ requests: RequestReader<GRPCTesting.StreamingInputCallRequest>, context: ServerContext
  ) async throws -> GRPCTesting.StreamingInputCallResponse {
    var response = GRPCTesting.StreamingInputCallResponse()
    while let request = try await requests.next() {
      try TestService.check(request.expectCompressed, context)
      let size = Int32(clamping: request.payload?.body.count ?? 0)
      response.aggregatedPayloadSize = response.aggregatedPayloadSize.addingClamped(size)
    }
    return response
  }

  package func fullDuplexCall(
    _ requests: RequestReader<GRPCTesting.StreamingOutputCallRequest>,
    responses: ResponseWriter<GRPCTesting.StreamingOutputCallResponse>, context: ServerContext
  ) async throws {
    while let request = try await requests.next() {
      try await answer(request, responses, context)
    }
  }

  package func halfDuplexCall(
    _ requests: RequestReader<GRPCTesting.StreamingOutputCallRequest>,
    responses: ResponseWriter<GRPCTesting.StreamingOutputCallResponse>, context: ServerContext
  ) async throws {
    var kept: [GRPCTesting.StreamingOutputCallRequest] = []
    while let request = try await requests.next() {
      if kept.count >= TestService.halfDuplexRequestsMax {
        throw RPCError(.resourceExhausted, "more than \(kept.count) requests in a half-duplex call")
      }
      kept.append(request)
    }
    for request in kept { try await answer(request, responses, context) }
  }

  package func unimplementedCall(
    _ request: GRPCTesting.Empty, context: ServerContext
  ) async throws -> GRPCTesting.Empty {
    throw RPCError(.unimplemented, "UnimplementedCall is not implemented, as it must be")
  }

  // MARK: Parts

  private func answer(
    _ request: GRPCTesting.StreamingOutputCallRequest,
    _ responses: ResponseWriter<GRPCTesting.StreamingOutputCallResponse>, _ context: ServerContext
  ) async throws {
    try TestService.fail(as: request.responseStatus)
    let wanted = request.responseParameters
    if wanted.contains(where: { $0.compressed?.value == true }) {
      context.compressesResponses = true
    }
    for parameters in wanted {
      if parameters.intervalUs > 0 {
        try await context.reactor.pause(.microseconds(Int64(parameters.intervalUs)))
      }
      try await responses.write(
        GRPCTesting.StreamingOutputCallResponse(
          payload: try TestService.payload(parameters.size)),
        compressed: parameters.compressed?.value ?? false)
    }
  }

  private static func payload(_ size: Int32) throws(RPCError) -> GRPCTesting.Payload {
    guard (0...payloadBytesMax).contains(Int(size)) else {
      throw RPCError(
        .invalidArgument, "a payload of \(size) bytes; 0 to \(payloadBytesMax) can be had")
    }
    return GRPCTesting.Payload(body: [UInt8](repeating: 0, count: Int(size)))
  }

  /// A message that did not come as the client says would hide a client that cannot compress.
  private static func check(
    _ expected: GRPCTesting.BoolValue?, _ context: ServerContext
  ) throws(RPCError) {
    guard let expected, expected.value != context.requestWasCompressed else { return }
    throw RPCError(
      .invalidArgument,
      expected.value ? "the message came without compression" : "the message came compressed")
  }

  private static func fail(as status: GRPCTesting.EchoStatus?) throws(RPCError) {
    guard let status, status.code != 0 else { return }
    throw RPCError(StatusCode(rawValue: Int(status.code)) ?? .unknown, status.message)
  }
}

/// Sends back the metadata that the specification names.
package final class MetadataEcho: ServerInterceptor {
  static let initial = "x-grpc-test-echo-initial"
  static let trailing = "x-grpc-test-echo-trailing-bin"

  package init() {}

  package func begin(_ context: ServerContext) {
    if let text = context.metadata[MetadataEcho.initial] {
      context.responseMetadata.append(MetadataEcho.initial, text)
    }
    if let bytes = context.metadata.bytes(MetadataEcho.trailing) {
      context.trailingMetadata.append(MetadataEcho.trailing, bytes: bytes)
    }
  }
}

extension Reactor {
  /// Waits; throws when the task is cancelled.
  func pause(_ duration: Duration) async throws(RPCError) {
    final class Wait {
      var isCancelled = false
      var timer: LoopTimer?
      var resumption: Resumption<Void>?
    }
    let wait = Wait()
    let loop = self.loop
    await suspended(on: self) {
      wait.isCancelled = true
      if let timer = wait.timer { loop.cancel(timer) }
      wait.resumption?.resume(())
      wait.resumption = nil
    } _: { (resumption: Resumption<Void>) in
      if wait.isCancelled { return resumption.resume(()) }
      wait.resumption = resumption
      wait.timer = loop.schedule(after: duration) {
        wait.resumption?.resume(())
        wait.resumption = nil
      }
    }
    if wait.isCancelled { throw RPCError(.cancelled, "the call was cancelled") }
  }
}

extension Int32 {
  fileprivate func addingClamped(_ other: Int32) -> Int32 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
