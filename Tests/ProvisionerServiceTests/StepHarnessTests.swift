import Configuration
import Contracts
import Observability
import Postgres
import ProvisionerTestKit
import Reactor
import TestKit
import Testing

@testable import ProvisionerService

/// Every step of every kind of work, in a store of its own each: failed, done twice, and killed.
@Suite(.timeLimit(.minutes(10))) struct StepHarnessTests {
  /// A step of a kind of work, and the store in which it is reached.
  private struct Stop: CustomStringConvertible {
    let kind: OperationKind
    let step: OperationStep
    /// Of a provisioning: from a backup; of a deletion: after a last one.
    let withBackup: Bool

    /// With a backup: what is only done then.
    static let all = OperationKind.allCases.flatMap { kind in
      let more = kind.steps(withBackup: true).filter { !kind.steps.contains($0) }
      return kind.steps.map { Stop(kind: kind, step: $0, withBackup: false) }
        + more.map { Stop(kind: kind, step: $0, withBackup: true) }
    }

    var store: String { description }
    var description: String {
      "\(kind.rawValue)-\(withBackup ? "copy-" : "")\(step.rawValue)"
    }

    /// The store that it takes its data from.
    private var source: String { isOwn ? store : "source-\(step.rawValue)" }
    private var isOwn: Bool { kind == .restore || kind == .backupTest }
    private var usesBackup: Bool { isOwn || (kind == .provision && withBackup) }

    /// Brings the store to where work of the kind can be asked for.
    func prepare(_ desk: Desk, _ cluster: FakeCluster) async throws {
      if usesBackup {
        try await desk.ready(source)
        let id = try await desk.store(source).id
        cluster.setData(of: id, to: "then")
        try await desk.backUp(source)
        cluster.setData(of: id, to: "now")
      }
      if kind == .provision || isOwn { return }
      try await desk.ready(store)
      switch kind {
      case .rollback: try await desk.wait(for: desk.upgrade(store).id)
      case .resume: try await desk.wait(for: desk.change(store, .suspend).id)
      default: break
      }
    }

    private func backup(_ desk: Desk) async throws -> PostgresUUID {
      try #require(try await desk.backups(of: source).first).id
    }

    func start(_ desk: Desk) async throws -> OperationRecord {
      switch kind {
      case .provision:
        try await desk.create(store, from: withBackup ? try await backup(desk) : nil)
      case .delete: try await desk.delete(store, finalBackup: withBackup)
      case .upgrade: try await desk.upgrade(store, size: "128M")
      case .rollback: try await desk.change(store, .rollback(release: 1))
      case .suspend: try await desk.change(store, .suspend)
      case .resume: try await desk.change(store, .resume)
      case .backup: try await desk.change(store, .backup)
      case .restore: try await desk.change(store, .restore(from: try await backup(desk)))
      case .backupTest: try await desk.change(store, .backupTest(of: try await backup(desk)))
      }
    }

    /// The store after the work has succeeded, what is left of it and what was told of it.
    func expectSuccess(
      _ operation: OperationRecord, _ desk: Desk, _ cluster: FakeCluster
    ) async throws {
      #expect(operation.state == .succeeded, "\(self)")
      let store = try await desk.store(operation.store)
      let provisioned = ["requested", "provisioning", "ready"]
      let states = try await desk.states(of: store.id)
      if kind == .delete {
        #expect(states == provisioned + ["deleting", "deleted"], "\(self)")
        #expect(cluster.parts(of: store.id).isEmpty, "\(self)")
        try await expectBackups(withBackup ? 1 : 0, of: store, desk, cluster)
        return
      }
      #expect(states == provisioned, "\(self)")
      #expect(store.release == (kind == .upgrade ? 2 : kind == .rollback ? 3 : 1), "\(self)")
      try await expectHealth(store, desk, cluster)
      if kind == .backup { try await expectBackups(1, of: store, desk, cluster) }
      if kind == .backupTest {
        try await expectBackups(1, of: store, desk, cluster)
        let backup = try #require(try await desk.backups(of: store.id).first)
        #expect(backup.testedAt != nil && backup.testProblem == nil, "\(self)")
        // The store itself is not touched.
        #expect(cluster.data(of: store.id) == "now", "\(self)")
      } else if usesBackup {
        #expect(cluster.data(of: store.id) == "then", "\(self)")
      }
      #expect(!cluster.hasJob(store.id), "\(self)")
      let ends = try await desk.events(of: store.id).filter { $0.action == "operation.end" }
      #expect(ends.allSatisfy { $0.details?["outcome"]?.string == "succeeded" }, "\(self)")
    }

    private func expectBackups(
      _ count: Int, of store: StoreRecord, _ desk: Desk, _ cluster: FakeCluster
    ) async throws {
      let backups = try await desk.backups(of: store.id)
      #expect(backups.map(\.state) == Array(repeating: .available, count: count), "\(self)")
      for backup in backups {
        #expect(cluster.archive(backup.id.description) != nil, "\(self)")
        #expect(backup.contents?.bytes ?? 0 > 0 && backup.chart == "fake-1.0.0", "\(self)")
      }
    }

    /// What runs is what is on record, and every piece of work has begun and ended in the audit trail.
    func expectHealth(_ store: StoreRecord, _ desk: Desk, _ cluster: FakeCluster) async throws {
      let all = Set(FakeCluster.Part.allCases)
      #expect(
        cluster.parts(of: store.id) == (store.isSuspended ? all.subtracting([.pods]) : all),
        "\(self)")
      let running = try #require(cluster.revisions(of: store.id).last)
      #expect(running.parameters == store.parameters, "\(self)")
      #expect(running.isSuspended == store.isSuspended, "\(self)")
      let release = try #require(try await desk.releases(store.id).releases.first)
      #expect(release.number == store.release && release.parameters == store.parameters, "\(self)")
      let events = try await desk.events(of: store.id)
      let begun = events.filter { $0.action == "operation.begin" }.map(\.operation)
      let ended = events.filter { $0.action == "operation.end" }.map(\.operation)
      #expect(begun.sorted() == ended.sorted() && Set(begun).count == begun.count, "\(self)")
    }
  }

  /// Whatever is done in `body`, it must have come to its end in order.
  private func inOrder(
    _ body: @Sendable (Desk, TestDatabase, FakeCluster) async throws -> Void
  ) async throws {
    try await atDesk { desk, database in
      try await OperationJournal.begin(desk.owner)
      let cluster = FakeCluster()
      try await body(desk, database, cluster)
      #expect(cluster.violations.isEmpty)
      let problems = try await OperationJournal.read(desk.owner).problems
      #expect(problems == [])
    }
  }

  private func prepare(_ desk: Desk, _ cluster: FakeCluster) async throws {
    for stop in Stop.all { try await stop.prepare(desk, cluster) }
  }

  private func start(
    _ desk: Desk, _ cluster: FakeCluster, _ behaviours: [FakeCluster.Behaviour]
  ) async throws -> [(Stop, OperationRecord)] {
    for stop in Stop.all { cluster.script(stop.step, of: stop.store, behaviours) }
    var operations: [(Stop, OperationRecord)] = []
    for stop in Stop.all { operations.append((stop, try await stop.start(desk))) }
    return operations
  }

  @Test(arguments: [true, false])
  func everyStepFailsOnceBeforeOrAfterItsWork(_ isBefore: Bool) async throws {
    try await inOrder { desk, database, cluster in
      let engine = try await Engine.start(database, cluster)
      try await prepare(desk, cluster)
      let failure = ProvisionFailure(.helmFailed, "this once")
      let operations = try await start(
        desk, cluster, [isBefore ? .fail(failure) : .failAfterwards(failure)])
      for (stop, operation) in operations {
        let ended = try await desk.wait(for: operation.id)
        try await stop.expectSuccess(ended, desk, cluster)
        let record = try #require(ended.steps.first { $0.step == stop.step })
        #expect(record.attempts == 2 && record.failures == 1, "\(stop)")
        #expect(record.problem == nil)
      }
      await engine.stop()
    }
  }

  /// Kills an engine while every step there is hangs in a store of its own, and has another go on.
  @Test(arguments: [true, false])
  func killedInEveryStepBeforeOrAfterItsWork(_ isBefore: Bool) async throws {
    try await inOrder { desk, database, cluster in
      var settings = EngineSettings.quick
      settings.workers = Stop.all.count
      let first = try await Engine.start(database, cluster, settings)
      try await prepare(desk, cluster)
      let before = cluster.calls
      let operations = try await start(desk, cluster, [isBefore ? .hang : .hangAfterwards])
      for (stop, operation) in operations {
        let count = before.count { $0.store == operation.store && $0.step == stop.step }
        await cluster.reached(stop.step, of: stop.store, count: count + 1)
      }
      first.kill()
      try await SuddenDeath.endLeases(desk.owner)
      let second = try await Engine.start(database, cluster, settings)
      for (stop, operation) in operations {
        let ended = try await desk.wait(for: operation.id)
        try await stop.expectSuccess(ended, desk, cluster)
        // What was finished before is not done again.
        let earlier = ended.steps.prefix { $0.step != stop.step }
        #expect(earlier.allSatisfy { $0.attempts == 1 }, "\(stop)")
        #expect(ended.steps.first { $0.step == stop.step }?.failures == 0)
      }
      await second.stop()
    }
  }

  /// Kills an engine after the end of every step there is and before the next, in a store of its own each,
  /// and has another go on, or not.
  @Test(arguments: [PlatformSettings.Recovery.resume, .fail])
  func killedAfterEveryStep(_ recovery: PlatformSettings.Recovery) async throws {
    try await inOrder { desk, database, cluster in
      var settings = EngineSettings.quick
      let earlier = try await Engine.start(database, cluster, settings)
      try await prepare(desk, cluster)
      await earlier.stop()
      let operations = try await start(desk, cluster, [])
      try await SuddenDeath.strike(operations.map { ($1.id, $0.step) }, desk.owner)
      settings.workers = Stop.all.count
      // Nobody takes over before all have come to where they die.
      settings.lease = LeaseTerms(
        duration: .seconds(120), margin: .seconds(1), beat: .milliseconds(500))
      let first = try await Engine.start(database, cluster, settings)
      for (stop, operation) in operations {
        try await desk.wait(for: operation.id) { operation in
          operation.steps.contains { $0.step == stop.step && $0.state == .succeeded }
        }
      }
      first.kill()
      try await SuddenDeath.endLeases(desk.owner)
      settings.recovery = recovery
      let second = try await Engine.start(database, cluster, settings)
      for (stop, operation) in operations {
        let ended = try await desk.wait(for: operation.id)
        #expect(ended.steps.allSatisfy { $0.failures == 0 && $0.attempts <= 1 }, "\(stop)")
        let done = try #require(ended.steps.firstIndex { $0.step == stop.step })
        #expect(ended.steps[...done].allSatisfy { $0.state == .succeeded }, "\(stop)")
        if recovery == .resume || done == ended.steps.count - 1 {
          try await stop.expectSuccess(ended, desk, cluster)
        } else {
          #expect(ended.state == .failed && ended.problem?.code == "INTERRUPTED", "\(stop)")
          #expect(ended.steps[done + 1].state == .failed, "\(stop)")
          let store = try await desk.store(operation.store)
          #expect((store.state == .failed) == stop.kind.isTransition, "\(stop)")
          // The way back, where there is one.
          try await desk.wait(for: store.operation)
        }
      }
      await second.stop()
    }
  }

  @Test func everyStepFailsForGoodAndIsTriedAgainByHand() async throws {
    try await inOrder { desk, database, cluster in
      let engine = try await Engine.start(database, cluster)
      try await prepare(desk, cluster)
      let failure = ProvisionFailure(.quotaExceeded, "cpu")
      for (stop, operation) in try await start(desk, cluster, [.fail(failure)]) {
        let ended = try await desk.wait(for: operation.id)
        #expect(ended.state == .failed, "\(stop)")
        #expect(ended.problem == failure.problem)
        let index = try #require(ended.steps.firstIndex { $0.step == stop.step })
        #expect(ended.steps[index].state == .failed)
        #expect(ended.steps[..<index].allSatisfy { $0.state == .succeeded })
        #expect(ended.steps[(index + 1)...].allSatisfy { $0.state == .skipped })
        let store = try await desk.store(operation.store)
        switch stop.kind {
        case .provision:
          #expect(store.state == .failed && store.problem == failure.problem)
          #expect(try await desk.wait(for: desk.retry(store.id).id).state == .succeeded)
          let ready = try await desk.store(store.id)
          #expect(ready.state == .ready && ready.problem == nil)
          try await stop.expectHealth(ready, desk, cluster)
          try await expectOneFailure(stop, of: store, failure, desk)
        case .delete:
          try await expectOnlyDeletion(of: store, desk)
          #expect(cluster.parts(of: store.id).isEmpty, "\(stop)")
          try await expectOneFailure(stop, of: store, failure, desk)
        default: try await expectTheWayBack(stop, ended, desk, cluster)
        }
      }
      await engine.stop()
    }
  }

  /// What was told of a store that was made, or deleted, at the second time.
  private func expectOneFailure(
    _ stop: Stop, of store: StoreRecord, _ failure: ProvisionFailure, _ desk: Desk
  ) async throws {
    let events = try await desk.events(of: store.id).filter {
      $0.action == StoreEventMessage.action
    }
    let begun = ["requested", "provisioning"]
    let made = begun + ["failed"] + begun + ["ready"]
    let deleted = begun + ["ready", "deleting", "failed", "deleting", "deleted"]
    #expect(events.map(\.newState) == (stop.kind == .provision ? made : deleted), "\(stop)")
    for event in events {
      let code = event.newState == "failed" ? failure.code.rawValue : nil
      #expect(event.details?["error_code"]?.string == code, "\(stop)")
    }
  }

  /// The data of a store whose deletion failed may be gone.
  private func expectOnlyDeletion(of store: StoreRecord, _ desk: Desk) async throws {
    #expect(store.state == .failed)
    let refused = await refusal { try await desk.retry(store.id) }
    if case .wrongState(.failed, _) = refused {} else { Issue.record("\(store.name): \(refused)") }
    #expect(await refusal { try await desk.create(store.name) } == .conflict(.deletionFailed))
    #expect(try await desk.wait(for: desk.delete(store.id).id).state == .succeeded)
    #expect(try await desk.store(store.id).state == .deleted)
  }

  /// The store stays ready, says what failed, goes back by itself where that helps, and takes the
  /// same work again.
  private func expectTheWayBack(
    _ stop: Stop, _ operation: OperationRecord, _ desk: Desk, _ cluster: FakeCluster
  ) async throws {
    let store = try await desk.store(operation.store)
    #expect(store.state == .ready && store.problem == nil, "\(stop)")
    let kind: StoreCondition.Kind =
      switch stop.kind {
      case .backup: .backedUp
      case .backupTest: .backupTested
      default: .released
      }
    let condition = try #require(
      store.conditions.map(\.condition).first { $0.kind == kind }, "\(stop)")
    #expect(!condition.isTrue, "\(stop)")
    #expect(condition.reason.hasSuffix("Failed") && condition.message.contains("cpu"), "\(stop)")
    let isUndone = stop.kind.isUndone && stop.step != .credentials
    #expect((store.operation != operation.id) == isUndone, "\(stop)")
    if isUndone {
      let remedy = try await desk.wait(for: store.operation)
      #expect(remedy.kind == .rollback && remedy.state == .succeeded, "\(stop)")
      #expect(remedy.aim.remedies == operation.id && remedy.aim.release == 1, "\(stop)")
      #expect(remedy.request.requestID == operation.request.requestID)
      let back = try await desk.store(store.id)
      // It still tells of what failed.
      #expect(back.conditions.first?.condition == condition, "\(stop)")
      try await stop.expectHealth(back, desk, cluster)
    }
    let again = try await desk.wait(for: stop.start(desk).id)
    #expect(again.state == .succeeded, "\(stop)")
    let done = try await desk.store(store.id)
    #expect(
      done.conditions.map(\.condition).first { $0.kind == kind }?.isTrue == true, "\(stop)")
    try await stop.expectHealth(done, desk, cluster)
  }
}
