import Reactor
import TestKit
import Testing

@testable import Postgres

@Suite struct StatementCacheTests {
  private func plan(
    _ cache: inout StatementCache, _ sql: String, _ parameters: [PostgresParameter] = [],
    batch: Int = 0
  ) -> StatementCache.Plan {
    cache.plan(sql, parameters, batch: batch)
  }

  @Test func theSecondUsePrepares() {
    var cache = StatementCache(countMax: 2)
    #expect(plan(&cache, "a") == .unnamed)
    #expect(plan(&cache, "a", batch: 1) == .prepare("s1"))
    // In the same batch it may be relied on, in another one only when it has succeeded.
    #expect(plan(&cache, "a", batch: 1) == .prepared("s1"))
    #expect(plan(&cache, "a", batch: 2) == .unnamed)
    cache.didPrepare("a")
    #expect(plan(&cache, "a", batch: 3) == .prepared("s1"))
    #expect(plan(&cache, "a", [.int8(1)]) == .unnamed)
  }

  @Test func theLeastRecentlyUsedGoes() {
    var cache = StatementCache(countMax: 2)
    for sql in ["a", "b"] {
      for _ in 0..<2 { _ = plan(&cache, sql) }
      cache.didPrepare(sql)
    }
    #expect(plan(&cache, "a") == .prepared("s1"))
    #expect(plan(&cache, "c") == .unnamed)
    #expect(cache.takeEvicted() == ["s2"])
    #expect(cache.count == 2)
    #expect(plan(&cache, "a") == .prepared("s1"))
    #expect(plan(&cache, "b") == .unnamed)
    // `c` was only seen: the server knows nothing of it.
    #expect(cache.takeEvicted() == [])
  }

  @Test func namesToBeForgottenDoNotPileUp() {
    var cache = StatementCache(countMax: 3)
    for number in 0..<100 {
      for _ in 0..<2 { _ = plan(&cache, "\(number)") }
      cache.didPrepare("\(number)")
    }
    #expect(cache.evicted.count <= 3)
    #expect(cache.count <= 3)
  }

  @Test func failedPreparationsAndStalePlansAreForgotten() {
    var cache = StatementCache(countMax: 2)
    for _ in 0..<2 { _ = plan(&cache, "a") }
    cache.didNotPrepare("a")
    #expect(cache.count == 0)
    for _ in 0..<2 { _ = plan(&cache, "a") }
    cache.didPrepare("a")
    cache.invalidate("a")
    #expect(cache.takeEvicted() == ["s2"])
    #expect(plan(&cache, "a") == .unnamed)
  }

  @Test func hugeStatementsAreNotKept() {
    var cache = StatementCache(countMax: 2)
    let sql = String(repeating: "x", count: StatementCache.sqlBytesMax + 1)
    for _ in 0..<3 { #expect(plan(&cache, sql) == .unnamed) }
    var off = StatementCache(countMax: 0)
    for _ in 0..<3 { #expect(plan(&off, "a") == .unnamed) }
  }

  // MARK: On a server

  private let names =
    "SELECT count(*) FROM pg_prepared_statements WHERE NOT statement LIKE '%pg_p%'"

  @Test func theServerKeepsNoMoreThanTheCache() async throws {
    try await withConnection {
      $0.preparedStatementsMax = 4
    } _: { connection in
      for _ in 0..<3 {
        for number in 0..<10 {
          for _ in 0..<3 {
            let rows = try await connection.query("SELECT \(number)", deadline: .soon)
            #expect(try rows[0].decode(0, as: Int.self) == number)
          }
        }
      }
      let rows = try await connection.query(names, deadline: .soon)
      let kept = try rows[0].decode(0, as: Int.self)
      #expect((1...4).contains(kept))
    }
  }

  @Test func evictionsInsideAFailedTransactionAreMadeUpForLater() async throws {
    try await withConnection {
      $0.preparedStatementsMax = 2
    } _: { connection in
      for _ in 0..<2 { try await connection.query("SELECT 'a'", deadline: .soon) }
      try await connection.query("BEGIN", deadline: .soon)
      for sql in ["SELECT 1", "SELECT 1", "SELECT 2", "SELECT 2", "SELECT 1/0"] {
        _ = try? await connection.query(sql, deadline: .soon)
      }
      try await connection.query("ROLLBACK", deadline: .soon)
      let rows = try await connection.query(names, deadline: .soon)
      #expect(try rows[0].decode(0, as: Int.self) <= 2)
    }
  }

  @Test func aStatementThatCannotBePreparedFailsAndLeavesTheRestUsable() async throws {
    try await withConnection { connection in
      for _ in 0..<4 {
        let error = await failure {
          try await connection.query("SELECT * FROM missing", deadline: .soon)
        }
        #expect(error?.sqlState == .undefinedTable)
      }
      try await connection.script("CREATE TABLE missing (n int)", deadline: .soon)
      for _ in 0..<4 {
        let rows = try await connection.query("SELECT * FROM missing", deadline: .soon)
        #expect(rows.isEmpty)
      }
    }
  }

  @Test func aTableAlteredUnderAPreparedStatementFailsOnce() async throws {
    try await withConnection { connection in
      try await connection.script("CREATE TABLE t (n int)", deadline: .soon)
      for _ in 0..<3 { try await connection.query("SELECT * FROM t", deadline: .soon) }
      try await connection.script("ALTER TABLE t ADD m int", deadline: .soon)
      let stale = await failure {
        try await connection.query("SELECT * FROM t", deadline: .soon)
      }
      #expect(stale?.sqlState == .featureNotSupported)
      for _ in 0..<3 { try await connection.query("SELECT * FROM t", deadline: .soon) }
    }
  }

  @Test func theSamePlaceInTextTakesOtherTypes() async throws {
    try await withConnection { connection in
      for _ in 0..<3 {
        let number = try await connection.query(
          "SELECT ($1)::text", [.int8(5)], deadline: .soon)
        #expect(try number[0].decode(0, as: String.self) == "5")
        let truth = try await connection.query(
          "SELECT ($1)::text", [.bool(true)], deadline: .soon)
        #expect(try truth[0].decode(0, as: String.self) == "true")
      }
    }
  }
}
