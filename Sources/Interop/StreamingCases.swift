import Contracts
import RPC
import RPCCore
import Reactor

extension InteropCalls {
  private static let requestSizes = [27_182, 8, 1_828, 45_904]
  private static let responseSizes: [Int32] = [31_415, 9, 2_653, 58_979]

  func clientStreaming() async throws {
    let response = try await client.streamingInputCall { writer in
      for size in InteropCalls.requestSizes {
        try await writer.write(
          GRPCTesting.StreamingInputCallRequest(payload: InteropCalls.payload(size)))
      }
    }
    let sum = response.aggregatedPayloadSize
    try require(sum == 74_922, "the server counted \(sum) bytes of 74922")
  }

  func serverStreaming() async throws {
    var request = GRPCTesting.StreamingOutputCallRequest()
    request.responseParameters = InteropCalls.responseSizes.map {
      GRPCTesting.ResponseParameters(size: $0)
    }
    let stream = try await client.streamingOutputCall(request)
    for size in InteropCalls.responseSizes {
      let response = try await stream.next()
      try InteropCalls.check(response?.payload, is: size)
    }
    try require(try await stream.next() == nil, "more responses than were asked for")
  }

  func pingPong() async throws {
    let (writer, stream) = try await client.fullDuplexCall()
    for (size, answer) in zip(InteropCalls.requestSizes, InteropCalls.responseSizes) {
      try await writer.write(InteropCalls.turn(size, answer))
      let response = try await stream.next()
      try InteropCalls.check(response?.payload, is: answer)
    }
    writer.finish()
    try require(try await stream.next() == nil, "more responses than were asked for")
  }

  func emptyStream() async throws {
    let (writer, stream) = try await client.fullDuplexCall()
    writer.finish()
    try require(try await stream.next() == nil, "a response to no request")
  }

  /// The metadata is sent, no message is.
  func cancelAfterBegin() async throws {
    final class Outcome { var error: (any Error)? }
    let outcome = Outcome()
    // A task of its own: it is the task that is cancelled.
    let call = reactor.loop.spawn(on: reactor) {
      do {
        _ = try await self.client.streamingInputCall { _ in
          withUnsafeCurrentTask { $0?.cancel() }
          try await self.reactor.pause(.seconds(10))
        }
      } catch {
        outcome.error = error
      }
    }
    await call.value
    _ = try await InteropCalls.failure(.cancelled) {
      if let error = outcome.error { throw error }
    }
  }

  func cancelAfterFirstResponse() async throws {
    _ = try await InteropCalls.failure(.cancelled) {
      let (writer, stream) = try await client.fullDuplexCall()
      try await writer.write(InteropCalls.turn(27_182, 31_415))
      let response = try await stream.next()
      try InteropCalls.check(response?.payload, is: 31_415)
      stream.cancel()
      _ = try await stream.next()
    }
  }

  func timeoutOnSleepingServer() async throws {
    _ = try await InteropCalls.failure(.deadlineExceeded) {
      let options = CallOptions(timeout: .milliseconds(1))
      let (writer, stream) = try await client.fullDuplexCall(options: options)
      var request = GRPCTesting.StreamingOutputCallRequest()
      request.payload = InteropCalls.payload(27_182)
      try await writer.write(request)
      _ = try await stream.next()
    }
  }

  private static func turn(_ size: Int, _ answer: Int32) -> GRPCTesting.StreamingOutputCallRequest {
    var request = GRPCTesting.StreamingOutputCallRequest()
    request.responseParameters = [GRPCTesting.ResponseParameters(size: answer)]
    request.payload = payload(size)
    return request
  }
}
