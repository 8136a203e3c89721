import Contracts
import Foundation
import Logging
import Observability
import Postgres
import Reactor
import Resilience
import ServiceRuntime
import Synchronization
import TestKit

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

extension Instant {
  /// Far enough for anything that works, near enough for a test that does not end.
  static var soon: Instant { .now() + .seconds(20) }
}

/// Runs `body` on a reactor of its own.
func onReactor<R: Sendable>(
  _ body: @Sendable (isolated Reactor) async throws -> R
) async throws -> R {
  let reactor = try Reactor.start(name: "test")
  defer { reactor.loop.stop() }
  return try await reactor.run(body)
}

/// What `body` throws, on the caller's reactor.
func failure(_ body: () async throws -> Void) async -> (any Error)? {
  do {
    try await body()
    return nil
  } catch {
    return error
  }
}

/// A schema with nothing but an outbox. Confined to a reactor.
final class Outbox {
  static let blocking = BlockingPool()
  /// Roles are common to all databases of a server: each test has a schema name of its own.
  private static let schemas = Mutex(0)

  let schema: String
  let reactor: Reactor
  let application: PostgresPool
  let worker: PostgresPool
  let owner: PostgresPool
  let listener: PostgresListener

  init(on reactor: isolated Reactor, of server: ThrowawayPostgres) async throws {
    schema = Outbox.schemas.withLock { number in
      number += 1
      return "outbox\(number)"
    }
    self.reactor = reactor
    let admin = try server.createDatabase()
    var setup = DatabaseSetup(logger: quiet)
    setup.timeout = .seconds(60)
    let database = try await setup.prepare(
      service: schema, admin: DatabaseURL(admin), on: reactor, blocking: Outbox.blocking)
    _ = try await Migrator(logger: quiet).run(
      [OutboxSchema.migration(version: 1)], owner: database.owner, on: reactor,
      blocking: Outbox.blocking)
    func configuration(_ url: DatabaseURL) throws -> PostgresConfiguration {
      var configuration = try PostgresConfiguration(url: url.revealed)
      configuration.connectTimeout = .seconds(20)
      return configuration
    }
    func pool(_ url: DatabaseURL, _ role: PostgresPool.Role) throws -> PostgresPool {
      var limits = PoolConfiguration()
      limits.connectionsMax = 4
      // A busy machine is no failure.
      limits.acquireTimeout = .seconds(30)
      return PostgresPool(
        try configuration(url), as: role, limits: limits, on: reactor, blocking: Outbox.blocking,
        logger: quiet)
    }
    application = try pool(database.application, .application)
    worker = try pool(database.worker, .worker)
    owner = try pool(database.owner, .owner)
    listener = PostgresListener(
      try configuration(database.application), on: reactor, blocking: Outbox.blocking,
      logger: quiet)
  }

  func close() {
    listener.close()
    for pool in [application, worker, owner] { pool.close() }
  }

  /// Leaves events as a service does.
  func add(_ events: [AuditV1.Event]) async throws {
    try await application.withTransaction(scope: .tenant("acme"), deadline: .soon) { transaction in
      for event in events { try await OutboxWriter().append(event, in: transaction) }
    }
  }

  func delivery(
    to audit: FakeAudit, metrics: MetricsRegistry = MetricsRegistry(),
    _ adjust: (inout OutboxDeliveryConfiguration) -> Void = { _ in }
  ) -> OutboxDelivery {
    var configuration = OutboxDeliveryConfiguration()
    // Whatever goes on after this was woken.
    configuration.pollInterval = .seconds(60)
    configuration.retry = .init(
      base: .milliseconds(1), maximumDelay: .milliseconds(5), maximumAttempts: .max)
    configuration.backlogInterval = .zero
    adjust(&configuration)
    return OutboxDelivery(
      schema: schema, pool: worker, reactor: reactor, logger: quiet, metrics: metrics,
      configuration: configuration
    ) { request in
      try await audit.append(request)
    }
  }

  func count(_ condition: String) async throws -> Int {
    try await owner.query(
      scope: .none, "SELECT count(*) FROM outbox WHERE \(condition)", deadline: .soon
    )[0].decode(0)
  }

  /// Waits until `count` rows are so; the time limit of the test ends what never is.
  func wait(for count: Int, _ condition: String) async throws {
    while try await self.count(condition) != count {}
  }

  func execute(_ sql: String) async throws {
    try await owner.query(scope: .none, sql, deadline: .soon)
  }
}

/// Runs `body` beside an outbox of its own.
func withOutbox<R: Sendable>(
  of server: ThrowawayPostgres? = nil, _ body: @Sendable (Outbox) async throws -> R
) async throws -> R {
  try await onReactor { reactor in
    let outbox = try await Outbox(on: reactor, of: server ?? .shared())
    defer { outbox.close() }
    return try await body(outbox)
  }
}

/// What the audit service does with events, as far as a delivery sees it. Confined to a reactor.
final class FakeAudit {
  typealias Result = AuditV1.AppendEventsResponse.Result

  /// Ids in the order in which they came, again and again where they came again.
  private(set) var received: [String] = []
  private(set) var callSizes: [Int] = []
  /// What becomes of a call instead of being answered.
  var failure: (AuditV1.AppendEventsRequest) -> (any Error)? = { _ in nil }
  /// What becomes of an event.
  var outcome: (AuditV1.Event) -> Result.Outcome = { _ in .recorded }
  /// Called before an answer.
  var beforeAnswer: () async throws -> Void = {}

  func append(_ request: AuditV1.AppendEventsRequest) async throws -> AuditV1.AppendEventsResponse {
    if let failure = failure(request) { throw failure }
    received += request.events.map(\.id)
    callSizes.append(request.events.count)
    try await beforeAnswer()
    return AuditV1.AppendEventsResponse(
      results: request.events.map { event in
        let outcome = outcome(event)
        return Result(
          event: event.id, outcome: outcome,
          error: outcome == .rejected ? .init(code: 3, message: "action: not known") : nil)
      })
  }
}

func events(_ count: Int, tenant: String = "acme") -> [AuditV1.Event] {
  let source = AuditEventSource(service: .provisioner)
  return (0..<count).map { number in
    var event = source.event(
      "store.transition", tenant: tenant,
      occurred: .init(seconds: 1_750_000_000 + Int64(number), nanos: 0))
    event.revision = Int64(number)
    return event
  }
}
