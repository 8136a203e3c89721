import Contracts
import Glibc
import RPC
import Reactor
import TestKit

// A server in a process of its own, so that what an attack does to its memory can be told.

let usage = """
  usage: AttackTarget [--tls CERTIFICATE KEY] [--descriptors COUNT] [LIMIT=VALUE ...]

  Serves on a port of the loopback, which it prints, until SIGTERM. Goes by the
  limits given and may open COUNT descriptors.
  """

func fail(_ reason: String) -> Never {
  print("\(reason)\n\(usage)")
  exit(64)
}

var arguments = Array(CommandLine.arguments.dropFirst())
var tls: TLSConfiguration?
if arguments.first == "--tls" {
  if arguments.count < 3 { fail("--tls takes a certificate and a key") }
  tls = TLSConfiguration(
    certificateFile: arguments[1], keyFile: arguments[2], applicationProtocols: ["h2"])
  arguments.removeFirst(3)
}
if arguments.first == "--descriptors" {
  guard arguments.count >= 2, let count = UInt(arguments[1]) else {
    fail("--descriptors takes a number")
  }
  var limit = rlimit(rlim_cur: count, rlim_max: count)
  setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  arguments.removeFirst(2)
}
guard let limits = LimitArguments.parse(arguments) else { fail("not a limit") }
let configuration = tls
Signals.block([SIGTERM])
let reactor = try Reactor()
reactor.launch { reactor in
  do {
    let server = Server(reactor: reactor, limits: limits)
    server.register(EchoService().methods)
    server.register(TargetService.methods)
    let context = try configuration.map { try TLSContext.server($0) }
    let address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: 0), tls: context)
    print("\(address.port ?? 0)")
    fflush(nil)
    var stop: UnsafeContinuation<Void, Never>?
    let signals = try Signals([SIGTERM], loop: reactor.loop) { _ in stop?.resume() }
    await withUnsafeContinuation { stop = $0 }
    // With all that it holds in place, so that a search for leaks finds only what nobody does.
    withExtendedLifetime((server, signals)) { exit(0) }
  } catch {
    print("cannot serve: \(error)")
    exit(69)
  }
}
reactor.loop.run()
