package import Contracts
package import Logging
package import Observability
package import Postgres
package import RPC
import RPCCore
package import Reactor
package import Resilience

/// Limits and times of a delivery.
package struct OutboxDeliveryConfiguration: Sendable {
  /// Events claimed, and sent in one call: what audit takes at once.
  package var batchEventsMax = 500
  /// Bytes of the events of one call: below what a server takes in a message.
  package var batchBytesMax = 3 * 1024 * 1024
  /// How long claimed events are kept from other deliveries: when this one dies, they wait so long.
  package var lease: Duration = .seconds(60)
  /// Events whose calls failed alone before the rest of a batch is given back: by then it is audit
  /// that fails, not an event.
  package var suspectsMax = 8
  /// How long such an event is kept back, while others go.
  package var suspectDelay: Duration = .seconds(60)
  /// What is left of a batch after this is given back, long before its lease ends.
  package var batchTimeout: Duration = .seconds(30)
  package var callTimeout: Duration = .seconds(10)
  package var databaseTimeout: Duration = .seconds(10)
  /// How often is looked for events without being woken.
  package var pollInterval: Duration = .seconds(2)
  /// Waits after failures. There is no last attempt: an event is delivered or refused.
  package var retry = RetryPolicy(
    base: .milliseconds(100), maximumDelay: .seconds(10), maximumAttempts: .max)
  /// How long delivered events are kept, for a person who looks into a gap.
  package var retention: Duration = .seconds(24 * 3600)
  package var purgeInterval: Duration = .seconds(60)
  /// Delivered events deleted in one statement.
  package var purgeEventsMax = 5_000
  /// The least time between two counts of what waits.
  package var backlogInterval: Duration = .seconds(5)

  package init() {}
}

/// Carries the events of a service's outbox to audit, at least once each; audit drops what it has.
///
/// Any number of replicas deliver from one outbox: an event is claimed for a while (SKIP LOCKED), sent,
/// and marked. A crash after the claim leaves it to the others when the lease ends; a crash between
/// sending and marking sends it twice under the same id. No cursor follows a sequence, so an event
/// whose transaction commits late is found like any other. What audit refuses for good is set aside with
/// the reason, logged and counted, and holds up nothing.
///
/// Confined to its reactor.
package final class OutboxDelivery {
  package typealias Send =
    (AuditV1.AppendEventsRequest) async throws -> AuditV1.AppendEventsResponse

  let configuration: OutboxDeliveryConfiguration
  let store: OutboxStore
  private let send: Send
  private let schema: String
  private let reactor: Reactor
  let logger: Logger
  let metrics: OutboxMetrics
  private let work: WakeUp
  private let stopping: WakeUp
  private var isStopping = false
  private var task: Task<Void, Never>?
  private var failures = 0
  private var nextPurge = Instant(nanoseconds: 0)
  private var nextCount = Instant(nanoseconds: 0)

  /// - Parameters:
  ///   - pool: as the worker role of `schema`.
  ///   - send: calls audit; what it throws is tried again.
  package init(
    schema: String, pool: PostgresPool, reactor: Reactor, logger: Logger, metrics: MetricsRegistry,
    configuration: OutboxDeliveryConfiguration = OutboxDeliveryConfiguration(),
    send: @escaping Send
  ) {
    self.schema = schema
    self.configuration = configuration
    self.reactor = reactor
    self.logger = logger
    self.metrics = OutboxMetrics(metrics)
    self.send = send
    store = OutboxStore(pool: pool, configuration: configuration)
    work = WakeUp(on: reactor)
    stopping = WakeUp(on: reactor)
  }

  /// Delivers through a channel to audit.
  package convenience init(
    schema: String, pool: PostgresPool, channel: Channel, logger: Logger, metrics: MetricsRegistry,
    configuration: OutboxDeliveryConfiguration = OutboxDeliveryConfiguration()
  ) {
    let client = AuditV1.AuditServiceClient(channel: channel)
    let options = CallOptions(timeout: configuration.callTimeout)
    self.init(
      schema: schema, pool: pool, reactor: channel.reactor, logger: logger, metrics: metrics,
      configuration: configuration
    ) { request in
      try await client.appendEvents(request, options: options)
    }
  }

  /// Starts to deliver. With a listener, events are sent as soon as they are committed.
  package func start(listener: PostgresListener? = nil) throws(PostgresError) {
    precondition(task == nil, "a delivery is started once")
    try listener?.listen(to: OutboxSchema.channel(schema: schema)) { [weak self] _ in self?.wake() }
    task = reactor.loop.spawn(on: reactor) { await self.run() }
  }

  /// Looks for events now.
  package func wake() { work.call() }

  /// Lets the batch under way end, and returns when nothing is under way any more.
  package func stop() async {
    isStopping = true
    work.call()
    stopping.call()
    await task?.value
  }

  // MARK: The loop

  private func run() async {
    while !isStopping {
      do {
        let delivered = try await deliverBatch()
        failures = 0
        await keepHouse()
        if delivered == 0 && !isStopping { await work.wait(atMost: configuration.pollInterval) }
      } catch {
        failures += 1
        metrics.failures.increment()
        logger.warning(
          "audit events were not delivered; they are kept and sent again",
          metadata: ["reason": "\(error)", "failures": "\(failures)"])
        await keepHouse()
        // New events do not shorten the wait: audit is no more there for them.
        if !isStopping { await stopping.wait(atMost: wait(failures: failures)) }
      }
    }
  }

  private func wait(failures: Int) -> Duration {
    var generator = SystemRandomNumberGenerator()
    let decision = configuration.retry.decide(
      after: .retryable(), failedAttempts: failures, using: &generator)
    guard case .retry(let wait) = decision else { return configuration.retry.maximumDelay }
    return wait
  }

  /// Claims, sends and settles one batch; how many events it claimed.
  func deliverBatch() async throws -> Int {
    let claimed = try await store.claim()
    if claimed.isEmpty { return 0 }
    let sendUntil = Instant.now() + configuration.batchTimeout
    var outcome = OutboxOutcome(claimed)
    var failure: (any Error)?
    do {
      for batch in outcome.batches(bytesMax: configuration.batchBytesMax) {
        try await deliver(batch, &outcome, until: sendUntil)
      }
    } catch {
      failure = error
    }
    let delay = configuration.retry.delay(failedAttempts: outcome.attemptsMax)
    try await store.settle(outcome, delay: failure == nil ? .zero : delay)
    report(outcome)
    if let failure { throw failure }
    return claimed.count
  }

  private func deliver(
    _ batch: ArraySlice<OutboxEvent>, _ outcome: inout OutboxOutcome, until end: Instant
  ) async throws {
    if Instant.now() >= end { return }
    let request = AuditV1.AppendEventsRequest(events: batch.map(\.event))
    let response: AuditV1.AppendEventsResponse
    do {
      response = try await send(request)
    } catch let error as RPCError where OutboxDelivery.mayLieInAnEvent(error.code) {
      // One of them spoils the call for all: halves tell which.
      guard batch.count > 1 else { return try blame(batch[batch.startIndex], error, &outcome) }
      let middle = batch.startIndex + batch.count / 2
      try await deliver(batch[..<middle], &outcome, until: end)
      return try await deliver(batch[middle...], &outcome, until: end)
    }
    guard response.results.count == batch.count else {
      throw RPCError(
        .internal, "audit gave \(response.results.count) results for \(batch.count) events")
    }
    var unknown: AuditV1.AppendEventsResponse.Result.Outcome?
    for (event, result) in zip(batch, response.results) {
      switch result.outcome {
      case .recorded, .duplicate: outcome.deliver(event.id)
      case .rejected: outcome.reject(event.id, result.error?.message ?? "audit gave no reason")
      case .unspecified, .unrecognized: unknown = result.outcome
      }
    }
    if let unknown { throw RPCError(.internal, "audit gave an unknown outcome: \(unknown)") }
  }

  /// Whether another call, with other events, may succeed where one failed so.
  private static func mayLieInAnEvent(_ code: StatusCode) -> Bool {
    switch code {
    case .invalidArgument, .outOfRange, .internal, .unknown, .dataLoss, .resourceExhausted: true
    default: false
    }
  }

  /// A call with nothing but `event` failed.
  private func blame(
    _ event: OutboxEvent, _ error: RPCError, _ outcome: inout OutboxOutcome
  ) throws {
    if error.code == .invalidArgument { return outcome.reject(event.id, error.message) }
    outcome.suspect(event.id)
    logger.warning(
      "an audit event fails alone; it is kept back for a while",
      metadata: ["event": "\(event.id)", "reason": "\(error)"])
    if outcome.suspects.count >= configuration.suspectsMax { throw error }
  }

  private func report(_ outcome: OutboxOutcome) {
    metrics.delivered.increment(by: UInt64(outcome.delivered.count))
    metrics.rejected.increment(by: UInt64(outcome.rejected.count))
    for (id, reason) in outcome.rejected {
      logger.error(
        "an audit event was refused and set aside; see the outbox",
        metadata: ["event": "\(id)", "reason": "\(reason)"])
    }
  }

  // MARK: Housekeeping

  /// Neither what waits nor what is old keeps events from being delivered: failures are logged only.
  private func keepHouse() async {
    do {
      let now = Instant.now()
      if now >= nextCount {
        nextCount = now + configuration.backlogInterval
        metrics.show(try await store.backlog())
      }
      if now >= nextPurge {
        let purged = try await store.purge()
        // A full round leaves more.
        if purged < configuration.purgeEventsMax { nextPurge = now + configuration.purgeInterval }
      }
    } catch {
      logger.warning("the outbox was not looked after", metadata: ["reason": "\(error)"])
    }
  }
}

/// What a delivery shows of itself.
struct OutboxMetrics {
  let delivered: Counter
  let rejected: Counter
  let failures: Counter
  private let pending: Gauge
  private let parked: Gauge
  private let oldest: Gauge

  init(_ registry: MetricsRegistry) {
    delivered = registry.counter(
      "outbox_delivered_total", help: "Audit events delivered by this process.")
    rejected = registry.counter(
      "outbox_rejected_total", help: "Audit events that audit refused for good.")
    failures = registry.counter(
      "outbox_failures_total", help: "Attempts to deliver that failed and are repeated.")
    pending = registry.gauge("outbox_pending", help: "Audit events that wait for delivery.")
    parked = registry.gauge(
      "outbox_rejected", help: "Audit events that were refused and wait for an operator.")
    oldest = registry.gauge(
      "outbox_oldest_seconds", help: "How long the oldest waiting audit event has waited.")
  }

  func show(_ backlog: OutboxBacklog) {
    pending.set(backlog.pending)
    parked.set(backlog.rejected)
    oldest.set(backlog.oldestSeconds)
  }
}
