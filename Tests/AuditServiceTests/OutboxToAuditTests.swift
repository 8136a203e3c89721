import Contracts
import Observability
import Postgres
import RPC
import RPCCore
import Reactor
import Resilience
import ServiceRuntime
import TestKit
import Testing

@testable import AuditService

@Suite(.timeLimit(.minutes(2))) struct OutboxToAuditTests {
  /// From a service's transaction to the tenant's tail, while audit is away for a while.
  @Test func eventsReachTheTailOnceAuditIsBack() async throws {
    let admin = try AuditDatabase.createDatabase()
    try await withAudit { audit in
      let database = try await DatabaseSetup(logger: quiet).prepare(
        service: "sender", admin: DatabaseURL(admin), on: audit.reactor,
        blocking: AuditDatabase.blocking)
      try await Migrator(logger: quiet).run(
        [OutboxSchema.migration(version: 2)], owner: database.owner, on: audit.reactor,
        blocking: AuditDatabase.blocking)
      func pool(_ url: DatabaseURL, _ role: PostgresPool.Role) throws -> PostgresPool {
        PostgresPool(
          try PostgresConfiguration(url: url.revealed), as: role, on: audit.reactor,
          blocking: AuditDatabase.blocking, logger: quiet)
      }
      let application = try pool(database.application, .application)
      let worker = try pool(database.worker, .worker)
      defer {
        application.close()
        worker.close()
      }

      // Nobody listens on the port of a server that has gone.
      let gone = Server(reactor: audit.reactor)
      let nowhere = try gone.listen(on: .ipv4(address: 0x7F00_0001, port: 0))
      await gone.drain(until: .now())
      var route = nowhere
      let channel = try audit.channel(as: "provisioner") { return [route] }
      let metrics = MetricsRegistry()
      var configuration = OutboxDeliveryConfiguration()
      configuration.pollInterval = .milliseconds(10)
      configuration.retry = RetryPolicy(
        base: .milliseconds(1), maximumDelay: .milliseconds(20), maximumAttempts: .max)
      let delivery = OutboxDelivery(
        schema: "sender", pool: worker, channel: channel, logger: quiet, metrics: metrics,
        configuration: configuration)
      try delivery.start()

      let stream = try await audit.tail("acme")
      try await audit.waitForTails(1)
      let sent = (1...3).map { event($0, store: "s", name: "demo") }
      var refused = event(4)
      refused.service = "gateway"
      try await application.withTransaction(scope: .tenant("acme"), deadline: .soon) {
        transaction in
        for event in sent + [refused] { try await OutboxWriter().append(event, in: transaction) }
      }
      let failures = metrics.counter("outbox_failures_total", help: "")
      while failures.value < 2 { try await audit.ping() }
      #expect(try await audit.list("acme").events.isEmpty)

      route = audit.address
      for event in sent { #expect(try await stream.next()?.id == event.id) }
      while metrics.counter("outbox_rejected_total", help: "").value < 1 { try await audit.ping() }
      await delivery.stop()
      #expect(try await audit.list("acme").events.count == 3)
      #expect(metrics.counter("outbox_delivered_total", help: "").value == 3)
    }
  }
}
