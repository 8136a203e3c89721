import Contracts
import Foundation
import Interop
import Observability
import PythonPeer
import RPC
import RPCCore
import Reactor
import ServiceRuntime
import TestKit
import Testing

/// What can be seen of connections from outside: metrics, the log, and the client's error.
@Suite(.timeLimit(.minutes(2))) struct ConnectionObserverTests {
  private struct Seen: Sendable {
    var error: RPCError?
    var log: [String]
    var metrics: String
  }

  /// A call by a client with `client`'s credentials, to a server with `server`'s.
  private func call(client: TLSConfiguration?, server: TLSConfiguration) async throws -> Seen {
    try await withReactor { reactor in
      let metrics = MetricsRegistry()
      let log = LogLines()
      let running = Server(reactor: reactor)
      running.register(EchoService().methods)
      running.observer = ConnectionObserver(running, logger: log.logger, metrics: metrics)
      let address = try running.listen(
        on: .ipv4(address: 0x7F00_0001, port: 0), tls: TLSContext.server(server))
      var configuration = ChannelConfiguration()
      configuration.tls = try client.map { try TLSContext.client($0) }
      configuration.expectedServer = .spiffe("spiffe://storeplane/config")
      let channel = Channel(reactor: reactor, configuration: configuration, address: address)
      let error = await rpcError {
        _ = try await TestingV1.EchoServiceClient(channel: channel).echo(EchoServer.request("x"))
      }
      channel.close()
      await running.drain(until: .now() + .seconds(20))
      return Seen(
        error: error, log: log.all, metrics: String(decoding: metrics.exposition(), as: UTF8.self))
    }
  }

  @Test(arguments: [
    ("expired", "certificate_expired", "certificate expired"),
    ("not yet valid", "certificate_not_yet_valid", "bad certificate"),
    ("stranger", "unknown_authority", "unknown ca"),
    ("anonymous", "no_certificate", "certificate required"),
    ("without HTTP/2", "no_application_protocol", "no application protocol"),
    ("plain", "not_tls", "cannot connect"),
  ])
  func refusedClientsAreToldAndCounted(client: String, reason: String, alert: String) async throws {
    let (ours, theirs) = (try TestCertificates(), try TestCertificates())
    var configuration: TLSConfiguration? =
      switch client {
      case "expired": try ours.configuration(for: "audit", age: 7200, lifetimeSeconds: 3600)
      case "not yet valid": try ours.configuration(for: "audit", age: -600)
      case "stranger": try theirs.configuration(for: "audit")
      case "without HTTP/2": try ours.configuration(for: "audit", protocols: [])
      case "anonymous":
        TLSConfiguration(authoritiesFile: ours.authorityFile, applicationProtocols: ["h2"])
      default: nil
      }
    configuration?.authoritiesFile = ours.authorityFile
    let seen = try await call(client: configuration, server: try ours.configuration(for: "config"))
    #expect(seen.error?.code == .unavailable)
    #expect(seen.error?.message.contains(alert) == true, "\(String(describing: seen.error))")
    #expect(seen.log.first?.contains("handshake failed") == true)
    #expect(seen.log.first?.contains("reason=\(reason)") == true, "\(seen.log)")
    #expect(
      seen.metrics.contains("grpc_server_handshake_failures_total{reason=\"\(reason)\"} 1\n"),
      "\(seen.metrics)")
    withExtendedLifetime((ours, theirs)) {}
  }

  @Test func aConnectionThatIsShakingHandsAtTheEndIsNone() async throws {
    let certificates = try TestCertificates()
    let tls = try certificates.configuration(for: "config")
    let seen = try await withReactor { reactor in
      let metrics = MetricsRegistry()
      let server = Server(reactor: reactor)
      server.observer = ConnectionObserver(server, logger: LogLines().logger, metrics: metrics)
      let address = try server.listen(
        on: .ipv4(address: 0x7F00_0001, port: 0), tls: TLSContext.server(tls))
      let client = try RawClient(port: address.port ?? 0)
      while server.connectionCount == 0 { await Task.yield() }
      await server.drain(until: .now() + .seconds(20))
      withExtendedLifetime(client) {}
      return String(decoding: metrics.exposition(), as: UTF8.self)
    }
    #expect(seen.contains("\ngrpc_server_connections 0\n"), "\(seen)")
    #expect(seen.contains("\ngrpc_server_connections_total 0\n"))
  }

  @Test func trafficIsCounted() async throws {
    let certificates = try TestCertificates()
    let seen = try await call(
      client: certificates.configuration(for: "audit"),
      server: certificates.configuration(for: "config"))
    #expect(seen.error == nil)
    #expect(seen.log.isEmpty)
    for line in [
      "grpc_server_connections 0", "grpc_server_connections_total 1", "grpc_server_streams_total 1",
      "grpc_server_resets_received_total 0", "grpc_server_resets_sent_total 0",
    ] { #expect(seen.metrics.contains("\n\(line)\n"), "\(seen.metrics)") }
    #expect(!seen.metrics.contains("\ngrpc_server_received_bytes_total 0\n"))
    #expect(!seen.metrics.contains("\ngrpc_server_sent_bytes_total 0\n"))
  }

  @Test func cutOffsAndResetsAreCounted() async throws {
    let (metrics, log) = (MetricsRegistry(), LogLines())
    let running = try await running(metrics, log)
    let cases = [
      "5.1.1 a stream number that decreases", "5.4.1 a connection error is told by GOAWAY",
      "generic/3.4 RST_STREAM", "8.1.2.3 no :path",
    ]
    let verdicts = try await PythonPeer.runOnItsOwnThread(
      InteropTests.peer("http2_rules.py"), cases: cases.map { "\(running.port) \($0)" })
    #expect(verdicts == cases.map { _ in "ok" })
    let seen = await lines(metrics, of: running)
    for line in [
      "grpc_server_cut_offs_total{reason=\"decreasing_stream_id\"} 1",
      "grpc_server_cut_offs_total{reason=\"protocol_error\"} 1",
      "grpc_server_resets_received_total 1", "grpc_server_resets_sent_total 1",
    ] { #expect(seen.contains(line), "\(seen)") }
    #expect(log.all.count == 2)
    withExtendedLifetime(running) {}
  }

  /// A server whose observer writes to `metrics` and `log`, on a thread of its own.
  private func running(
    _ metrics: MetricsRegistry, _ log: LogLines, limits: ServerLimits = ServerLimits()
  ) async throws -> RunningServer {
    let logger = log.logger
    return try await RunningServer { reactor in
      let server = Server(reactor: reactor, limits: limits)
      server.register(EchoService().methods)
      server.register(TestService().served)
      server.observer = ConnectionObserver(server, logger: logger, metrics: metrics)
      return server
    }
  }

  private func lines(_ metrics: MetricsRegistry, of running: RunningServer) async -> Set<String> {
    await running.reactor.run { _ in
      Set(
        String(decoding: metrics.exposition(), as: UTF8.self).split(separator: "\n").map(
          String.init))
    }
  }

  @Test func connectionsPastThoseOfAnAddressAreCountedAndLogged() async throws {
    var limits = ServerLimits()
    limits.listener.connectionsPerAddress = 1
    let (metrics, log) = (MetricsRegistry(), LogLines())
    let running = try await running(metrics, log, limits: limits)
    let first = try RawClient(port: running.port)
    for _ in 0..<200 { #expect(try RawClient(port: running.port).readToEnd() == "") }
    let seen = await lines(metrics, of: running)
    #expect(seen.contains("grpc_server_refused_connections_total 200"))
    #expect(seen.contains("grpc_server_connections_total 1"))
    // A burst of 50 and 5 a second: how many there are depends on the time it took.
    #expect(log.all.count >= 50)
    #expect(
      seen.contains { $0 == "grpc_server_unlogged_ends_total \(200 - log.all.count)" }, "\(seen)")
    #expect(
      log.all.allSatisfy {
        $0.hasPrefix("connection refused address=127.0.0.1:")
          && $0.hasSuffix("reason=too many connections of its address")
      })
    withExtendedLifetime((running, first)) {}
  }

  @Test func whatIsNoCallOfOursIsCountedByItsReason() async throws {
    let (metrics, log) = (MetricsRegistry(), LogLines())
    let running = try await running(metrics, log)
    let cases = ["http_errors", "unsupported_encoding"].map { "\($0) \(running.port)" }
    _ = try await PythonPeer.runOnItsOwnThread(InteropTests.peer("interop_client.py"), cases: cases)
    _ = try await PythonPeer.runOnItsOwnThread(
      InteropTests.peer("attacks.py"), cases: ["too_many_fields \(running.port)"])
    let seen = await lines(metrics, of: running)
      .filter { $0.hasPrefix("grpc_server_refused_total{") }
    #expect(
      seen == [
        "grpc_server_refused_total{reason=\"not_grpc\"} 3",
        "grpc_server_refused_total{reason=\"malformed_field\"} 2",
        "grpc_server_refused_total{reason=\"unknown_method\"} 1",
        "grpc_server_refused_total{reason=\"unknown_encoding\"} 1",
        "grpc_server_refused_total{reason=\"headers_too_large\"} 1",
      ])
    withExtendedLifetime(running) {}
  }
}
