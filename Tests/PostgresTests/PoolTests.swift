import Logging
import Postgres
import Reactor
import TestKit
import Testing

@Suite struct PoolTests {
  @Test func transactionsCommitOnReturnAndRollBackOnThrow() async throws {
    try await withPool { pool in
      try await pool.withConnection(deadline: .soon) { connection in
        try await connection.script("CREATE TABLE t (n int8)", deadline: .soon)
      }
      let value = try await pool.withTransaction(scope: .none, deadline: .soon) { transaction in
        try await transaction.query("INSERT INTO t VALUES (1)")
        return try await transaction.query("SELECT n FROM t")[0].decode("n", as: Int.self)
      }
      #expect(value == 1)

      let abort = PostgresError(.badValue, "thrown by the body")
      let thrown = await failure {
        try await pool.withTransaction(scope: .none, deadline: .soon) { transaction in
          try await transaction.query("INSERT INTO t VALUES (2)")
          throw abort
        }
      }
      #expect(thrown == abort)
      // A failure that the body swallows does not turn into a commit that seems to have worked.
      let swallowed = await failure {
        try await pool.withTransaction(scope: .none, deadline: .soon) { transaction in
          try await transaction.query("INSERT INTO t VALUES (3)")
          _ = try? await transaction.query("SELECT 1/0")
        }
      }
      #expect(swallowed?.sqlState == .inFailedTransaction)
      // Nothing is sent for a transaction without statements.
      try await pool.withTransaction(scope: .none, deadline: .soon) { _ in }
      #expect(try await pool.numbers("SELECT n FROM t") == [1])
      #expect(pool.counts.open == 1)
    }
  }

  @Test func aTransactionIsOfNoUseAfterItsEnd() async throws {
    try await withPool { pool in
      final class Holder { var transaction: PostgresTransaction? }
      let holder = Holder()
      try await pool.withTransaction(scope: .none, deadline: .soon) {
        holder.transaction = $0
        try await $0.query("SELECT 1")
      }
      let error = await failure { try await holder.transaction?.query("SELECT 1") }
      #expect(error?.kind == .misuse)
    }
  }

  @Test func theTenantIsSetInsideTheTransactionOnly() async throws {
    let current = "SELECT nullif(current_setting('storeplane.tenant', true), '') AS tenant"
    try await withPool { pool in
      func tenant(_ rows: PostgresRows) throws -> String? {
        try rows[0].decode("tenant", as: String?.self)
      }
      func outside() async throws -> String? {
        try await pool.withConnection(deadline: .soon) {
          try tenant(await $0.query(current, deadline: .soon))
        }
      }
      try await pool.withTransaction(scope: .tenant("acme"), deadline: .soon) { transaction in
        let first = try tenant(await transaction.query(current))
        let second = try tenant(await transaction.query(current))
        #expect([first, second] == ["acme", "acme"])
      }
      #expect(try await outside() == nil)
      _ = try? await pool.withTransaction(scope: .tenant("acme"), deadline: .soon) {
        try await $0.query("SELECT 1/0")
      }
      #expect(try await outside() == nil)
      let oneShot = try tenant(
        await pool.query(scope: .tenant("acme"), current, deadline: .soon))
      #expect(oneShot == "acme")
      #expect(try await outside() == nil)
      let unscoped = try tenant(await pool.query(scope: .none, current, deadline: .soon))
      #expect(unscoped == nil)
      #expect(pool.counts.open == 1)
    }
  }

  @Test func scopesMustFitThePoolsRole() async throws {
    try await withPool { pool in
      let worker = await failure {
        try await pool.query(scope: .worker, "SELECT 1", deadline: .soon)
      }
      #expect(worker?.kind == .misuse)
      let empty = await failure {
        try await pool.withTransaction(scope: .tenant(""), deadline: .soon) { _ in }
      }
      #expect(empty?.kind == .misuse)
    }
    try await withPool(as: .worker) { pool in
      let tenant = await failure {
        try await pool.query(scope: .tenant("acme"), "SELECT 1", deadline: .soon)
      }
      #expect(tenant?.kind == .misuse)
      let rows = try await pool.query(scope: .worker, "SELECT 1", deadline: .soon)
      #expect(rows.count == 1)
    }
  }

  @Test func oneShotPipelinesAreTransactions() async throws {
    try await withPool { pool in
      try await pool.pipeline(scope: .none, deadline: .soon) { pipeline in
        pipeline.query("CREATE TABLE t (n int8 PRIMARY KEY)")
        pipeline.query("INSERT INTO t VALUES ($1)", [.int8(1)])
      }
      let error = await failure {
        try await pool.pipeline(scope: .tenant("acme"), deadline: .soon) { pipeline in
          pipeline.query("INSERT INTO t VALUES ($1)", [.int8(2)])
          pipeline.query("INSERT INTO t VALUES ($1)", [.int8(1)])
        }
      }
      #expect(error?.sqlState == .uniqueViolation)
      #expect(error?.statement == 1)
      #expect(try await pool.numbers("SELECT n FROM t") == [1])
    }
  }

  @Test func serializationFailuresAreRunAgainWhenAsked() async throws {
    try await withPool { pool in
      try await pool.pipeline(scope: .none, deadline: .soon) { pipeline in
        pipeline.query("CREATE TABLE t (n int8)")
        pipeline.query("INSERT INTO t VALUES (0)")
      }
      /// Reads, lets another transaction change what was read, then writes; how often it was run.
      func increment(attempts: Int) async throws -> Int {
        var runs = 0
        try await pool.withTransaction(
          scope: .none, isolation: .serializable, deadline: .soon, attempts: attempts
        ) { transaction in
          runs += 1
          let now = try await transaction.query("SELECT n FROM t")[0].decode("n", as: Int64.self)
          if runs == 1 {
            try await pool.query(scope: .none, "UPDATE t SET n = n + 10", deadline: .soon)
          }
          try await transaction.query("UPDATE t SET n = $1", [.int8(now + 1)])
        }
        return runs
      }
      let once = await failure { try await increment(attempts: 1) }
      #expect(once?.sqlState == .serializationFailure)
      #expect(once?.isRetryable == true)
      #expect(try await increment(attempts: 2) == 2)
      #expect(try await pool.numbers("SELECT n FROM t") == [21])
    }
  }

  // MARK: Limits

  @Test func reachedLimitsAreNamed() async throws {
    try await withPool {
      $0.connectionsMax = 2
      $0.acquireQueueMax = 1
      $0.acquireTimeout = .milliseconds(50)
    } _: { pool in
      for _ in 0..<1_000 where pool.counts.idle < 2 {
        _ = try? await atOnce(on: pool.reactor, count: 2) { _ in
          try await pool.query(scope: .none, "SELECT pg_sleep(0.01)", deadline: .soon).count
        }
      }
      try await pool.withConnection(deadline: .soon) { _ in
        try await pool.withConnection(deadline: .soon) { _ in
          #expect(pool.counts == PoolCounts(open: 2, idle: 0, connecting: 0, waiting: 0))
          let outcome = Outcome()
          let task = pool.reactor.loop.spawn(on: pool.reactor) {
            outcome.error = await failure {
              try await pool.query(scope: .none, "SELECT 1", deadline: .soon)
            }
          }
          let full = await failure {
            try await pool.query(scope: .none, "SELECT 1", deadline: .soon)
          }
          #expect(full?.kind == .exhausted("acquireQueueMax"))
          #expect(full?.message.contains("acquireQueueMax = 1") ?? false)
          await task.value
          #expect(outcome.error?.kind == .exhausted("acquireTimeout"))
          #expect(outcome.error?.message.contains("connectionsMax = 2") ?? false)
          let late = await failure {
            try await pool.query(
              scope: .none, "SELECT 1", deadline: .now() + .milliseconds(5))
          }
          #expect(late?.kind == .deadlineExceeded)
        }
      }
      #expect(pool.counts == PoolCounts(open: 2, idle: 2, connecting: 0, waiting: 0))
    }
  }

  @Test func aHundredCallersShareAFewConnections() async throws {
    try await withPool {
      $0.connectionsMax = 4
    } _: { pool in
      let numbers = try await atOnce(on: pool.reactor, count: 100) { number in
        try await pool.withTransaction(scope: .tenant("t\(number)"), deadline: .soon) {
          try await $0.query("SELECT $1 * 2", [.int8(Int64(number))])[0].decode(0, as: Int.self)
        }
      }
      #expect(numbers == (0..<100).map { $0 * 2 })
      #expect(pool.counts.open <= 4)
    }
  }

  @Test func aCancelledWaiterLeavesTheQueue() async throws {
    try await withPool {
      $0.connectionsMax = 1
    } _: { pool in
      try await pool.withConnection(deadline: .soon) { _ in
        let outcome = Outcome()
        let task = pool.reactor.loop.spawn(on: pool.reactor) {
          outcome.error = await failure {
            try await pool.query(scope: .none, "SELECT 1", deadline: .soon)
          }
        }
        #expect(pool.counts.waiting == 1)
        task.cancel()
        await task.value
        #expect(outcome.error?.kind == .cancelled)
        #expect(pool.counts.waiting == 0)
      }
    }
  }

  @Test func aClosedPoolRefuses() async throws {
    try await withPool { pool in
      _ = try await pool.query(scope: .none, "SELECT 1", deadline: .soon)
      pool.close()
      let error = await failure {
        try await pool.query(scope: .none, "SELECT 1", deadline: .soon)
      }
      #expect(error?.kind == .closed)
      #expect(pool.counts.open == 0)
    }
  }

  // MARK: Loss

  @Test func thePoolRecoversFromAServerKilledInTheMiddleOfAQuery() async throws {
    let server = try ThrowawayPostgres()
    let url = server.adminURL
    try await onReactor { reactor in
      var limits = PoolConfiguration()
      limits.backoffMax = .milliseconds(200)
      limits.acquireTimeout = .seconds(60)
      let pool = PostgresPool(
        try PostgresConfiguration(url: url), as: .owner, limits: limits, on: reactor,
        blocking: BlockingPool(), logger: quiet)
      defer { pool.close() }
      let blocking = BlockingPool()
      for stop in [ThrowawayPostgres.kill, ThrowawayPostgres.stop] {
        let errors = Outcomes()
        let inTransaction = reactor.loop.spawn(on: reactor) {
          errors.first = await failure {
            try await pool.withTransaction(scope: .none, deadline: .soon) {
              try await $0.query("SELECT 1")
              try await $0.query("SELECT pg_sleep(60)")
            }
          }
        }
        let outside = reactor.loop.spawn(on: reactor) {
          errors.second = await failure {
            try await pool.query(scope: .none, "SELECT pg_sleep(60)", deadline: .soon)
          }
        }
        try await pool.withConnection(deadline: .soon) { connection in
          while errors.isEmpty, try await sleepers(connection) < 2 {}
        }
        try #require(errors.isEmpty)
        try await blocking.run { try stop(server)() }
        await inTransaction.value
        await outside.value
        #expect(errors.first?.isRetryable == true)
        // Whether the server could still say that it rolled back is its own affair.
        #expect(errors.second?.kind == .outcomeUnknown || errors.second?.sqlState != nil)
        let down = await failure {
          try await pool.query(
            scope: .none, "SELECT 1", deadline: .now() + .milliseconds(200))
        }
        #expect(down?.kind == .deadlineExceeded)
        #expect(down?.message.contains("the last attempt to connect failed") ?? false)
        try await blocking.run { try server.start() }
        let rows = try await pool.query(scope: .none, "SELECT 1", deadline: .soon)
        #expect(rows.count == 1)
      }
    }
  }

  @Test func aConnectionThatDiedWhileUnusedIsReplaced() async throws {
    try await withPool { pool in
      let process = try await pool.withConnection(deadline: .soon) { $0.backendProcess }
      try await withConnection { other in
        _ = try await other.query(
          "SELECT pg_terminate_backend($1::int4, 10000)", [.int8(Int64(process))], deadline: .soon)
      }
      let next = try await pool.withConnection(deadline: .soon) { $0.backendProcess }
      #expect(next != process)
    }
  }

  /// Nothing of it was made to last: it may be done again.
  @Test func aTransactionWhoseSessionHasEndedIsLost() async throws {
    try await withPool { pool in
      let lost = await failure {
        try await pool.withTransaction(scope: .none, deadline: .soon) { transaction in
          let process = try await transaction.query("SELECT pg_backend_pid()::int8")[0]
            .decode(0, as: Int64.self)
          _ = try await pool.query(
            scope: .none, "SELECT pg_terminate_backend($1::int4, 10000)", [.int8(process)],
            deadline: .soon)
          // Here it is found out at the latest.
          _ = try? await transaction.query("SELECT 1")
          try await transaction.query("SELECT 1")
        }
      }
      #expect(lost?.kind == .connectionLost && lost?.isRetryable == true)
    }
  }

  /// What the server says as it ends the session comes before the end, and is read alone.
  @Test func aSessionThatTheServerEndedIsNotLent() async throws {
    let server = try ThrowawayPostgres()
    let configuration = try PostgresConfiguration(url: server.adminURL)
    try await onReactor { reactor in
      let pool = PostgresPool(
        configuration, as: .owner, on: reactor, blocking: BlockingPool(), logger: quiet)
      defer { pool.close() }
      for _ in 0..<3 {
        try await pool.query(scope: .none, "SELECT 1", deadline: .soon)
        // Meanwhile nothing is read here.
        try server.stop()
        try server.start()
      }
      try await pool.query(scope: .none, "SELECT 1", deadline: .soon)
    }
  }

  @Test func aSilentConnectionIsReplacedAtCheckout() async throws {
    try await withPool {
      $0.checkAfterIdle = .zero
    } _: { pool in
      let process = try await pool.withConnection(deadline: .soon) { $0.backendProcess }
      let next = try await freezing(process) {
        try await pool.withConnection(deadline: .soon) { $0.backendProcess }
      }
      #expect(next != process)
    }
  }
}

private final class Outcomes {
  var first: PostgresError?
  var second: PostgresError?

  var isEmpty: Bool { first == nil && second == nil }
}

/// How many sessions are in the middle of `pg_sleep(60)`, as the server says.
private func sleepers(_ connection: PostgresConnection) async throws -> Int {
  try await connection.query(
    """
    SELECT count(*) FROM pg_stat_activity, pg_sleep(0.02)
    WHERE query LIKE '%pg_sleep(60)%' AND state = 'active' AND pid <> pg_backend_pid()
    """, deadline: .soon)[0].decode(0, as: Int.self)
}

/// Runs `body` with a pool for an empty database of its own.
private func withPool<R: Sendable>(
  as role: PostgresPool.Role = .application,
  _ adjust: (inout PoolConfiguration) -> Void = { _ in },
  _ body: @Sendable (PostgresPool) async throws -> R
) async throws -> R {
  var database = try PostgresConfiguration(url: ThrowawayPostgres.shared().createDatabase())
  database.connectTimeout = .seconds(60)
  var limits = PoolConfiguration()
  limits.acquireTimeout = .seconds(60)
  adjust(&limits)
  return try await onReactor { [limits, database] reactor in
    let pool = PostgresPool(
      database, as: role, limits: limits, on: reactor, blocking: BlockingPool(), logger: quiet)
    defer { pool.close() }
    return try await body(pool)
  }
}

extension PostgresPool {
  fileprivate func numbers(_ sql: String) async throws -> [Int] {
    try await query(scope: .none, sql, deadline: .soon).map { try $0.decode(0, as: Int.self) }
  }
}
