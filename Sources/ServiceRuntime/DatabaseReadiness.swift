import Observability
import Postgres
import Reactor

/// Reports to `/readyz` whether the service's database answers, by asking it now and then.
///
/// Confined to its reactor.
final class DatabaseReadiness {
  static let interval: Duration = .seconds(5)
  /// While the database does not answer, so that the service is back soon after it.
  static let intervalWhileFailing: Duration = .seconds(1)
  /// What an answer may take.
  static let timeout: Duration = .seconds(2)

  private let pool: PostgresPool
  private let check: ReadinessCheck
  private let pause: WakeUp
  private var isStopping = false
  private var task: Task<Void, Never>?

  init(_ pool: PostgresPool, health: HealthRegistry, on reactor: Reactor) {
    self.pool = pool
    check = health.addCheck("database")
    pause = WakeUp(on: reactor)
    task = reactor.loop.spawn(on: reactor) { await self.run() }
  }

  func stop() async {
    isStopping = true
    pause.call()
    await task?.value
  }

  private func run() async {
    while !isStopping {
      let answers = await ask()
      await pause.wait(
        atMost: answers ? DatabaseReadiness.interval : DatabaseReadiness.intervalWhileFailing)
    }
  }

  private func ask() async -> Bool {
    do {
      try await pool.query(
        scope: .none, "SELECT 1", deadline: .now() + DatabaseReadiness.timeout)
      check.pass()
      return true
    } catch {
      check.fail("\(error)")
      return false
    }
  }
}
