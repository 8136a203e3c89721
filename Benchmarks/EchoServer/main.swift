import Contracts
import Glibc
import Logging
import Observability
import RPC
import Reactor
import ServiceRuntime
import TestKit

// The echo service on a port of the loopback, with the interceptors that every service has: what the
// RPC benchmarks load. The log line of each call is below the logger's level.

let arguments = CommandLine.arguments.dropFirst()
guard [1, 3].contains(arguments.count), let port = arguments.first.flatMap({ UInt16($0) }) else {
  print("usage: EchoServer PORT [CERTIFICATE KEY]")
  exit(64)
}

extension Reactor {
  /// Listens with TLS where a certificate and its key are named.
  fileprivate func serve(on port: UInt16, _ files: [String]) throws -> Server {
    var logger = Logger(label: "echo")
    logger.logLevel = .notice
    let interceptors: [any ServerInterceptor] = [
      RequestContextInterceptor(), CallObserver(logger: logger, metrics: MetricsRegistry()),
    ]
    let server = Server(reactor: self, interceptors: interceptors)
    server.register(EchoService().methods)
    var tls: TLSContext?
    if let certificate = files.first, let key = files.last {
      tls = try TLSContext.server(
        TLSConfiguration(
          certificateFile: certificate, keyFile: key, applicationProtocols: ["h2"]))
    }
    try server.listen(on: .ipv4(address: 0x7F00_0001, port: port), tls: tls)
    return server
  }
}

let files = Array(arguments.dropFirst())
let reactor = try Reactor()
reactor.launch { reactor in
  do {
    let server = try reactor.serve(on: port, files)
    // Serves until it is killed; the suspended task keeps the server alive.
    await withCheckedContinuation { (_: CheckedContinuation<Void, Never>) in }
    _ = server
  } catch {
    print("cannot listen on port \(port): \(error)")
    exit(69)
  }
}
reactor.loop.run()
