import Logging
import Observability
import Postgres
import ProvisionerService
import Reactor
import Resilience
import ServiceRuntime

/// A process of the provisioner, without its handlers: all that works by itself.
final class Replica {
  let slot: Int
  let machine: Machine
  private let runner: OperationRunner
  private let feed: ChangeFeed
  private let delivery: OutboxDelivery
  private let drift: DriftReconciliation
  private let abandonment: ClusterAbandonment
  private let jobs: [RecurringJob]

  init(_ simulation: Simulation, _ machine: Machine, slot: Int) throws {
    self.slot = slot
    self.machine = machine
    let connections = try Connections(simulation.environment, machine)
    let logger = simulation.logger(machine)
    let metrics = MetricsRegistry()
    let application = connections.pool(.application)
    let worker = connections.pool(.worker)
    let backend = SimulatedBackend(simulation, machine)
    let ledger = OperationLedger(worker: worker, application: application)
    runner = OperationRunner(
      ledger: ledger, backend: backend,
      settings: simulation.settings, holder: machine.name, on: machine.reactor, logger: logger,
      metrics: metrics)
    feed = try ChangeFeed(listener: connections.listener(), on: machine.reactor)
    let audit = simulation.audit!
    delivery = OutboxDelivery(
      schema: simulation.environment.database.schema, pool: worker, reactor: machine.reactor,
      logger: logger, metrics: metrics
    ) { try await audit.append($0, from: machine) }
    let retention = OperationRetention(ledger: ledger, age: .seconds(7_200), logger: logger)
    let neglected = NeglectedOperations(ledger: ledger, metrics: metrics, logger: logger)
    let drift = DriftReconciliation(
      DriftChecks(worker: worker, application: application), backend: backend,
      breakers: runner.breakers, every: .seconds(8), on: machine.reactor, logger: logger,
      metrics: metrics)
    self.drift = drift
    let backups = BackupRetention(
      ledger: BackupLedger(worker: worker), backend: backend, age: .seconds(8), kept: 1,
      on: machine.reactor, logger: logger, metrics: metrics)
    let scheduling = BackupScheduling(
      BackupSchedules(worker: worker, application: application), breakers: runner.breakers,
      every: .init(backup: .seconds(8), backupTest: .seconds(8)),
      testsAfter: .zero, logger: logger, metrics: metrics)
    var jobs = [
      RecurringJob(every: .seconds(60), on: machine.reactor) { await retention.forget() },
      RecurringJob(every: NeglectedOperations.interval, on: machine.reactor) {
        await neglected.look()
      },
    ]
    if simulation.faults.looksAtDrift {
      jobs.append(RecurringJob(every: .seconds(4), on: machine.reactor) { drift.look() })
    }
    let clusters = ClusterCatalog(pool: application, worker: worker)
    let register = SimulatedRegister(simulation, machine)
    let abandonment = ClusterAbandonment(
      clusters: clusters,
      stores: StoreCatalog(pool: application, hostSuffix: ".localhost", keepsBackups: true),
      secrets: register, on: machine.reactor, logger: logger)
    self.abandonment = abandonment
    jobs.append(
      RecurringJob(every: .seconds(10), on: machine.reactor) { await abandonment.run() })
    if simulation.faults.checksClusters {
      let handler = ClusterHandler(
        catalog: clusters, inspector: register, secrets: register, logger: logger,
        checkInterval: .seconds(12), recoveryInterval: .seconds(5))
      jobs.append(
        RecurringJob(every: .seconds(4), on: machine.reactor) { await handler.checkDue() })
      machine.loop.spawn(on: machine.reactor) { await handler.checkOwn() }
    }
    if simulation.faults.removesBackups {
      jobs.append(RecurringJob(every: .seconds(10), on: machine.reactor) { await backups.run() })
    }
    if simulation.faults.schedulesBackups {
      let isOver = { [unowned simulation] in simulation.faults.isOver }
      jobs.append(
        RecurringJob(every: .seconds(3), on: machine.reactor) {
          // It would begin something for ever.
          if !isOver() { await scheduling.run() }
        })
    }
    self.jobs = jobs
    let runner = runner
    feed.onWork = { runner.lookForWork() }
    feed.onCancellation = { runner.cancel($0) }
    runner.start()
    try delivery.start(listener: connections.listener())
    for job in jobs { job.start() }
  }

  /// Begins to stop in good order.
  func stop() {
    for job in jobs { job.stop() }
    abandonment.stop()
    let (runner, delivery) = (runner, delivery)
    machine.loop.spawn(on: machine.reactor) { await runner.stop() }
    machine.loop.spawn(on: machine.reactor) { await delivery.stop() }
    let drift = drift
    machine.loop.spawn(on: machine.reactor) { await drift.stop() }
  }
}

/// How a machine reaches the database: through the proxy.
struct Connections {
  private let configurations: [PostgresConfiguration]
  private let reactor: Reactor
  private let logger: Logger
  // Nobody waits for a thread.
  private let blocking = BlockingPool(threadsMax: 0)

  init(_ environment: Simulation.Environment, _ machine: Machine) throws {
    configurations = try ["app", "worker"].map { role in
      let folder = environment.folder.replacing("/", with: "%2F")
      var configuration = try PostgresConfiguration(
        url: "postgresql://\(environment.database.schema)_\(role)@\(folder)/simulation")
      configuration.applicationName = machine.name
      return configuration
    }
    reactor = machine.reactor
    logger = Logger(label: "database") { _ in SwiftLogNoOpLogHandler() }
  }

  func pool(_ role: PostgresPool.Role) -> PostgresPool {
    var limits = PoolConfiguration()
    limits.connectionsMax = 3
    return PostgresPool(
      configurations[role == .worker ? 1 : 0], as: role, limits: limits, on: reactor,
      blocking: blocking, logger: logger)
  }

  func listener() -> PostgresListener {
    PostgresListener(configurations[0], on: reactor, blocking: blocking, logger: logger)
  }
}
