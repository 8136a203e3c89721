import HTTP2
import RPC
import Reactor

/// Keeps a server alive on a reactor's thread of its own while a test blocks the thread that it runs
/// on.
final class RunningServer: @unchecked Sendable {
  let reactor: Reactor
  private var server: Server?
  private(set) var port: UInt16 = 0

  /// - Parameter make: makes the server, on its reactor.
  init(tls: TLSConfiguration? = nil, _ make: @Sendable (Reactor) -> Server) async throws {
    reactor = try Reactor.start(name: "server")
    try await reactor.run { reactor in
      let server = make(reactor)
      let context = try tls.map { try TLSContext.server($0) }
      let address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: 0), tls: context)
      self.server = server
      self.port = address.port ?? 0
    }
  }

  deinit { reactor.loop.stop() }
}
