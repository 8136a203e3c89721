import Observability
import Postgres
import Reactor
import Testing

@testable import ProvisionerService

@Suite(.timeLimit(.minutes(2))) struct LimitTests {
  private static let lease = Duration.seconds(20)

  private static func limits(
    perTenant: Int = 100, perCluster: Int = 100, overall: Int = 100
  ) -> OperationLimits {
    var limits = OperationLimits()
    limits.perTenant = perTenant
    limits.perCluster = perCluster
    limits.overall = overall
    return limits
  }

  @Test func aTenantHasNoMoreUnderWayThanItsLimit() async throws {
    try await atDesk { desk, _ in
      for number in 0..<5 { try await desk.create("store\(number)", tenant: "many") }
      let limits = Self.limits(perTenant: 2)
      let first = try await desk.ledger.claim(5, for: "a", lease: Self.lease, within: limits)
      #expect(first.count == 2)
      // What is under way counts, whoever works on it; other tenants go on.
      try await desk.create("store", tenant: "few")
      let other = try await desk.ledger.claim(5, for: "b", lease: Self.lease, within: limits)
      #expect(other.map(\.tenant) == ["few"])
      _ = try await desk.ledger.begin(first[0])
      try await desk.ledger.finish(first[0], .succeeded)
      let next = try await desk.ledger.claim(5, for: "b", lease: Self.lease, within: limits)
      #expect(next.map(\.tenant) == ["many"])
    }
  }

  @Test func aClusterAndThePlatformHaveLimitsToo() async throws {
    try await atDesk { desk, _ in
      for number in 0..<4 {
        try await desk.create("here", tenant: "here\(number)")
        try await desk.create("there", tenant: "there\(number)")
      }
      try await desk.owner.query(
        scope: .none, "UPDATE stores SET cluster = 'other' WHERE name = 'there'", deadline: .soon)
      let limits = Self.limits(perCluster: 2, overall: 5)
      let first = try await desk.ledger.claim(8, for: "a", lease: Self.lease, within: limits)
      #expect(first.count == 4)
      #expect(first.filter { $0.tenant.hasPrefix("here") }.count == 2)
      let more = Self.limits(perCluster: 4, overall: 5)
      #expect(try await desk.ledger.claim(8, for: "b", lease: Self.lease, within: more).count == 1)
      #expect(try await desk.ledger.claim(8, for: "b", lease: Self.lease, within: more).isEmpty)
    }
  }

  @Test func replicasThatClaimAtOnceShareOneLimit() async throws {
    try await atDesk { desk, database in
      for number in 0..<12 { try await desk.create("store\(number)") }
      let limits = Self.limits(perTenant: 3)
      let counts = try await withThrowingTaskGroup(of: Int.self) { group in
        for replica in 0..<4 {
          group.addTask {
            let reactor = try Reactor.start(name: "replica")
            defer { reactor.loop.stop() }
            return try await reactor.run { reactor in
              let other = try Desk(database, on: reactor)
              defer { other.close() }
              return try await other.ledger.claim(
                5, for: "\(replica)", lease: Self.lease, within: limits
              ).count
            }
          }
        }
        return try await group.reduce(0, +)
      }
      #expect(counts == 3)
    }
  }

  @Test func workThatNobodyTakesUpIsTold() async throws {
    try await atDesk { desk, _ in
      let metrics = MetricsRegistry()
      func shows(_ count: Int) async -> Bool {
        await NeglectedOperations(
          ledger: desk.ledger, patience: .seconds(100), metrics: metrics, logger: quiet
        ).look()
        return String(decoding: metrics.exposition(), as: UTF8.self)
          .contains("\nprovisioner_operations_neglected \(count)\n")
      }
      for number in 0...NeglectedOperations.namedMax {
        try await desk.create("store\(number)", tenant: "tenant\(number)")
      }
      #expect(await shows(0))
      try await desk.owner.query(
        scope: .none, "UPDATE operations SET available_at = now() - interval '101 s'",
        deadline: .soon)
      #expect(await shows(NeglectedOperations.namedMax + 1))
      let found = try await desk.ledger.neglected(
        NeglectedOperations.namedMax, for: .seconds(100))
      #expect(found.oldest.count == NeglectedOperations.namedMax)
      // What somebody works on is not neglected, however long that takes.
      let claims = try await desk.ledger.claim(100, for: "a", lease: Self.lease)
      #expect(claims.count == NeglectedOperations.namedMax + 1)
      #expect(await shows(0))
    }
  }

  @Test func oldOperationsAreForgottenButTheLastOfAStore() async throws {
    try await atDesk { desk, _ in
      let first = try await desk.create("demo")
      let claim = try #require(
        try await desk.ledger.claim(1, for: "a", lease: Self.lease).first)
      _ = try await desk.ledger.begin(claim)
      try await desk.ledger.finish(claim, .failed(ProvisionFailure(.crashLoop).problem))
      let second = try await desk.retry("demo")
      let retention = OperationRetention(
        ledger: desk.ledger, age: .seconds(100), logger: quiet)
      await retention.forget()
      #expect(try await desk.operation(first.id).state == .failed)
      try await desk.owner.query(
        scope: .none,
        "UPDATE operations SET ended_at = now() - interval '101 s'"
          + " WHERE ended_at IS NOT NULL", deadline: .soon)
      await retention.forget()
      #expect(
        await refusal { try await desk.operation(first.id) } == .notFound)
      #expect(try await desk.operation(second.id).steps.count == 6)
      let last = try #require(try await desk.ledger.claim(1, for: "a", lease: Self.lease).first)
      _ = try await desk.ledger.begin(last)
      try await desk.ledger.finish(last, .succeeded)
      try await desk.owner.query(
        scope: .none, "UPDATE operations SET ended_at = now() - interval '101 s'", deadline: .soon)
      await retention.forget()
      #expect(try await desk.operation(second.id).state == .succeeded)
    }
  }
}
