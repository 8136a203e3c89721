import Contracts
import Foundation
import RPC
import RPCCore
import Reactor
import TestKit
import Testing

/// Servers that share a port, and those on Unix sockets.
@Suite(.timeLimit(.minutes(1))) struct ListeningTests {
  /// A server on a reactor, and a thread, of its own.
  private final class Replica: @unchecked Sendable {
    private final class Counter: ServerInterceptor {
      var calls = 0
      func begin(_ context: ServerContext) { calls += 1 }
    }

    private let reactor: Reactor
    private let counter = Counter()
    private var server: Server?
    /// With the kernel's port where 0 was asked for.
    private(set) var address: SocketAddress

    init(on address: SocketAddress, sharesPort: Bool = true) async throws {
      reactor = try Reactor.start(name: "replica")
      self.address = address
      try await reactor.run { reactor in
        let server = Server(reactor: reactor, interceptors: [self.counter])
        server.register(EchoService().methods)
        self.address = try server.listen(on: address, sharesPort: sharesPort)
        self.server = server
      }
    }

    deinit { reactor.loop.stop() }

    var calls: Int { get async { await reactor.run { _ in self.counter.calls } } }

    func drain() async {
      await reactor.run { _ in await self.server?.drain(until: .now() + .seconds(20)) }
    }
  }

  private static func client(
    _ reactor: Reactor, _ address: SocketAddress
  ) -> (Channel, TestingV1.EchoServiceClient) {
    var configuration = ChannelConfiguration()
    // A connection may meet a listener that is being closed.
    configuration.backoff = .milliseconds(1)
    configuration.service.defaults.waitForReady = true
    let channel = Channel(reactor: reactor, configuration: configuration, address: address)
    return (channel, TestingV1.EchoServiceClient(channel: channel))
  }

  @Test func reactorsShareAPortAndDrainOneByOne() async throws {
    // The port is somebody's all the time: a free one could be taken by another test.
    let first = try await Replica(on: .ipv4(address: 0x7F00_0001, port: 0))
    let shared = first.address
    let second = try await Replica(on: shared)
    try await withReactor { reactor in
      // The kernel spreads connections by their addresses: enough of them reach both.
      while await min(first.calls, second.calls) == 0 {
        let (channel, client) = Self.client(reactor, shared)
        _ = try await client.echo(EchoServer.request("x"))
        channel.close()
      }
    }
    // Calls without a pause while one after the other goes and comes again.
    let calling = Task.detached {
      try await withReactor { reactor in
        let (_, client) = Self.client(reactor, shared)
        var answered = 0
        while !Task.isCancelled {
          let text = "\(answered)"
          let request = EchoServer.request(text, payload: [UInt8](repeating: 7, count: 9000))
          do {
            guard try await client.echo(request).text == text else { return -1 }
          } catch  where Task.isCancelled {
            break
          }
          answered += 1
        }
        return answered
      }
    }
    await first.drain()
    let before = await second.calls
    while await second.calls < before + 20 {}
    let third = try await Replica(on: shared)
    await second.drain()
    while await third.calls < 20 {}
    calling.cancel()
    // The last one may have been cancelled.
    #expect(try await calling.value >= 39)
  }

  /// Binds a socket there and closes it.
  private static func leaveSocket(at path: String) -> Bool {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let length = socklen_t(MemoryLayout<sockaddr_un>.size)
    return withUnsafePointer(to: address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) == 0 }
    }
  }

  @Test func aUnixSocketIsServedAndReplacedWhenItsServerIsGone() async throws {
    let path = "/tmp/storeplane-\(UInt32.random(in: 0 ... .max)).socket"
    defer { unlink(path) }
    try await withReactor { reactor in
      let address = SocketAddress.unix(path: path)
      // What a process that was killed leaves behind.
      #expect(Self.leaveSocket(at: path))
      let server = Server(reactor: reactor)
      server.register(EchoService().methods)
      try server.listen(on: address)
      let (_, client) = Self.client(reactor, address)
      let payload = [UInt8](repeating: 5, count: 300_000)
      #expect(
        try await client.echo(EchoServer.request("x", payload: payload)).payload == payload)
      // One that is in use is nobody else's.
      #expect(throws: SystemError.self) { try Server(reactor: reactor).listen(on: address) }
      #expect(try await client.echo(EchoServer.request("y")).text == "y")
      await server.drain(until: .now() + .seconds(20))
      #expect(access(path, F_OK) != 0)
      // Nor is a file that is no socket.
      #expect(FileManager.default.createFile(atPath: path, contents: Data("precious".utf8)))
      #expect(throws: SystemError.self) { try Server(reactor: reactor).listen(on: address) }
      #expect(FileManager.default.contents(atPath: path) == Data("precious".utf8))
    }
  }
}
