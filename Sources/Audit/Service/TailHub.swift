package import Logging
package import Postgres
import RPC
import RPCCore
package import Reactor
import ServiceRuntime

/// Tells the tails of this process, and of every other replica, that there is something new.
///
/// Each batch is announced by NOTIFY after its commit, in a statement of its own: a transaction that
/// notifies takes a lock of the whole server until it has committed, so that batches which did it
/// themselves would wait for the disk one after the other. An announcement that is lost with its process
/// is made up for by the tails, which look by themselves from time to time.
///
/// Confined to its reactor.
package final class TailHub {
  static let channel = "audit_events"
  /// Tenants that wait to be announced; beyond, one announcement goes to all.
  static let tenantsMax = 1_000

  private let pool: PostgresPool
  private let reactor: Reactor
  private let logger: Logger
  private let limits: AuditLimits
  private var tails: [String: [Int: WakeUp]] = [:]
  private var tailsSeen = 0
  private var pending: Set<String> = []
  private var isAnnouncing = false
  private(set) var isStopping = false
  private(set) var tailCount = 0

  /// - Parameter pool: as the application role.
  package init(pool: PostgresPool, reactor: Reactor, limits: AuditLimits, logger: Logger) {
    self.pool = pool
    self.reactor = reactor
    self.limits = limits
    self.logger = logger
  }

  package func start(listener: PostgresListener) throws(PostgresError) {
    try listener.listen(to: TailHub.channel) { [weak self] event in
      switch event {
      case .mayHaveMissed, .notification(""): self?.wakeAll()
      case .notification(let tenant): self?.wake(tenant)
      }
    }
  }

  /// Has the tails end; those who tail come back to another replica.
  package func stop() {
    isStopping = true
    wakeAll()
  }

  // MARK: Tails

  /// Runs `body` with what wakes it when `tenant` may have new events.
  func tailing(
    _ tenant: String, _ body: (WakeUp) async throws -> Void
  ) async throws {
    let count = tails[tenant]?.count ?? 0
    if count >= limits.tailsPerTenantMax {
      throw RPCError.limitReached(
        "tailsPerTenantMax",
        "\(count) calls already follow the events of this tenant; end one, or list the events")
    }
    if tailCount >= limits.tailsMax {
      throw RPCError.limitReached(
        "tailsMax", "\(tailCount) calls already follow events here; try again later")
    }
    tailsSeen += 1
    let tail = tailsSeen
    let wakeUp = WakeUp(on: reactor)
    tails[tenant, default: [:]][tail] = wakeUp
    tailCount += 1
    defer {
      tails[tenant]?[tail] = nil
      if tails[tenant]?.isEmpty ?? false { tails[tenant] = nil }
      tailCount -= 1
    }
    try await body(wakeUp)
  }

  private func wake(_ tenant: String) {
    for tail in (tails[tenant] ?? [:]).values { tail.call() }
  }

  private func wakeAll() {
    for tenant in tails.values { for tail in tenant.values { tail.call() } }
  }

  // MARK: Announcements

  /// Says that events of `tenants` were recorded. Those that come while one is on its way go together.
  func announce(_ tenants: Set<String>) {
    if tenants.isEmpty { return }
    pending.formUnion(tenants)
    if pending.count > TailHub.tenantsMax { pending = [""] }
    if isAnnouncing { return }
    isAnnouncing = true
    reactor.loop.spawn(on: reactor) {
      await self.sendAnnouncements()
      self.isAnnouncing = false
    }
  }

  private func sendAnnouncements() async {
    while !pending.isEmpty {
      let tenants = Array(pending)
      pending = []
      do throws(PostgresError) {
        try await pool.query(
          scope: .none, "SELECT pg_notify('\(TailHub.channel)', tenant) FROM unnest($1) AS tenant",
          [.textArray(tenants)], deadline: .now() + ServerContext.databaseTimeout)
      } catch {
        logger.warning("new events were not announced", metadata: ["reason": "\(error)"])
      }
    }
  }
}
