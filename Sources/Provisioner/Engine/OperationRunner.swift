package import Logging
package import Observability
package import Postgres
package import Reactor
package import Resilience

/// Claims operations and works on them, as many at once as it has workers. Confined to a reactor.
///
/// It looks for work when it is told of some, when a worker is free, when something that waits is due,
/// and now and then in case it was not told.
package final class OperationRunner {
  /// The wait after the database failed.
  static let failureWait: Duration = .seconds(1)

  private let environment: OperationExecution.Environment
  private let holder: String
  private var executions: [Int64: OperationExecution] = [:]
  private var isRunning = false
  private var isClaiming = false
  private var mustClaimAgain = false
  private var isRenewing = false
  private var pollTimer: LoopTimer?
  private var beatTimer: LoopTimer?
  private var stopWaiter: Resumption<Void>?

  private var loop: EventLoop { environment.reactor.loop }
  private var settings: EngineSettings { environment.settings }
  private var ledger: OperationLedger { environment.ledger }

  package let breakers: DependencyBreakers

  /// - Parameter holder: names this process in leases, for people.
  package init(
    ledger: OperationLedger, backend: any StoreBackend, settings: EngineSettings, holder: String,
    clock: any TimeSource = SystemTimeSource(), on reactor: Reactor, logger: Logger,
    metrics: MetricsRegistry
  ) {
    let metrics = EngineMetrics(metrics)
    breakers = DependencyBreakers(
      settings: settings.breaker, clock: clock, logger: logger, metrics: metrics)
    environment = OperationExecution.Environment(
      ledger: ledger, backend: backend, breakers: breakers, settings: settings, clock: clock,
      reactor: reactor, logger: logger, metrics: metrics)
    self.holder = holder
  }

  /// Operations under way here.
  package var count: Int { executions.count }

  package func start() {
    loop.checkIsolated()
    isRunning = true
    beat()
    lookForWork()
  }

  /// There may be work; said by the change feed.
  package func lookForWork() {
    if !isRunning { return }
    if isClaiming {
      mustClaimAgain = true
      return
    }
    guard executions.count < settings.workers else { return }
    isClaiming = true
    loop.spawn(on: environment.reactor) { await self.claim() }
  }

  /// An operation is to be cancelled; nil: one of them may be.
  package func cancel(_ operation: PostgresUUID?) {
    if let operation {
      for execution in executions.values where execution.lease.claim.operation == operation {
        execution.lease.cancel()
      }
    } else {
      renew()
    }
    // Those that wait for an attempt can be taken at once.
    lookForWork()
  }

  /// Stops all side effects, gives the operations back and returns when that is done.
  package func stop() async {
    isRunning = false
    if let pollTimer { loop.cancel(pollTimer) }
    pollTimer = nil
    for execution in executions.values { execution.stop(.shutdown) }
    let onCancel = {}
    while !isIdle {
      await suspended(on: environment.reactor, onCancel: onCancel) { resumption in
        // Other jobs may have run on the way here.
        if self.isIdle { return resumption.resume(()) }
        self.stopWaiter = resumption
      }
    }
    if let beatTimer { loop.cancel(beatTimer) }
    beatTimer = nil
  }

  /// Of the operations under way here, those that nobody asked for.
  private var scheduledCount: Int {
    executions.values.count { $0.lease.claim.isScheduled }
  }

  private var isIdle: Bool { executions.isEmpty && !isClaiming }

  // MARK: Claims

  private func claim() async {
    mustClaimAgain = false
    var wait: Duration? = settings.pollInterval
    do throws(PostgresError) {
      let free = settings.workers - executions.count
      let askedAt = Instant.now()
      let claims = try await ledger.claim(
        free, scheduled: max(0, settings.scheduledWorkers - scheduledCount), for: holder,
        lease: settings.lease.duration, within: settings.limits)
      for claim in claims { begin(claim, askedAt: askedAt) }
      if claims.count < free, let next = try await ledger.nextClaim() {
        wait = min(settings.pollInterval, next)
      }
    } catch {
      wait = OperationRunner.failureWait
      environment.logger.warning("operations not claimed", metadata: ["reason": "\(error)"])
    }
    isClaiming = false
    if mustClaimAgain {
      lookForWork()
    } else {
      poll(after: wait ?? settings.pollInterval)
    }
    wakeStopWaiter()
  }

  private func begin(_ claim: Claim, askedAt: Instant) {
    let lease = OperationLease(claim, askedAt: askedAt, terms: settings.lease, on: loop)
    let execution = OperationExecution(lease, environment)
    executions[claim.fence] = execution
    environment.metrics.running.set(Int64(executions.count))
    // Claimed while it was told to stop: given back by the same way as the others.
    if !isRunning { execution.stop(.shutdown) }
    loop.spawn(on: environment.reactor) {
      await execution.run()
      self.ended(claim.fence)
    }
  }

  private func ended(_ fence: Int64) {
    executions[fence] = nil
    environment.metrics.running.set(Int64(executions.count))
    lookForWork()
    wakeStopWaiter()
  }

  private func poll(after wait: Duration) {
    if let pollTimer { loop.cancel(pollTimer) }
    pollTimer = nil
    if !isRunning { return }
    pollTimer = loop.schedule(after: wait) {
      self.pollTimer = nil
      self.lookForWork()
    }
  }

  private func wakeStopWaiter() {
    let waiter = stopWaiter
    stopWaiter = nil
    waiter?.resume(())
  }

  // MARK: Leases

  private func beat() {
    beatTimer = loop.schedule(after: settings.lease.beat) {
      self.renew()
      self.beat()
    }
  }

  private func renew() {
    let leases = executions.values.map(\.lease).filter { !$0.isLost }
    if leases.isEmpty || isRenewing { return }
    isRenewing = true
    loop.spawn(on: environment.reactor) { await self.renew(leases) }
  }

  private func renew(_ leases: [OperationLease]) async {
    let askedAt = Instant.now()
    do throws(PostgresError) {
      // An exchange that hangs costs one beat, and a lease outlasts two.
      let renewed = try await ledger.renew(
        leases.map(\.claim), lease: settings.lease.duration, timeout: settings.lease.beat)
      for lease in leases {
        if let isCancelled = renewed[lease.claim.fence] {
          lease.renewed(askedAt: askedAt, isCancelled: isCancelled)
        } else {
          lease.lose()
        }
      }
    } catch {
      // Each lease runs out by its own clock unless a later beat renews it.
      environment.logger.warning("leases not renewed", metadata: ["reason": "\(error)"])
    }
    isRenewing = false
  }
}
