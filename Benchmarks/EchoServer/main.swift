import Contracts
import Glibc
import RPC
import Reactor
import TestKit

// The echo service alone on a port of the loopback: what the RPC benchmarks load.

guard CommandLine.arguments.count == 2, let port = UInt16(CommandLine.arguments[1]) else {
  print("usage: EchoServer PORT")
  exit(64)
}
let reactor = try Reactor()
reactor.launch { reactor in
  do {
    let server = Server(reactor: reactor)
    server.register(EchoService().methods)
    let address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: port))
    print("listening on \(address)")
    fflush(nil)
    // Serves until it is killed; the suspended task keeps the server alive.
    await withCheckedContinuation { (_: CheckedContinuation<Void, Never>) in }
    _ = server
  } catch {
    print("cannot listen on port \(port): \(error)")
    exit(69)
  }
}
reactor.loop.run()
