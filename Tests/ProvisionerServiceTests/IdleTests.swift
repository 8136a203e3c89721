import Configuration
import Glibc
import Postgres
import ProvisionerTestKit
import Reactor
import TestKit
import Testing

@testable import ProvisionerService
@testable import ServiceRuntime

/// What a replica costs that has nothing to do.
@Suite(.timeLimit(.minutes(2))) struct IdleTests {
  /// Transactions a second, of one statement each: not twice of what they are.
  private static let rateMax = 3.0
  /// Fewer, and this does not measure what it is to.
  private static let rateMin = 0.5
  private static let time: Duration = .seconds(20)
  /// What is done once, at the start, is over then.
  private static let settling: Duration = .seconds(5)

  @Test func aReplicaWithNothingToDoAsksLittleOfTheDatabase() async throws {
    // Of its own: what the server does by itself is off.
    let server = try ThrowawayPostgres()
    let database = try await TestDatabase.make(on: server)
    let configuration = try Configuration.load(
      PlatformService.provisioner.schema,
      environment: [
        "DATABASE_URL": database.urls.application.revealed,
        "DATABASE_WORKER_URL": database.urls.worker.revealed,
        // There are schedules then; nobody calls it.
        "BACKUP_S3_URL": "http://127.0.0.1:1", "BACKUP_S3_ACCESS_KEY": "key",
        "BACKUP_S3_SECRET_KEY": "secret",
      ])
    let reactor = try Reactor.start(name: "idle")
    defer { reactor.loop.stop() }
    let rate = try await reactor.run { reactor in
      let admin = PostgresPool(
        try PostgresConfiguration(url: server.adminURL), as: .owner, on: reactor,
        blocking: BlockingPool(), logger: quiet)
      defer { admin.close() }
      for statement in ["ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()"] {
        try await admin.query(scope: .none, statement, deadline: .soon)
      }
      let service = try Service(.provisioner, configuration, logger: quiet, reactor: reactor)
      let register = FakeClusterRegister()
      try ProvisionerService.start(
        service,
        clusters: .init(
          backend: FakeStoreBackend(FakeCluster(), on: reactor), inspector: register,
          secrets: register))
      let pause = WakeUp(on: reactor)
      await pause.wait(atMost: Self.settling)
      let before = try await Self.transactions(of: database, admin)
      let begin = Instant.now()
      await pause.wait(atMost: Self.time)
      let count = try await Self.transactions(of: database, admin) - before
      let seconds = Double((Instant.now() - begin).nanosecondsSaturating) / 1e9
      service.stop(SIGTERM)
      await service.stopped()
      return count / seconds
    }
    print("an idle replica: \((rate * 100).rounded() / 100) transactions a second")
    #expect(rate < Self.rateMax)
    #expect(rate > Self.rateMin)
  }

  /// As the server counts them, a second late at most; the question is of another database.
  private static func transactions(
    of database: TestDatabase, _ admin: PostgresPool
  ) async throws -> Double {
    let name = try PostgresConfiguration(url: database.admin.revealed).database
    return try await admin.query(
      scope: .none,
      "SELECT (xact_commit + xact_rollback)::float8 FROM pg_stat_database WHERE datname = $1",
      [.text(name)], deadline: .soon)[0].decode(0)
  }
}
