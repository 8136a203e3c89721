import Contracts
import Glibc
import RPC
import RPCCore
import Reactor
import TestKit
import Testing

/// How `pickFirst` comes to a connection where addresses do not answer.
@Suite(.timeLimit(.minutes(1))) struct ConnectionAttemptTests {
  /// Takes a connection, and says nothing.
  private final class SilentServer {
    private let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let address: SocketAddress

    init() throws {
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
      var size = socklen_t(MemoryLayout<sockaddr_in>.size)
      let descriptor = self.descriptor
      let code = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, size) + listen(descriptor, 16) + getsockname(descriptor, $0, &size)
        }
      }
      self.address = .ipv4(address: 0x7F00_0001, port: UInt16(bigEndian: address.sin_port))
      if code != 0 { throw RawClient.Failure(what: "bind: \(errno)") }
    }

    deinit { close(descriptor) }

    /// Whether its first client, which has come, hangs up.
    func seesTheEnd() -> Bool {
      let connection = accept(descriptor, nil, nil)
      defer { close(connection) }
      var limit = timeval(tv_sec: 20, tv_usec: 0)
      setsockopt(
        connection, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
      var buffer = [UInt8](repeating: 0, count: 1024)
      var count = 1
      while count > 0 { count = recv(connection, &buffer, buffer.count, 0) }
      return count == 0 || errno == ECONNRESET
    }
  }

  /// Of an attempt, which must not be what ends the wait.
  private static func patient() -> ChannelConfiguration {
    var configuration = ChannelConfiguration()
    configuration.connection.handshake = .seconds(600)
    configuration.callTimeout = .seconds(50)
    return configuration
  }

  @Test func anAddressThatSaysNothingHoldsUpNoOther() async throws {
    try await withReactor { reactor in
      let silent = [try SilentServer(), try SilentServer()]
      let echo = try EchoServer(reactor)
      let addresses = silent.map(\.address) + [echo.address]
      let channel = Channel(
        reactor: reactor, configuration: Self.patient(), resolve: { return addresses })
      let client = TestingV1.EchoServiceClient(channel: channel)
      let begun = Instant.now()
      #expect(try await client.echo(EchoServer.request("x")).text == "x")
      #expect(Instant.now() - begun >= Self.patient().connectionAttemptDelay * 2)
      for server in silent { #expect(server.seesTheEnd()) }
      #expect(try await client.echo(EchoServer.request("y")).text == "y")
      #expect(echo.server.connectionCount == 1)
    }
  }

  /// Where the first answers in its time, the next is not asked.
  @Test func theNextAddressIsNotTriedBeforeItsTime() async throws {
    try await withReactor { reactor in
      let (first, second) = (try EchoServer(reactor), try EchoServer(reactor))
      let addresses = [first.address, second.address]
      var configuration = Self.patient()
      configuration.connectionAttemptDelay = .seconds(50)
      let channel = Channel(
        reactor: reactor, configuration: configuration, resolve: { return addresses })
      let client = TestingV1.EchoServiceClient(channel: channel)
      for _ in 0..<3 { _ = try await client.echo(EchoServer.request("x")) }
      #expect(first.server.connectionCount == 1)
      #expect(second.server.connectionCount == 0)
    }
  }

  /// One that fails leaves it to the next at once, also while another says nothing.
  @Test func anAddressThatRefusesIsNotWaitedFor() async throws {
    try await withReactor { reactor in
      let silent = try SilentServer()
      let echo = try EchoServer(reactor)
      let dead = SocketAddress.ipv4(address: 0x7F00_0001, port: try freePorts(1)[0])
      let addresses = [silent.address, dead, echo.address]
      var configuration = Self.patient()
      configuration.connectionAttemptDelay = .seconds(20)
      configuration.resolutionInterval = .zero
      let channel = Channel(
        reactor: reactor, configuration: configuration, resolve: { return addresses })
      let begun = Instant.now()
      let answer = try await TestingV1.EchoServiceClient(channel: channel)
        .echo(EchoServer.request("x"))
      #expect(answer.text == "x")
      #expect(Instant.now() - begun < configuration.connectionAttemptDelay * 2)
    }
  }
}
