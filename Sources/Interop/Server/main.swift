import Glibc
import Interop
import RPC
import Reactor

let usage = """
  usage: rpc-interop-server --port=PORT [--use_tls --tls_cert_file=FILE --tls_key_file=FILE]

  Serves gRPC's interoperability tests (grpc.testing.TestService) on every address of this machine.
  Port 0 takes a free one; the one taken is printed.
  """

do {
  if CommandLine.arguments.contains("--help") {
    print(usage)
    exit(0)
  }
  let arguments = try InteropArguments(
    Array(CommandLine.arguments.dropFirst()),
    known: ["port", "use_tls", "tls_cert_file", "tls_key_file"])
  let port: UInt16 = try arguments.number("port", otherwise: 8080)
  var tls: TLSContext?
  if try arguments.flag("use_tls") {
    tls = try TLSContext.server(
      TLSConfiguration(
        certificateFile: arguments.text("tls_cert_file"), keyFile: arguments.text("tls_key_file"),
        applicationProtocols: ["h2"]))
  }
  let reactor = try Reactor()
  reactor.launch { [tls] reactor in
    do {
      let server = Server(reactor: reactor, interceptors: [MetadataEcho()])
      server.register(TestService().served)
      let address = try server.listen(
        on: .ipv6(address: [UInt8](repeating: 0, count: 16), port: port), tls: tls)
      print("listening on port \(address.port ?? 0)")
      fflush(nil)
      // Serves until it is killed; the suspended task keeps the server alive.
      await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
      _ = server
    } catch {
      print("rpc-interop-server: cannot listen on port \(port): \(error)")
      exit(69)
    }
  }
  reactor.loop.run()
} catch {
  print("rpc-interop-server: \(error)\n\n\(usage)")
  exit(64)
}
