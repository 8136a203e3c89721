import Contracts
import Glibc
import RPC
import Reactor

// Keeps unary echo calls in flight against a server on the loopback, and prints the CPU microseconds
// that a call costs this process.

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
        reactor.loop.spawn(on: reactor) { await self.call(client) }
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
  let channels = (0..<connections).map { _ in Channel(reactor: reactor, address: address) }
  let clients = channels.map { TestingV1.EchoServiceClient(channel: $0) }
  await Load(reactor, calls: calls / 10).run(clients)
  let before = cpuMicroseconds()
  await Load(reactor, calls: calls).run(clients)
  print(Double(cpuMicroseconds() - before) / Double(calls))
  exit(0)
}
reactor.loop.run()
