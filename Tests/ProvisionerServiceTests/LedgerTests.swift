import Contracts
import Postgres
import Reactor
import Testing

@testable import ProvisionerService

@Suite(.timeLimit(.minutes(2))) struct LedgerTests {
  static let lease = Duration.seconds(20)

  private func claimOne(_ desk: Desk, lease: Duration = LedgerTests.lease) async throws -> Claim {
    try #require(try await desk.ledger.claim(1, for: "a", lease: lease).first)
  }

  /// Ends a lease, as the passing of time does.
  private func expire(_ claim: Claim, _ desk: Desk) async throws {
    try await desk.owner.query(
      scope: .none,
      "UPDATE operations SET lease_expires_at = now() - interval '1 second' WHERE id = $1",
      [.uuid(claim.operation)], deadline: .soon)
  }

  @Test func anOperationIsClaimedOnce() async throws {
    try await atDesk { desk, _ in
      for number in 0..<6 { try await desk.create("store\(number)") }
      let first = try await desk.ledger.claim(4, for: "a", lease: Self.lease)
      let second = try await desk.ledger.claim(4, for: "b", lease: Self.lease)
      #expect(first.count == 4 && second.count == 2)
      #expect(Set((first + second).map(\.operation)).count == 6)
      #expect(Set((first + second).map(\.fence)).count == 6)
      #expect((first + second).allSatisfy { !$0.wasInterrupted })
      #expect(try await desk.ledger.claim(4, for: "c", lease: Self.lease).isEmpty)
    }
  }

  @Test func aStaleHolderIsRefusedWhateverItTries() async throws {
    try await atDesk { desk, _ in
      let operation = try await desk.create("demo")
      let stale = try await claimOne(desk)
      _ = try await desk.ledger.begin(stale)
      try await desk.ledger.beginAttempt(stale, .namespace)
      try await expire(stale, desk)
      let successor = try await claimOne(desk)
      #expect(successor.wasInterrupted)
      #expect(successor.fence > stale.fence)
      let before = try await desk.operation(operation.id)
      let problem = ProvisionFailure(.unexpected).problem
      let attempts: [(String, () async throws -> Void)] = [
        ("begin", { _ = try await desk.ledger.begin(stale) }),
        ("attempt", { try await desk.ledger.beginAttempt(stale, .namespace) }),
        (
          "report",
          {
            try await desk.ledger.report(
              stale, .namespace, detail: "stale", progressPercent: 99)
          }
        ),
        ("complete", { try await desk.ledger.complete(stale, .namespace, progressPercent: 99) }),
        (
          "park",
          {
            try await desk.ledger.park(
              stale, .namespace, for: .seconds(1), detail: "", problem: problem)
          }
        ),
        ("release", { try await desk.ledger.release(stale) }),
        ("succeed", { try await desk.ledger.finish(stale, .succeeded) }),
        ("fail", { try await desk.ledger.finish(stale, .failed(problem), at: .namespace) }),
        ("cancel", { try await desk.ledger.finish(stale, .cancelled(problem)) }),
      ]
      for (name, attempt) in attempts {
        #expect(await refusal { try await attempt() } == .leaseLost, "\(name)")
      }
      #expect(try await desk.ledger.renew([stale], lease: Self.lease).isEmpty)
      #expect(try await desk.operation(operation.id) == before)
      #expect(try await desk.store("demo").state == .provisioning)
      try await desk.ledger.beginAttempt(successor, .namespace)
      // Both may be of one process: its later lease does not keep the former alive.
      let both = try await desk.ledger.renew([stale, successor], lease: Self.lease)
      #expect(both == [successor.fence: false])
    }
  }

  @Test func aLeaseThatIsOverCountsNoMoreThoughNobodyTookIt() async throws {
    try await atDesk { desk, _ in
      try await desk.create("demo")
      let claim = try await claimOne(desk)
      _ = try await desk.ledger.begin(claim)
      try await expire(claim, desk)
      #expect(await refusal { try await desk.ledger.beginAttempt(claim, .namespace) } == .leaseLost)
      #expect(try await desk.ledger.renew([claim], lease: Self.lease).isEmpty)
    }
  }

  @Test func leasesAreRenewed() async throws {
    try await atDesk { desk, _ in
      try await desk.create("demo")
      let claim = try await claimOne(desk)
      #expect(try await desk.ledger.renew([claim], lease: Self.lease) == [claim.fence: false])
      _ = try await desk.ledger.begin(claim)
      try await desk.delete("demo")
      #expect(try await desk.ledger.renew([claim], lease: Self.lease) == [claim.fence: true])
    }
  }

  @Test func whatIsParkedWaitsForItsTime() async throws {
    try await atDesk { desk, _ in
      let operation = try await desk.create("demo")
      let claim = try await claimOne(desk)
      _ = try await desk.ledger.begin(claim)
      try await desk.ledger.beginAttempt(claim, .namespace)
      try await desk.ledger.park(
        claim, .namespace, for: .seconds(100), detail: "later",
        problem: ProvisionFailure(.clusterUnreachable).problem)
      #expect(try await desk.ledger.claim(1, for: "b", lease: Self.lease).isEmpty)
      let wait = try #require(try await desk.ledger.nextClaim())
      #expect(wait > .seconds(50) && wait <= .seconds(100))
      let step = try await desk.operation(operation.id).steps[0]
      #expect(step.state == .waiting)
      #expect(step.attempts == 1 && step.failures == 1)
      #expect(step.problem?.code == "CLUSTER_UNREACHABLE")
      #expect(step.nextAttemptAt != nil)
      // Who cancels does not wait.
      try await desk.delete("demo")
      let next = try await claimOne(desk)
      #expect(next.operation == operation.id)
      #expect(!next.wasInterrupted)
      #expect(try await desk.ledger.begin(next).operation.isCancelRequested)
    }
  }

  @Test func tenantsTakeTurns() async throws {
    try await atDesk { desk, _ in
      for number in 0..<6 { try await desk.create("store\(number)", tenant: "many") }
      try await desk.create("store", tenant: "few")
      try await desk.create("store", tenant: "one")
      let first = try await desk.ledger.claim(3, for: "a", lease: Self.lease)
      #expect(Set(first.map(\.tenant)) == ["many", "few", "one"])
      // With one under way, the tenant waits behind one that has none.
      try await desk.create("later", tenant: "late")
      let next = try await desk.ledger.claim(1, for: "a", lease: Self.lease)
      #expect(next.map(\.tenant) == ["late"])
    }
  }

  @Test func aDeletionWaitsForTheProvisioningItCancels() async throws {
    try await atDesk { desk, _ in
      try await desk.create("demo")
      let claim = try await claimOne(desk)
      let task = try await desk.ledger.begin(claim)
      let deletion = try await desk.delete("demo")
      #expect(try await desk.ledger.claim(5, for: "b", lease: Self.lease).isEmpty)
      #expect(try await desk.store("demo").state == .provisioning)
      try await desk.ledger.finish(claim, .cancelled(ProvisionFailure(.cancelled).problem))
      let store = try await desk.store("demo")
      #expect(store.state == .deleting)
      #expect(store.operation == deletion.id)
      #expect(
        try await desk.states(of: task.store.id) == [
          "requested", "provisioning", "failed", "deleting",
        ])
      let events = try await desk.events(of: task.store.id)
      #expect(events[2].details?["error_code"]?.string == "CANCELLED")
      #expect(events[3].actor?.id == "ada")
      #expect(events[3].requestID == "request-2")
      #expect(try await claimOne(desk).operation == deletion.id)
    }
  }

  @Test func aDeletionAskedForInTheLastMomentFollowsTheEnd() async throws {
    for outcome in [
      OperationOutcome.succeeded, .failed(ProvisionFailure(.crashLoop).problem),
    ] {
      try await atDesk { desk, _ in
        try await desk.create("demo")
        let claim = try await claimOne(desk)
        _ = try await desk.ledger.begin(claim)
        let deletion = try await desk.delete("demo")
        try await desk.ledger.finish(claim, outcome)
        #expect(try await desk.store("demo").state == .deleting)
        #expect(try await claimOne(desk).operation == deletion.id)
      }
    }
  }

  @Test func claimedAndWithdrawnAtOnceDoesNothing() async throws {
    try await atDesk { desk, _ in
      try await desk.create("demo")
      let claim = try await claimOne(desk)
      try await desk.delete("demo")
      #expect(await refusal { _ = try await desk.ledger.begin(claim) } == .leaseLost)
      #expect(try await desk.store("demo").state == .deleting)
      #expect(try await claimOne(desk).kind == .delete)
    }
  }

  @Test func theWorkerRoleReachesNoTable() async throws {
    try await atDesk { desk, _ in
      for table in ["stores", "operations", "operation_steps", "store_transitions", "outbox"] {
        let refused = await databaseError {
          try await desk.worker.query(scope: .worker, "SELECT * FROM \(table)", deadline: .soon)
        }
        #expect(refused?.sqlState == .insufficientPrivilege)
      }
      let refused = await databaseError {
        try await desk.application.query(
          scope: .tenant(Desk.tenant), "DELETE FROM store_transitions", deadline: .soon)
      }
      #expect(refused?.sqlState == .insufficientPrivilege)
    }
  }
}
