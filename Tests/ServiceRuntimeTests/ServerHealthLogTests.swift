import RPC
import Reactor
import TestKit
import Testing

@testable import ServiceRuntime

@Suite struct ServerHealthLogTests {
  @Test func itSaysWhichServerGetsNoCalls() {
    let lines = LogLines()
    let log = ServerHealthLog(of: .config, logger: lines.logger)
    let address = SocketAddress.ipv4(address: 0x7F00_0001, port: 9403)
    let events: [ServerHealth] = [
      .unknown, .serving, .notServing(reason: "NOT_SERVING"), .notTold,
    ]
    for health in events { log.healthChanged(address, health) }
    let server = "server=127.0.0.1:9403 service=config"
    #expect(
      lines.all == [
        "healthy: takes calls \(server)",
        "not healthy: gets no calls reason=NOT_SERVING \(server)",
        "has no health service: gets calls unasked \(server)",
      ])
  }
}
