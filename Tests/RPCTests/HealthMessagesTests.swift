import RPCCore
import Testing

@testable import RPC

@Suite struct HealthMessagesTests {
  private func health(_ bytes: [UInt8]) throws -> ServerHealth {
    try bytes.withUnsafeBytes { try HealthMessages.health($0, of: "") }
  }

  @Test func requestsNameTheService() {
    #expect(HealthMessages.request("") == [0, 0, 0, 0, 0])
    #expect(HealthMessages.request("ab") == [0, 0, 0, 0, 4, 0x0A, 2, 0x61, 0x62])
    let long = HealthMessages.request(String(repeating: "a", count: 300))
    #expect(long[..<8] == [0, 0, 0, 1, 0x2F, 0x0A, 0xAC, 0x02])
    #expect(long.count == 5 + 3 + 300)
  }

  @Test func statusesAreRead() throws {
    #expect(try health([]) == .notServing(reason: "UNKNOWN"))
    #expect(try health([8, 1]) == .serving)
    #expect(try health([8, 2]) == .notServing(reason: "NOT_SERVING"))
    #expect(try health([8, 3]) == .notServing(reason: "SERVICE_UNKNOWN"))
    #expect(try health([8, 4]) == .notServing(reason: "status 4"))
    // The last counts, and what is not known is passed over.
    #expect(try health([8, 2, 0x12, 1, 0xFF, 8, 1, 0x1D, 1, 2, 3, 4]) == .serving)
    let negative: [UInt8] = [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]
    #expect(try health(negative) == .notServing(reason: "status \(UInt64.max)"))
  }

  @Test(arguments: [
    [8], [8, 0x80], [8] + [UInt8](repeating: 0xFF, count: 11), [0], [0x0A, 1, 1],
    [0x0D, 1, 0, 0, 0],
    [0x12, 5, 1], [0x13], [8, 1, 0x0F],
  ])
  func garbageIsRefused(bytes: [UInt8]) {
    #expect(throws: RPCError.self) { try health(bytes) }
  }
}
