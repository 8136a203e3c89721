import Contracts
import Foundation
import Postgres
import Protobuf
import RPC
import RPCCore
import Reactor
import ServiceRuntime
import TestKit
import Testing

@testable import AuditService

/// The process of a service as an installation runs it, here audit's: signals, and what it shows.
@Suite(.timeLimit(.minutes(3))) struct ProcessTests {
  /// Confined to a reactor.
  private final class AuditProcess {
    let certificates: TestCertificates
    let database: ServiceDatabase
    let port: UInt16
    private let adminPort: UInt16
    private let process = Process()
    private let log = Pipe()
    private(set) var lines = ""
    /// What the service presents; to be replaced.
    private let files: (certificate: String, key: String)

    init(
      _ database: ServiceDatabase, _ certificates: TestCertificates, _ settings: [String: String]
    ) throws {
      self.database = database
      self.certificates = certificates
      files = try certificates.files(for: "audit")
      let ports = try freePorts(2)
      (port, adminPort) = (ports[0], ports[1])
      process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
        .deletingLastPathComponent().appendingPathComponent("audit")
      process.environment = [
        "PATH": "/usr/bin:/bin", "DATABASE_URL": database.application.revealed,
        "DATABASE_WORKER_URL": database.worker.revealed, "TLS_CERTIFICATE_FILE": files.certificate,
        "TLS_KEY_FILE": files.key, "TLS_CA_FILE": certificates.authorityFile,
        "LISTEN_ADDRESS": "127.0.0.1:\(port)", "ADMIN_ADDRESS": "127.0.0.1:\(adminPort)",
      ].merging(settings) { $1 }
      process.standardError = log
      try process.run()
      while !lines.contains("\"ready\"") {
        let chunk = log.fileHandleForReading.availableData
        if chunk.isEmpty { break }
        lines += String(decoding: chunk, as: UTF8.self)
      }
    }

    deinit { kill(process.processIdentifier, SIGKILL) }

    func signal(_ signal: Int32) { kill(process.processIdentifier, signal) }

    /// Waits for the end; the exit code.
    func end() -> Int32 {
      lines += String(decoding: log.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      return process.terminationReason == .exit ? process.terminationStatus : -1
    }

    /// What the admin port answers, the head included.
    func get(_ path: String) throws -> String {
      let client = try RawClient(port: adminPort)
      try client.send("GET \(path) HTTP/1.1\r\nHost: audit\r\nConnection: close\r\n\r\n")
      return try client.readToEnd()
    }

    func shows(_ metric: String) throws -> Bool {
      try get("/metrics").contains("\n\(metric)\n")
    }

    var isReady: Bool { get throws { try get("/readyz").hasPrefix("HTTP/1.1 200 ") } }

    func channel(
      on reactor: Reactor, expecting identity: ServiceIdentity = .audit
    ) throws -> Channel {
      var configuration = ChannelConfiguration()
      configuration.tls = try TLSContext.client(certificates.configuration(for: "provisioner"))
      configuration.expectedServer = .spiffe(identity.spiffe)
      configuration.callTimeout = .seconds(120)
      return Channel(
        reactor: reactor, configuration: configuration,
        address: .ipv4(address: 0x7F00_0001, port: port))
    }

    func presentCertificate(of identity: String) throws {
      let next = try certificates.files(for: identity)
      rename(next.key, files.key)
      rename(next.certificate, files.certificate)
    }

    /// While `body` runs, no event can be recorded.
    func withLockedEvents<R>(
      on reactor: isolated Reactor, _ body: () async throws -> R
    ) async throws -> R {
      let owner = PostgresPool(
        try PostgresConfiguration(url: database.owner.revealed), as: .owner, on: reactor,
        blocking: AuditDatabase.blocking, logger: quiet)
      defer { owner.close() }
      return try await owner.withTransaction(scope: .none, deadline: .now() + .seconds(120)) {
        try await $0.query("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        return try await body()
      }
    }
  }

  private func withProcess(
    _ settings: [String: String] = [:],
    _ body: @Sendable (AuditProcess, isolated Reactor) async throws -> Void
  ) async throws {
    let database = try await AuditDatabase.make()
    try await onReactor { reactor in
      try await body(try AuditProcess(database, TestCertificates(), settings), reactor)
    }
  }

  private static let append = "method=\"/storeplane.audit.v1.AuditService/AppendEvents\""

  private final class PendingAppend {
    private(set) var outcomes: [Outcome]?
    private(set) var error: RPCError?
    private(set) var task: Task<Void, Never>?

    /// Of a call that waits for a lock; returns when the service shows that its handler runs.
    init(
      _ audit: AuditProcess, _ client: AuditV1.AuditServiceClient, on reactor: isolated Reactor
    ) async throws {
      task = reactor.loop.spawn(on: reactor) {
        self.error = await rpcError {
          let response = try await client.appendEvents(.init(events: [event()]))
          self.outcomes = response.results.map(\.outcome)
        }
      }
      while try !audit.shows("grpc_server_in_progress{\(ProcessTests.append)} 1") {
        // A loaded machine cannot take connections as fast as they could be opened.
        try await Task.sleep(for: .milliseconds(20))
      }
    }
  }

  @Test func callsUnderWayEndBeforeTheServiceDoes() async throws {
    try await withProcess(["SHUTDOWN_GRACE": "100s"]) { audit, reactor in
      let channel = try audit.channel(on: reactor)
      let health = GRPCHealthV1.HealthClient(channel: channel)
      let call = try await audit.withLockedEvents(on: reactor) {
        let call = try await PendingAppend(audit, .init(channel: channel), on: reactor)
        audit.signal(SIGTERM)
        // On the connection that is there calls are taken until the client must have heard of the end.
        var refusal: RPCError?
        while refusal == nil {
          refusal = await rpcError { _ = try await health.check(.init()) }
        }
        #expect(refusal?.code == .unavailable, "\(String(describing: refusal))")
        #expect(try !audit.isReady)
        #expect(throws: RawClient.Failure.self) { try RawClient(port: audit.port) }
        #expect(try audit.shows("grpc_server_in_progress{\(Self.append)} 1"))
        return call
      }
      await call.task?.value
      #expect(call.outcomes == [.recorded], "\(String(describing: call.error))")
      #expect(audit.end() == 0, "\(audit.lines)")
      #expect(audit.lines.contains("\"stopped\""))
    }
  }

  @Test func callsThatDoNotEndAreCutOffAtTheDeadline() async throws {
    try await withProcess(["SHUTDOWN_GRACE": "500ms"]) { audit, reactor in
      let channel = try audit.channel(on: reactor)
      try await audit.withLockedEvents(on: reactor) {
        let call = try await PendingAppend(audit, .init(channel: channel), on: reactor)
        audit.signal(SIGTERM)
        await call.task?.value
        #expect(call.error?.code == .unavailable, "\(String(describing: call.error))")
        #expect(audit.end() == 0, "\(audit.lines)")
        #expect(audit.lines.contains("\"stopped\""))
      }
    }
  }

  @Test func aHangupHasNewCertificatesTakenUp() async throws {
    try await withProcess { audit, reactor in
      let old = AuditV1.AuditServiceClient(channel: try audit.channel(on: reactor))
      _ = try await old.appendEvents(.init(events: [event(1)]))
      try audit.presentCertificate(of: "config")
      audit.signal(SIGHUP)
      while try !audit.shows("tls_renewals_total 1") { await Task.yield() }
      let new = AuditV1.AuditServiceClient(
        channel: try audit.channel(on: reactor, expecting: .config))
      _ = try await new.appendEvents(.init(events: [event(2)]))
      let late = AuditV1.AuditServiceClient(channel: try audit.channel(on: reactor))
      let error = await rpcError { _ = try await late.appendEvents(.init(events: [event(3)])) }
      #expect(error?.message.contains("certificate is for another name") == true)
      _ = try await old.appendEvents(.init(events: [event(4)]))
      #expect(try audit.shows("grpc_server_connections 2"))
      audit.signal(SIGTERM)
      #expect(audit.end() == 0)
    }
  }

  @Test func connectionsAndCallsAreSeenFromOutside() async throws {
    try await withProcess { audit, reactor in
      let channel = try audit.channel(on: reactor)
      let client = AuditV1.AuditServiceClient(channel: channel)
      let appended = event()
      _ = try await client.appendEvents(.init(events: [appended]))
      _ = await rpcError { _ = try await client.appendEvents(.init()) }
      _ = await rpcError { _ = try await client.listEvents(.init()) }
      let unknown = MethodDescriptor(
        service: "no.such.Service", name: "Nothing", clientStreaming: false, serverStreaming: false)
      _ = await rpcError {
        let _: AuditV1.AppendEventsResponse = try await channel.unary(
          unknown, AuditV1.AppendEventsRequest())
      }
      let cancelled = try await audit.withLockedEvents(on: reactor) {
        let call = try await PendingAppend(audit, client, on: reactor)
        call.task?.cancel()
        await call.task?.value
        // Let go earlier, the append could be done before the service hears of it.
        while try !audit.shows("grpc_server_resets_received_total 1") { await Task.yield() }
        return call.error
      }
      #expect(cancelled?.code == .cancelled)
      while try !audit.shows("grpc_server_in_progress{\(Self.append)} 0") { await Task.yield() }
      let seen = try audit.get("/metrics")
      let list = "method=\"/storeplane.audit.v1.AuditService/ListEvents\""
      let bytes = 5 + AuditV1.AppendEventsRequest(events: [appended]).serialized().count
      for line in [
        "grpc_server_connections 1", "grpc_server_connections_total 1",
        "grpc_server_streams_total 5", "grpc_server_resets_received_total 1",
        "grpc_server_resets_sent_total 0", "grpc_server_refused_connections_total 0",
        "grpc_server_refused_total{reason=\"unknown_method\"} 1",
        "grpc_server_started_total{\(Self.append)} 3",
        "grpc_server_handled_total{\(Self.append),code=\"OK\"} 1",
        "grpc_server_handled_total{\(Self.append),code=\"INVALID_ARGUMENT\"} 1",
        "grpc_server_handled_total{\(Self.append),code=\"CANCELLED\"} 1",
        "grpc_server_handled_total{\(list),code=\"PERMISSION_DENIED\"} 1",
        "grpc_server_handling_seconds_count{\(Self.append)} 3",
        // The same event twice, and a message without any.
        "grpc_server_received_message_bytes_total{\(Self.append)} \(2 * bytes + 5)",
      ] { #expect(seen.contains("\n\(line)\n"), "\(line) in \(seen)") }
      let sent = "grpc_server_sent_message_bytes_total{\(Self.append)} "
      #expect(seen.contains(sent))
      #expect(!seen.contains("\(sent)0\n"))
      audit.signal(SIGTERM)
      #expect(audit.end() == 0)
    }
  }
}
