import Contracts
import Foundation
import Protobuf
import PythonPeer
import RPC
import RPCCore
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

  /// Fails every call with the kinds of details that clients act on.
  private final class Failing: ServerInterceptor {
    func begin(_ context: ServerContext) throws {
      let violation = GoogleRPC.BadRequest.FieldViolation(field: "name", description: "is empty")
      let delay = GoogleProtobuf.Duration(seconds: 1, nanos: 500_000_000)
      throw RPCError(
        .resourceExhausted, reason: "TOO_BUSY", "too busy – 100 %", metadata: ["limit": "3"],
        details: [
          GoogleProtobuf.AnyMessage(packing: GoogleRPC.BadRequest(fieldViolations: [violation])),
          GoogleProtobuf.AnyMessage(packing: GoogleRPC.RetryInfo(retryDelay: delay)),
        ])
    }
  }

  private func run(
    tls: TLSConfiguration? = nil, interceptor: (any ServerInterceptor)? = nil,
    limits: ServerLimits = ServerLimits()
  ) async throws -> RunningServer {
    nonisolated(unsafe) let interceptor = interceptor
    return try await RunningServer(tls: tls) { reactor in
      let server = Server(
        reactor: reactor, limits: limits, interceptors: interceptor.map { [$0] } ?? [])
      server.register(EchoService().methods)
      let health = HealthService()
      health.set(.serving)
      server.register(health.methods)
      return server
    }
  }

  @Test func everyKindOfCallWorks() async throws {
    let running = try await run()
    let verdicts = try await PythonPeer.runOnItsOwnThread(
      Self.script, cases: Self.cases.map { "\($0) \(running.port)" })
    let wrong = zip(Self.cases, verdicts).filter { $0.1 != "ok" }
    #expect(wrong.isEmpty)
  }

  @Test func detailsOfErrorsAreReadByGooglesClasses() async throws {
    let running = try await run(interceptor: Failing())
    #expect(
      try await PythonPeer.runOnItsOwnThread(Self.script, cases: ["rich \(running.port)"]) == ["ok"]
    )
  }

  @Test func refusedCallsAreToldWhenToComeAgain() async throws {
    var limits = ServerLimits()
    limits.callsInProgress = 1
    let running = try await run(limits: limits)
    #expect(
      try await PythonPeer.runOnItsOwnThread(Self.script, cases: ["pushback \(running.port)"]) == [
        "ok"
      ])
  }

  @Test func callsPassOverMutualTLSByPolicyOnly() async throws {
    let certificates = try TestCertificates()
    let policy = AuthorizationPolicy()
    policy.allow([TestingV1.EchoServiceMethods.echo], to: .provisioner)
    let running = try await run(
      tls: try certificates.configuration(for: "config"), interceptor: policy)
    let entitled = try certificates.files(for: "provisioner")
    let other = try certificates.files(for: "audit")
    let otherAuthority = try TestCertificates()
    let stranger = try otherAuthority.files(for: "provisioner")
    let ca = certificates.authorityFile
    let verdicts = try await PythonPeer.runOnItsOwnThread(
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
