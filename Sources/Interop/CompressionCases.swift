import Contracts
import RPC
import RPCCore

extension InteropCalls {
  /// First a message that is not as it says: a server that takes it cannot tell, and the case would
  /// prove nothing.
  func clientCompressedUnary() async throws {
    var request = InteropCalls.largeUnaryRequest()
    request.expectCompressed = GRPCTesting.BoolValue(value: true)
    let probe = request
    _ = try await InteropCalls.failure(.invalidArgument) { _ = try await client.unaryCall(probe) }
    for compresses in [true, false] {
      request.expectCompressed = GRPCTesting.BoolValue(value: compresses)
      let options = CallOptions(compresses: compresses)
      let response = try await client.unaryCall(request, options: options)
      try InteropCalls.check(response.payload, is: InteropCalls.largeResponse)
    }
  }

  func serverCompressedUnary() async throws {
    for compressed in [true, false] {
      var request = InteropCalls.largeUnaryRequest()
      request.responseCompressed = GRPCTesting.BoolValue(value: compressed)
      let record = CallRecord()
      let response = try await client.unaryCall(request, options: CallOptions(record: record))
      try InteropCalls.check(response.payload, is: InteropCalls.largeResponse)
      try InteropCalls.check(record.lastWasCompressed, is: compressed)
    }
  }

  func clientCompressedStreaming() async throws {
    _ = try await InteropCalls.failure(.invalidArgument) {
      _ = try await client.streamingInputCall { writer in
        try await writer.write(InteropCalls.input(27_182, isCompressed: true))
      }
    }
    let options = CallOptions(compresses: true)
    let response = try await client.streamingInputCall(options: options) { writer in
      try await writer.write(InteropCalls.input(27_182, isCompressed: true))
      try await writer.write(InteropCalls.input(45_904, isCompressed: false), compressed: false)
    }
    let sum = response.aggregatedPayloadSize
    try require(sum == 73_086, "the server counted \(sum) bytes of 73086")
  }

  func serverCompressedStreaming() async throws {
    let wanted: [(size: Int32, compressed: Bool)] = [(31_415, true), (92_653, false)]
    var request = GRPCTesting.StreamingOutputCallRequest()
    request.responseParameters = wanted.map {
      GRPCTesting.ResponseParameters(
        size: $0.size, compressed: GRPCTesting.BoolValue(value: $0.compressed))
    }
    let stream = try await client.streamingOutputCall(request)
    for (size, compressed) in wanted {
      let response = try await stream.next()
      try InteropCalls.check(response?.payload, is: size)
      try InteropCalls.check(stream.lastWasCompressed, is: compressed)
    }
    try require(try await stream.next() == nil, "more responses than were asked for")
  }

  private static func check(_ wasCompressed: Bool, is compressed: Bool) throws {
    try require(
      wasCompressed == compressed,
      "the response came \(wasCompressed ? "compressed" : "without compression")")
  }

  private static func input(
    _ size: Int, isCompressed: Bool
  ) -> GRPCTesting.StreamingInputCallRequest {
    GRPCTesting.StreamingInputCallRequest(
      payload: payload(size), expectCompressed: GRPCTesting.BoolValue(value: isCompressed))
  }
}
