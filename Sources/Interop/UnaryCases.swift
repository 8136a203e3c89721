import Contracts
import RPC
import RPCCore
import Reactor

extension InteropCalls {
  func emptyUnary() async throws { _ = try await client.emptyCall(GRPCTesting.Empty()) }

  func largeUnary() async throws {
    let response = try await client.unaryCall(InteropCalls.largeUnaryRequest())
    try InteropCalls.check(response.payload, is: InteropCalls.largeResponse)
  }

  func concurrentLargeUnary(within timeout: Duration) async throws {
    final class Tally {
      var left = 200
      var failure: (any Error)?
      var whenDone: CheckedContinuation<Void, Never>?
    }
    let tally = Tally()
    let options = CallOptions(timeout: timeout)
    for _ in 0..<tally.left {
      reactor.loop.spawn(on: reactor) {
        do {
          let request = InteropCalls.largeUnaryRequest()
          let response = try await self.client.unaryCall(request, options: options)
          try InteropCalls.check(response.payload, is: InteropCalls.largeResponse)
        } catch {
          tally.failure = error
        }
        tally.left -= 1
        if tally.left == 0 { tally.whenDone?.resume() }
      }
    }
    if tally.left > 0 { await withCheckedContinuation { tally.whenDone = $0 } }
    if let failure = tally.failure { throw failure }
  }

  /// Twice the same: a proxy on the way, where there is one, answers the second.
  func cacheableUnary() async throws {
    var request = GRPCTesting.SimpleRequest()
    request.payload = GRPCTesting.Payload(body: Array("\(Instant.now().nanoseconds)".utf8))
    var options = CallOptions()
    options.metadata.append("x-user-ip", "1.2.3.4")
    let first = try await client.cacheableUnaryCall(request, options: options)
    let second = try await client.cacheableUnaryCall(request, options: options)
    try require(first.payload == second.payload, "two responses to one cacheable request differ")
  }

  func customMetadata() async throws {
    var options = CallOptions()
    options.metadata.append(MetadataEcho.initial, "test_initial_metadata_value")
    options.metadata.append(MetadataEcho.trailing, bytes: [0xAB, 0xAB, 0xAB])
    let record = CallRecord()
    options.record = record
    _ = try await client.unaryCall(InteropCalls.largeUnaryRequest(), options: options)
    try checkEcho(record.initialMetadata, record.trailingMetadata)

    let (writer, stream) = try await client.fullDuplexCall(options: options)
    var request = GRPCTesting.StreamingOutputCallRequest()
    request.responseParameters = [
      GRPCTesting.ResponseParameters(size: InteropCalls.largeResponse)
    ]
    request.payload = InteropCalls.payload(InteropCalls.largeRequest)
    try await writer.write(request)
    writer.finish()
    while try await stream.next() != nil {}
    try checkEcho(stream.initialMetadata, stream.trailingMetadata)
  }

  private func checkEcho(_ initial: Metadata, _ trailing: Metadata) throws {
    let text = initial[MetadataEcho.initial]
    try require(text == "test_initial_metadata_value", "initial metadata: \(text ?? "none")")
    let bytes = trailing.bytes(MetadataEcho.trailing)
    try require(bytes == [0xAB, 0xAB, 0xAB], "trailing metadata: \(bytes ?? [])")
  }

  func statusCodeAndMessage() async throws {
    try await checkStatus("test status message", unaryOnly: false)
  }

  func specialStatusMessage() async throws {
    try await checkStatus(
      "\t\ntest with whitespace\r\nand Unicode BMP \u{263A} and non-BMP \u{1F608}\t\n",
      unaryOnly: true)
  }

  private func checkStatus(_ message: String, unaryOnly: Bool) async throws {
    let status = GRPCTesting.EchoStatus(code: 2, message: message)
    let unary = try await InteropCalls.failure(.unknown) {
      var request = GRPCTesting.SimpleRequest()
      request.responseStatus = status
      _ = try await client.unaryCall(request)
    }
    try require(unary.message == message, "message: \(unary.message)")
    if unaryOnly { return }
    let streaming = try await InteropCalls.failure(.unknown) {
      var request = GRPCTesting.StreamingOutputCallRequest()
      request.responseStatus = status
      let (writer, stream) = try await client.fullDuplexCall()
      try await writer.write(request)
      writer.finish()
      while try await stream.next() != nil {}
    }
    try require(streaming.message == message, "message: \(streaming.message)")
  }

  func unimplementedMethod() async throws {
    _ = try await InteropCalls.failure(.unimplemented) {
      _ = try await client.unimplementedCall(GRPCTesting.Empty())
    }
  }

  func unimplementedService() async throws {
    let other = GRPCTesting.UnimplementedServiceClient(channel: channel)
    _ = try await InteropCalls.failure(.unimplemented) {
      _ = try await other.unimplementedCall(GRPCTesting.Empty())
    }
  }
}
