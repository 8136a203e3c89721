import Contracts
import Foundation
import PythonPeer
import RPC
import TestKit
import Testing

/// The rules of RFC 9113 and RFC 7541 by raw frames, in the groups of the public h2spec list.
@Suite(.timeLimit(.minutes(3))) struct HTTP2RulesTests {
  @Test func theServerKeepsThem() async throws {
    let running = try await RunningServer { reactor in
      let server = Server(reactor: reactor)
      server.register(EchoService().methods)
      return server
    }
    let verdicts = try await PythonPeer.runOnItsOwnThread(
      InteropTests.peer("http2_rules.py"), cases: ["\(running.port)"])
    // How many there are, so that none is lost unseen.
    #expect(verdicts == ["148 ok"])
  }
}
