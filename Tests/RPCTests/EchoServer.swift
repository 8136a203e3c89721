import Contracts
import HTTP2
import RPC
import RPCCore
import RPCServices
import Reactor
import TestKit

/// A server with the echo service and a channel to it, on one reactor over a loopback port.
final class EchoServer {
  let reactor: Reactor
  let server: Server
  let service = EchoService()
  let health = HealthService()
  let address: SocketAddress
  let channel: Channel
  let client: TestingV1.EchoServiceClient

  init(
    _ reactor: Reactor, limits: ServerLimits = ServerLimits(),
    interceptors: [any ServerInterceptor] = [],
    handler: (any TestingV1.EchoServiceHandler)? = nil,
    configuration: ChannelConfiguration = ChannelConfiguration()
  ) throws {
    self.reactor = reactor
    server = Server(reactor: reactor, limits: limits, interceptors: interceptors)
    server.register((handler ?? service).methods)
    server.register(health.methods)
    address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: 0))
    channel = Channel(reactor: reactor, configuration: configuration, address: address)
    client = TestingV1.EchoServiceClient(channel: channel)
  }

  static func request(_ text: String, payload: [UInt8] = []) -> TestingV1.EchoRequest {
    var request = TestingV1.EchoRequest()
    request.text = text
    request.payload = payload
    return request
  }
}

/// Runs `body` on a reactor of its own.
func withReactor<R: Sendable>(
  _ body: @Sendable (isolated Reactor) async throws -> R
) async throws -> R {
  let reactor = try Reactor.start(name: "test")
  defer { reactor.loop.stop() }
  return try await reactor.run(body)
}

/// The `RPCError` that `body` throws; nil when it succeeds or throws another error.
func rpcError(_ body: () async throws -> Void) async -> RPCError? {
  do {
    try await body()
    return nil
  } catch {
    return error as? RPCError
  }
}
