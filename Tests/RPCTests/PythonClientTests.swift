import Contracts
import Foundation
import PythonPeer
import RPC
import RPCServices
import Reactor
import ServiceRuntime
import TestKit
import Testing

/// The public gRPC library of Python (the C core) against our server.
@Suite(.timeLimit(.minutes(2))) struct PythonClientTests {
  private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Peers/grpcio_client.py")

  private static let cases = [
    "unary", "large", "server_streaming", "client_streaming", "bidirectional", "status",
    "deadline", "cancel", "unimplemented", "undecodable", "health", "parallel",
  ]

  /// Keeps a server alive on its reactor's thread while a test blocks its own.
  private final class Running: @unchecked Sendable {
    let reactor: Reactor
    private var server: Server?
    private(set) var port: UInt16 = 0

    init(tls: TLSConfiguration? = nil, policy: AuthorizationPolicy? = nil) async throws {
      reactor = try Reactor.start(name: "server")
      nonisolated(unsafe) let policy = policy
      try await reactor.run { reactor in
        let server = Server(reactor: reactor, interceptors: policy.map { [$0] } ?? [])
        server.register(EchoService().methods)
        let health = HealthService()
        health.set(.serving)
        server.register(health.methods)
        let context = try tls.map { try TLSContext.server($0) }
        let address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: 0), tls: context)
        self.server = server
        self.port = address.port ?? 0
      }
    }

    deinit { reactor.loop.stop() }
  }

  @Test func everyKindOfCallWorks() async throws {
    let running = try await Running()
    let verdicts = try PythonPeer.run(
      Self.script, cases: Self.cases.map { "\($0) \(running.port)" })
    let wrong = zip(Self.cases, verdicts).filter { $0.1 != "ok" }
    #expect(wrong.isEmpty)
  }

  @Test func callsPassOverMutualTLSByPolicyOnly() async throws {
    let certificates = try TestCertificates()
    let policy = AuthorizationPolicy()
    policy.allow([TestingV1.EchoServiceMethods.echo], to: .provisioner)
    let running = try await Running(
      tls: try certificates.configuration(for: "config"), policy: policy)
    let entitled = try certificates.files(for: "provisioner")
    let other = try certificates.files(for: "audit")
    let otherAuthority = try TestCertificates()
    let stranger = try otherAuthority.files(for: "provisioner")
    let ca = certificates.authorityFile
    let verdicts = try PythonPeer.run(
      Self.script,
      cases: [
        "unary \(running.port) \(ca) \(entitled.certificate) \(entitled.key)",
        "large \(running.port) \(ca) \(entitled.certificate) \(entitled.key)",
        "refused \(running.port) \(ca) \(other.certificate) \(other.key)",
        "refused \(running.port) \(ca)",
        "refused \(running.port) \(ca) \(stranger.certificate) \(stranger.key)",
        "refused \(running.port)",
      ])
    withExtendedLifetime((certificates, otherAuthority)) {}
    let denied = ["PERMISSION_DENIED", "UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE"]
    #expect(verdicts == ["ok", "ok"] + denied)
  }
}
