package import Configuration
import Contracts
import Logging
import Observability
import Postgres
import RPC
import Reactor
import Resilience
package import ServiceRuntime

/// Puts the provisioner's parts together.
package enum ProvisionerService {
  /// What acts on clusters; all made on the service's reactor.
  package struct Clusters {
    package var backend: any StoreBackend
    package var inspector: any ClusterInspector
    package var secrets: any ClusterSecrets
    /// Ends what leads to other clusters than these.
    package var retain: (Set<String>) async -> Void

    package init(
      backend: any StoreBackend, inspector: any ClusterInspector, secrets: any ClusterSecrets,
      retain: @escaping (Set<String>) async -> Void = { _ in }
    ) {
      self.backend = backend
      self.inspector = inspector
      self.secrets = secrets
      self.retain = retain
    }
  }

  package static func start(_ service: Service, clusters: Clusters) throws {
    let worker = try service.pool(.worker)
    let feed = try ChangeFeed(listener: service.listener(), on: service.reactor)
    let catalog = StoreCatalog(
      pool: try service.pool(),
      hostSuffix: service.configuration[PlatformSettings.storeDomainSuffix],
      keepsBackups: service.configuration[PlatformSettings.backupURL] != nil)
    let register = ClusterCatalog(pool: try service.pool(), worker: worker)
    let handler = ClusterHandler(
      catalog: register, inspector: clusters.inspector, secrets: clusters.secrets,
      logger: service.logger)
    let retention = BackupRetention(
      ledger: BackupLedger(worker: worker), backend: clusters.backend,
      age: service.configuration[PlatformSettings.backupRetention],
      kept: service.configuration[PlatformSettings.backupsKept], on: service.reactor,
      logger: service.logger, metrics: service.metrics)
    try serve(service, catalog, feed, handler) { if catalog.keepsBackups { retention.runSoon() } }
    let metrics = lookAfter(service, register, handler)
    let sweep = KubeconfigSweep(
      clusters: register, secrets: clusters.secrets, logger: service.logger)
    repeating(service, every: KubeconfigSweep.interval) { await sweep.run() }
    let abandonment = ClusterAbandonment(
      clusters: register, stores: catalog, secrets: clusters.secrets, on: service.reactor,
      logger: service.logger)
    handler.onAbandonment = { abandonment.runSoon() }
    repeating(service, every: ClusterAbandonment.interval) { await abandonment.run() }
    service.onStop { abandonment.stop() }
    try service.deliverOutbox(by: worker)
    // Of its own: however many calls wait for the others, the work goes on.
    let ledger = OperationLedger(worker: worker, application: try service.pool())
    let checks = DriftChecks(worker: worker, application: try service.pool())
    let runner = run(service, ledger, checks, feed, backend: clusters.backend)
    metrics.onList = { all, same in
      runner.breakers.retain(all)
      // A connection that lasts leads to another cluster unseen; a new one looks which it is.
      await clusters.retain(same)
    }
    catalog.isReachable = { !runner.breakers.isOpen(.kubernetes, in: $0) }
    // Without the object store there is nothing to remove files from.
    if catalog.keepsBackups {
      repeating(service, every: BackupRetention.interval) { await retention.run() }
      let scheduling = BackupScheduling(
        BackupSchedules(worker: worker, application: try service.pool()),
        breakers: runner.breakers,
        every: .init(
          backup: service.configuration[PlatformSettings.backupInterval],
          backupTest: service.configuration[PlatformSettings.backupTestInterval]),
        logger: service.logger, metrics: service.metrics)
      repeating(service, every: BackupScheduling.questionInterval) { await scheduling.run() }
    }
  }

  /// People's calls come through the gateway.
  package static func policy(
    _ stores: StoreHandler, _ operations: OperationHandler, _ clusters: ClusterHandler,
    _ backups: BackupHandler
  ) -> AuthorizationPolicy {
    let policy = AuthorizationPolicy()
    policy.allow(service: clusters.methods, to: .gateway)
    policy.allow(service: stores.methods, to: .gateway)
    policy.allow(service: operations.methods, to: .gateway)
    policy.allow(service: backups.methods, to: .gateway)
    return policy
  }

  private static func serve(
    _ service: Service, _ catalog: StoreCatalog, _ feed: ChangeFeed, _ clusters: ClusterHandler,
    onBackupDeletion: @escaping () -> Void
  ) throws {
    let stores = StoreHandler(
      catalog: catalog, feed: feed, address: service.configuration[PlatformSettings.storeURL],
      logger: service.logger)
    let operations = OperationHandler(catalog: catalog, feed: feed, logger: service.logger)
    let backups = BackupHandler(
      catalog: catalog, logger: service.logger, onDeletion: onBackupDeletion)
    try service.serve(
      [stores.methods, operations.methods, clusters.methods, backups.methods],
      policy: policy(stores, operations, clusters, backups))
    // Watches would otherwise last until the grace is over.
    service.onDrain { feed.close() }
  }

  /// Measures the clusters, and checks them.
  private static func lookAfter(
    _ service: Service, _ register: ClusterCatalog, _ handler: ClusterHandler
  ) -> ClusterMetrics {
    let reactor = service.reactor
    let metrics = ClusterMetrics(
      catalog: register, metrics: service.metrics, logger: service.logger)
    handler.onChange = { reactor.loop.spawn(on: reactor) { await metrics.refresh() } }
    repeating(service, every: ClusterMetrics.interval) { await metrics.refresh() }
    repeating(service, every: ClusterHandler.questionInterval) { await handler.checkDue() }
    reactor.loop.spawn(on: reactor) {
      await metrics.refresh()
      await handler.checkOwn()
    }
    return metrics
  }

  private static func run(
    _ service: Service, _ ledger: OperationLedger, _ checks: DriftChecks, _ feed: ChangeFeed,
    backend: any StoreBackend
  ) -> OperationRunner {
    let runner = OperationRunner(
      ledger: ledger, backend: backend, settings: settings(service.configuration),
      holder: HolderName.make(), on: service.reactor, logger: service.logger,
      metrics: service.metrics)
    feed.onWork = { runner.lookForWork() }
    feed.onCancellation = { runner.cancel($0) }
    runner.start()
    service.onStop { await runner.stop() }
    // Beside the operations: what is looked at is nobody's to work on.
    let drift = DriftReconciliation(
      checks, backend: backend, breakers: runner.breakers,
      every: service.configuration[PlatformSettings.driftInterval], on: service.reactor,
      logger: service.logger, metrics: service.metrics)
    service.onStop { await drift.stop() }
    let retention = OperationRetention(
      ledger: ledger, age: service.configuration[PlatformSettings.operationRetention],
      logger: service.logger)
    let neglected = NeglectedOperations(
      ledger: ledger, metrics: service.metrics, logger: service.logger)
    repeating(service, every: OperationRetention.interval) { await retention.forget() }
    repeating(service, every: NeglectedOperations.interval) { await neglected.look() }
    repeating(service, every: DriftReconciliation.questionInterval) { drift.look() }
    return runner
  }

  private static func repeating(
    _ service: Service, every interval: Duration, _ body: @escaping () async -> Void
  ) {
    let job = RecurringJob(every: interval, on: service.reactor, body)
    job.start()
    service.onStop { job.stop() }
  }

  package static func settings(_ configuration: Configuration) -> EngineSettings {
    var settings = EngineSettings()
    settings.workers = configuration[PlatformSettings.provisionerWorkers]
    settings.recovery = configuration[PlatformSettings.recovery]
    settings.limits.perTenant = configuration[PlatformSettings.operationsPerTenant]
    settings.limits.perCluster = configuration[PlatformSettings.operationsPerCluster]
    settings.limits.overall = configuration[PlatformSettings.operationsOverall]
    settings.retry = RetryPolicy(
      base: configuration[PlatformSettings.stepRetryBase],
      maximumAttempts: configuration[PlatformSettings.stepAttempts])
    settings.outageRetry = RetryPolicy(
      maximumDelay: configuration[PlatformSettings.outageWaitMax],
      maximumAttempts: configuration[PlatformSettings.outageAttempts])
    settings.attemptsMax = max(
      settings.attemptsMax, settings.outageRetry.maximumAttempts + EngineSettings.cutOffsMin)
    settings.breaker = CircuitBreaker.Settings(
      failureThreshold: configuration[PlatformSettings.breakerFailures],
      openDuration: configuration[PlatformSettings.breakerOpenDuration])
    return settings
  }
}
