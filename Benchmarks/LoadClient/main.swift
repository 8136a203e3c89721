import Contracts
import Glibc
import Observability
import RPC
import Reactor
import ServiceRuntime

// Keeps unary echo calls in flight against a server on the loopback, and prints the CPU microseconds
// that a call costs this process. Its channels have the interceptors of a service's, and each of its
// tasks the context of a request of its own to pass on.

let arguments = CommandLine.arguments
guard arguments.count == 3, let port = UInt16(arguments[1]), let calls = Int(arguments[2]),
  calls >= 1000
else {
  print("usage: LoadClient PORT CALLS (1000 or more)")
  exit(64)
}
let connections = 10

/// User and system time of this process so far.
@Sendable func cpuMicroseconds() -> Int {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + $1.tv_sec * 1_000_000 + $1.tv_usec }
}

/// What each of the calls in flight passes on.
let scopes = {
  var generator = SystemRandomNumberGenerator()
  return (0..<1000).map { _ in
    let trace = TraceContext.root(isSampled: true, using: &generator)
    return RequestContext(requestID: RequestID(using: &generator), trace: trace).scope
  }
}()

final class Load {
  private static let callsInFlight = 100
  private let reactor: Reactor
  private var left: Int
  private var running = 0
  private var finished: (() -> Void)?

  init(_ reactor: Reactor, calls: Int) {
    self.reactor = reactor
    left = calls
  }

  func run(_ clients: [TestingV1.EchoServiceClient]) async {
    for client in clients {
      for _ in 0..<Load.callsInFlight {
        running += 1
        let scope = scopes[running % scopes.count]
        reactor.loop.spawn(on: reactor) {
          await RequestScope.$current.bound(to: scope) { await self.call(client) }
        }
      }
    }
    await withCheckedContinuation { continuation in finished = { continuation.resume() } }
  }

  private func call(_ client: TestingV1.EchoServiceClient) async {
    while left > 0 {
      left -= 1
      do {
        let answer = try await client.echo(TestingV1.EchoRequest(text: "hello world"))
        precondition(answer.text == "hello world", "the server does not echo")
      } catch {
        print("a call failed: \(error)")
        exit(70)
      }
    }
    running -= 1
    if running == 0 { finished?() }
  }
}

let reactor = try Reactor()
reactor.launch { reactor in
  let address = SocketAddress.ipv4(address: 0x7F00_0001, port: port)
  let interceptors: [any ClientInterceptor] = [
    RequestContextInterceptor(), ClientCallObserver(metrics: MetricsRegistry()),
  ]
  let channels = (0..<connections).map { _ in
    Channel(reactor: reactor, interceptors: interceptors, address: address)
  }
  let clients = channels.map { TestingV1.EchoServiceClient(channel: $0) }
  await Load(reactor, calls: calls / 10).run(clients)
  let before = cpuMicroseconds()
  await Load(reactor, calls: calls).run(clients)
  print(Double(cpuMicroseconds() - before) / Double(calls))
  exit(0)
}
reactor.loop.run()
