import CLinux
import Contracts
import Glibc
import RPC
import Reactor

/// The child process that loads Helm, so that Go's signal handlers, memory and crashes stay out of the
/// provisioner. Ends with its parent, or when it has done enough.
@main enum HelmWorkerMain {
  /// Longer than the provisioner waits for an answer: otherwise every call would be over at the server's
  /// own limit, while Helm goes on.
  private static let callTimeMax = Duration.seconds(180)

  static func main() {
    guard CommandLine.arguments.count == 3 else {
      print(
        "usage: helm-worker SOCKET LIBRARY\n\nStarted by the provisioner; serves Helm on a Unix socket."
      )
      exit(64)
    }
    storeplane_end_with_parent()
    Signals.block([SIGTERM, SIGINT])
    do {
      let helm = try LibHelm(path: CommandLine.arguments[2])
      let reactor = try Reactor()
      reactor.launch { reactor in await serve(helm, on: reactor) }
      reactor.loop.run()
    } catch {
      fail("\(error)")
    }
  }

  private static func serve(_ helm: LibHelm, on reactor: isolated Reactor) async {
    do {
      let loop = reactor.loop
      let service = HelmService(helm: helm, limits: HelmService.Limits(), loop: loop)
      var limits = ServerLimits()
      limits.unaryCall = callTimeMax
      let server = Server(reactor: reactor, limits: limits)
      server.register(service.methods)
      try server.listen(on: .unix(path: CommandLine.arguments[1]))
      var stop: CheckedContinuation<Void, Never>?
      let end = {
        stop?.resume()
        stop = nil
      }
      service.finished = end
      let signals = try Signals([SIGTERM, SIGINT], loop: loop) { _ in end() }
      await withCheckedContinuation { stop = $0 }
      await server.drain(until: Instant.now() + .seconds(5))
      signals.close()
      exit(EXIT_SUCCESS)
    } catch {
      fail("\(error)")
    }
  }

  private static func fail(_ reason: String) -> Never {
    let line = "helm-worker: \(reason)\n"
    _ = line.withCString { write(STDERR_FILENO, $0, strlen($0)) }
    exit(69)
  }
}
