import Observability
import Postgres
import Reactor
import TestKit
import Testing

@testable import ServiceRuntime

@Suite(.timeLimit(.minutes(2))) struct OutboxOutageTests {
  @Test func deliveryGoesOnAfterTheDatabaseWasGone() async throws {
    let server = try ThrowawayPostgres()
    try await withOutbox(of: server) { outbox in
      let audit = FakeAudit()
      let delivery = outbox.delivery(to: audit) { $0.databaseTimeout = .seconds(3) }
      try delivery.start(listener: outbox.listener)
      try await outbox.add(events(3))
      try await outbox.wait(for: 3, "delivered_at IS NOT NULL")
      try server.kill()
      delivery.wake()
      while delivery.metrics.failures.value == 0 {
        let error = await failure { _ = try await delivery.deliverBatch() }
        #expect(error is PostgresError)
      }
      try server.start()
      try await outbox.add(events(3))
      try await outbox.wait(for: 6, "delivered_at IS NOT NULL")
      // It listens again: it would not look for a minute.
      try await outbox.add(events(3))
      try await outbox.wait(for: 9, "delivered_at IS NOT NULL")
      await delivery.stop()
      #expect(audit.received.count == 9)
      #expect(Set(audit.received).count == 9)
    }
  }
}
