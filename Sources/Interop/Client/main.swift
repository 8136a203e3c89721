import Glibc
import Interop
import RPC
import Reactor

let usage = """
  usage: rpc-interop-client --server_host=HOST --server_port=PORT --test_case=CASE[,CASE...]
           [--use_tls --ca_file=FILE --server_host_override=NAME]
           [--soak_iterations=10] [--soak_max_failures=0] [--soak_overall_timeout_seconds=10]
           [--soak_per_iteration_max_acceptable_latency_ms=1000]
           [--soak_request_size=271828] [--soak_response_size=314159]

  Runs cases of gRPC's interoperability tests against a server, `all` for all of them; prints a line
  a case, and exits with 1 if one failed. The cases:

    \(InteropCase.allCases.map(\.rawValue).joined(separator: "\n  "))
  """

do {
  if CommandLine.arguments.contains("--help") {
    print(usage)
    exit(0)
  }
  let options = try ClientOptions(Array(CommandLine.arguments.dropFirst()))
  let reactor = try Reactor()
  reactor.launch { reactor in exit(await run(options, reactor) ? 0 : 1) }
  reactor.loop.run()
} catch {
  print("rpc-interop-client: \(error)\n\n\(usage)")
  exit(64)
}
