import Interop
import RPC
import Reactor

/// What the command line asks for.
struct ClientOptions: Sendable {
  let host: String
  let port: UInt16
  let cases: [InteropCase]
  let configuration: ChannelConfiguration
  let iterations: Int
  let maxFailures: Int
  let latency: Duration
  let overallTimeout: Duration
  let requestBytes: Int
  let responseBytes: Int32

  init(_ arguments: [String]) throws {
    let given = try InteropArguments(
      arguments,
      known: [
        "server_host", "server_port", "test_case", "use_tls", "ca_file", "server_host_override",
        "soak_iterations", "soak_max_failures", "soak_overall_timeout_seconds",
        "soak_per_iteration_max_acceptable_latency_ms", "soak_request_size", "soak_response_size",
      ])
    host = given.text("server_host") ?? "localhost"
    port = try given.number("server_port", otherwise: 8080)
    cases = try ClientOptions.cases(given.text("test_case") ?? InteropCase.largeUnary.rawValue)
    var configuration = ChannelConfiguration()
    let name = given.text("server_host_override") ?? host
    configuration.authority = "\(name):\(port)"
    if try given.flag("use_tls") {
      configuration.tls = try TLSContext.client(
        TLSConfiguration(authoritiesFile: given.text("ca_file"), applicationProtocols: ["h2"]))
      let isAddress = SocketAddress(ip: name, port: port) != nil
      configuration.expectedServer = isAddress ? .ipAddress(name) : .hostName(name)
    }
    self.configuration = configuration
    iterations = try given.number("soak_iterations", otherwise: 10)
    maxFailures = try given.number("soak_max_failures", otherwise: 0)
    latency = .milliseconds(
      try given.number("soak_per_iteration_max_acceptable_latency_ms", otherwise: 1000))
    overallTimeout = .seconds(try given.number("soak_overall_timeout_seconds", otherwise: 10))
    requestBytes = try given.number("soak_request_size", otherwise: 271_828)
    responseBytes = try given.number("soak_response_size", otherwise: 314_159)
  }

  private static func cases(_ text: String) throws -> [InteropCase] {
    if text == "all" { return InteropCase.allCases }
    return try text.split(separator: ",").map { name in
      guard let found = InteropCase(rawValue: String(name)) else {
        throw InteropArguments.Failure(description: "no case \(name)")
      }
      return found
    }
  }
}

/// Runs the cases, and prints what became of each. True when all were well.
func run(_ options: ClientOptions, _ reactor: isolated Reactor) async -> Bool {
  let resolver = NameResolver(blocking: BlockingPool())
  let (host, port) = (options.host, options.port)
  var target = InteropTarget(reactor: reactor) {
    Channel(
      reactor: reactor, configuration: options.configuration,
      resolve: { try await resolver.resolve(host, port: port) })
  }
  target.soak.iterations = options.iterations
  target.soak.maxFailures = options.maxFailures
  target.soak.perIterationMaxAcceptableLatency = options.latency
  target.soak.overallTimeout = options.overallTimeout
  target.soak.requestBytes = options.requestBytes
  target.soak.responseBytes = options.responseBytes
  var allPassed = true
  for testCase in options.cases {
    do {
      try await testCase.run(target)
      print("\(testCase.rawValue): passed")
    } catch {
      print("\(testCase.rawValue): FAILED: \(error)")
      allPassed = false
    }
  }
  return allPassed
}
