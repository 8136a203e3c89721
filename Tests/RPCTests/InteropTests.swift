import Foundation
import Interop
import PythonPeer
import RPC
import RPCCore
import Reactor
import TestKit
import Testing

/// gRPC's interoperability tests, each side of ours against grpcio (the C core).
@Suite(.serialized, .timeLimit(.minutes(3 * Sanitized.timeFactor))) struct InteropTests {
  /// A script of ours, as `PythonServer` wants it.
  static func path(_ name: String) -> String { "Tests/RPCTests/Peers/\(name)" }

  static func peer(_ name: String) -> URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Peers/\(name)")
  }

  /// The specification's cases, then what else gRPC's documents ask of a server.
  private static let clientCases = [
    "empty_unary", "large_unary", "cacheable_unary", "client_compressed_unary",
    "server_compressed_unary", "client_streaming", "client_compressed_streaming",
    "server_streaming", "server_compressed_streaming", "ping_pong", "empty_stream",
    "custom_metadata", "status_code_and_message", "special_status_message",
    "unimplemented_method", "unimplemented_service", "cancel_after_begin",
    "cancel_after_first_response", "timeout_on_sleeping_server", "concurrent_large_unary",
    "rpc_soak", "channel_soak",
    "half_duplex", "gzip_unary", "gzip_response", "deflate_unary", "unsupported_encoding",
    "flag_without_encoding", "inflated_bomb", "damaged_gzip", "no_request", "two_requests",
    "binary_metadata", "http_errors",
  ]

  private static func makeServer(_ reactor: Reactor) -> Server {
    let server = Server(reactor: reactor, interceptors: [MetadataEcho()])
    server.register(TestService().served)
    return server
  }

  private static func target(_ reactor: Reactor, _ port: UInt16) -> InteropTarget {
    target(reactor) { Channel(reactor: reactor, address: .ipv4(address: 0x7F00_0001, port: port)) }
  }

  private static func target(
    _ reactor: Reactor, _ makeChannel: @escaping () -> Channel
  ) -> InteropTarget {
    var target = InteropTarget(reactor: reactor, makeChannel: makeChannel)
    // The programs keep to the specification's times; a test is not to measure the machine.
    target.soak.perIterationMaxAcceptableLatency = .seconds(20)
    target.soak.overallTimeout = .seconds(60)
    target.concurrentCallsTimeout *= Sanitized.timeFactor
    target.soak.perIterationMaxAcceptableLatency *= Sanitized.timeFactor
    target.soak.overallTimeout *= Sanitized.timeFactor
    return target
  }

  @Test func grpcioCallsOurServer() async throws {
    let running = try await RunningServer(Self.makeServer)
    let verdicts = try await PythonPeer.runOnItsOwnThread(
      Self.peer("interop_client.py"), cases: Self.clientCases.map { "\($0) \(running.port)" })
    for (name, verdict) in zip(Self.clientCases, verdicts) { #expect(verdict == "ok", "\(name)") }
  }

  @Test func grpcioCallsOurServerOverTLS() async throws {
    let certificates = try TestCertificates()
    var tls = try certificates.configuration(for: "config")
    tls.requiresClientCertificate = false
    let running = try await RunningServer(tls: tls, Self.makeServer)
    let cases = ["empty_unary", "large_unary", "ping_pong", "concurrent_large_unary"]
    let verdicts = try await PythonPeer.runOnItsOwnThread(
      Self.peer("interop_client.py"),
      cases: cases.map { "\($0) \(running.port) \(certificates.authorityFile)" })
    for (name, verdict) in zip(cases, verdicts) { #expect(verdict == "ok", "\(name)") }
  }

  @Test func weCallGrpcio() async throws {
    let server = try PythonServer(Self.path("interop_server.py"))
    // grpcio's handlers cannot see how a message came: the cases that depend on it have a peer of
    // their own.
    let blind: Set<InteropCase> = [.clientCompressedUnary, .clientCompressedStreaming]
    try await withReactor { reactor in
      for testCase in InteropCase.allCases where !blind.contains(testCase) {
        await #expect(throws: Never.self, "\(testCase.rawValue)") {
          try await testCase.run(Self.target(reactor, server.port))
        }
      }
    }
  }

  @Test func weCallGrpcioOverTLS() async throws {
    let certificates = try TestCertificates()
    let files = try certificates.files(for: "config")
    let server = try PythonServer(
      Self.path("interop_server.py"), [files.certificate, files.key])
    let authority = certificates.authorityFile
    try await withReactor { reactor in
      var configuration = ChannelConfiguration()
      configuration.tls = try TLSContext.client(
        TLSConfiguration(authoritiesFile: authority, applicationProtocols: ["h2"]))
      configuration.expectedServer = .hostName("localhost")
      let target = Self.target(reactor) { [configuration] in
        Channel(
          reactor: reactor, configuration: configuration,
          address: .ipv4(address: 0x7F00_0001, port: server.port))
      }
      for testCase in [InteropCase.emptyUnary, .largeUnary, .pingPong, .concurrentLargeUnary] {
        await #expect(throws: Never.self, "\(testCase.rawValue)") {
          try await testCase.run(target)
        }
      }
    }
  }

  @Test(arguments: [
    InteropCase.clientCompressedUnary, .serverCompressedUnary, .clientCompressedStreaming,
    .serverCompressedStreaming,
  ])
  func weCompressForAServerThatLooks(testCase: InteropCase) async throws {
    let server = try PythonServer(Self.path("interop_h2_server.py"), ["compression"])
    try await withReactor { reactor in
      try await testCase.run(Self.target(reactor, server.port))
    }
  }

  @Test func weCallOurselves() async throws {
    try await withReactor { reactor in
      let server = Self.makeServer(reactor)
      let address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: 0))
      for testCase in InteropCase.allCases {
        await #expect(throws: Never.self, "\(testCase.rawValue)") {
          try await testCase.run(Self.target(reactor, address.port ?? 0))
        }
      }
    }
  }

  @Test func aServerThatIsWrongIsFoundOut() async throws {
    try await withReactor { reactor in
      // Serves none of it.
      let echo = try EchoServer(reactor)
      for testCase in InteropCase.allCases
      where testCase != .unimplementedMethod && testCase != .unimplementedService
        && testCase != .cancelAfterBegin && testCase != .timeoutOnSleepingServer
      {
        await #expect(throws: (any Error).self, "\(testCase.rawValue)") {
          try await testCase.run(Self.target(reactor, echo.address.port ?? 0))
        }
      }
    }
  }
}
