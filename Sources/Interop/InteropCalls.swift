import Contracts
import RPC
import RPCCore
import Reactor

/// What the cases share: the client, the messages they send, and what they expect back.
struct InteropCalls {
  static let largeRequest = 271_828
  static let largeResponse: Int32 = 314_159

  let client: GRPCTesting.TestServiceClient
  let channel: Channel
  let reactor: Reactor

  init(channel: Channel, reactor: Reactor) {
    self.channel = channel
    self.reactor = reactor
    client = GRPCTesting.TestServiceClient(channel: channel)
  }

  static func payload(_ count: Int) -> GRPCTesting.Payload {
    GRPCTesting.Payload(body: [UInt8](repeating: 0, count: count))
  }

  static func largeUnaryRequest() -> GRPCTesting.SimpleRequest {
    var request = GRPCTesting.SimpleRequest()
    request.responseSize = largeResponse
    request.payload = payload(largeRequest)
    return request
  }

  static func check(_ payload: GRPCTesting.Payload?, is size: Int32) throws {
    let body = payload?.body ?? []
    try require(body.count == Int(size), "a payload of \(body.count) bytes, \(size) were asked for")
    try require(body.allSatisfy { $0 == 0 }, "a payload that is not zeros")
  }

  /// The error that `body` must end with.
  static func failure(
    _ code: StatusCode, _ body: () async throws -> Void
  ) async throws -> RPCError {
    do {
      try await body()
    } catch let error as RPCError {
      try require(error.code == code, "\(error); \(code.name) was to be expected")
      return error
    }
    throw InteropFailure("the call succeeded; \(code.name) was to be expected")
  }
}
