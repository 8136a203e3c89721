import Contracts
import PythonPeer
import RPC
import Reactor
import TestKit
import Testing

/// The two steps in which a server ends a connection, frame by frame: first no more streams are to be
/// opened, and those on their way are served; then is told which was the last.
@Suite(.timeLimit(.minutes(1))) struct GracefulEndTests {
  /// Drains its server as soon as it has a call.
  private final class Drainer: ServerInterceptor {
    weak var server: Server?

    func begin(_ context: ServerContext) {
      guard let server, !server.isDraining else { return }
      context.reactor.loop.spawn(on: context.reactor) {
        await server.drain(until: .now() + .seconds(30))
      }
    }
  }

  enum Reason: CaseIterable { case drain, age }

  @Test(arguments: Reason.allCases) func aStreamOnItsWayIsServed(reason: Reason) async throws {
    var limits = ServerLimits()
    limits.shutdownNotice = .seconds(3 * Sanitized.timeFactor)
    if reason == .age { limits.connectionAge = .milliseconds(200 * Sanitized.timeFactor) }
    let chosen = limits
    let running = try await RunningServer { reactor in
      let drainer = Drainer()
      let server = Server(
        reactor: reactor, limits: chosen, interceptors: reason == .drain ? [drainer] : [])
      drainer.server = server
      server.register(EchoService().methods)
      return server
    }
    let seen = try await PythonPeer.runOnItsOwnThread(
      InteropTests.peer("graceful_end.py"), cases: ["\(running.port)"])
    #expect(seen == ["[2147483647, 3], late: status 0, first: status 0, goaway 0, closed"])
    withExtendedLifetime(running) {}
  }
}
