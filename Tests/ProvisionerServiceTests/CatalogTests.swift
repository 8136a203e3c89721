import Contracts
import Postgres
import Reactor
import Testing

@testable import ProvisionerService

@Suite(.timeLimit(.minutes(2))) struct CatalogTests {
  @Test func aStoreIsAskedFor() async throws {
    try await atDesk { desk, _ in
      let operation = try await desk.create("demo")
      let store = try await desk.store("demo")
      #expect(store.state == .requested)
      #expect(store.revision == 1)
      #expect(store.operation == operation.id)
      #expect(store.host == "demo.localhost")
      #expect(store.namespace == "store-\(store.id)")
      #expect(operation.state == .pending)
      #expect(operation.steps.map(\.step) == OperationKind.provision.steps)
      let events = try await desk.events(of: store.id)
      #expect(events.map(\.newState) == ["requested"])
      let event = try #require(events.first)
      #expect(event.previousState == "")
      #expect(event.actor?.id == "ada")
      #expect(event.requestID == "request-1")
      #expect(event.traceID == "0af7651916cd43dd8448eb211c80319c")
      #expect(event.operation == operation.id.description)
      #expect(event.storeName == "demo")
    }
  }

  @Test func theSameNameTwiceAtOnceIsOneStoreAndOneConflict() async throws {
    try await atDesk { desk, _ in
      for round in 0..<10 {
        let outcomes = Outcomes()
        let tasks = (0..<4).map { _ in
          desk.reactor.loop.spawn(on: desk.reactor) {
            do {
              outcomes.made.append(try await desk.create("twin\(round)"))
            } catch {
              outcomes.errors.append(error)
            }
          }
        }
        for task in tasks { await task.value }
        #expect(outcomes.made.count == 1)
        let conflicts = outcomes.errors.compactMap { $0 as? StoreRefusal }
        #expect(conflicts == Array(repeating: .conflict(.alive(.requested)), count: 3))
      }
      let page = try await desk.catalog.list(
        states: [], after: nil, count: 100, tenant: Desk.tenant, deadline: .soon)
      #expect(page.items.count == 10)
    }
  }

  @Test func askingAgainUnderTheSameKeyMakesNothingNew() async throws {
    try await atDesk { desk, _ in
      let key = PostgresUUID.random()
      let first = try await desk.create("demo", key: key)
      #expect(try await desk.create("demo", key: key) == first)
      #expect(await refusal { try await desk.create("demo") } == .conflict(.alive(.requested)))
      #expect(await refusal { try await desk.create("shop", key: key) } == .requestKeyReused)
      #expect(try await desk.create("demo", key: key, tenant: "other").id != first.id)
      let again = try await desk.catalog.retry(
        .name("demo"), key: key, tenant: Desk.tenant, origin: Desk.origin(), deadline: .soon)
      #expect(again == first)
    }
  }

  @Test func tenantsDoNotSeeOneAnother() async throws {
    try await atDesk { desk, _ in
      let operation = try await desk.create("demo")
      let mine = try await desk.store("demo")
      #expect(await refusal { try await desk.store("demo", tenant: "other") } == .notFound)
      #expect(await refusal { try await desk.store(mine.id, tenant: "other") } == .notFound)
      #expect(
        await refusal { try await desk.operation(operation.id, tenant: "other") } == .notFound)
      #expect(await refusal { try await desk.delete(mine.id, tenant: "other") } == .notFound)
      #expect(await refusal { try await desk.retry(mine.id, tenant: "other") } == .notFound)
      // The name is free in another tenant, and the host is not.
      try await desk.create("demo", tenant: "other")
      let other = try await desk.store("demo", tenant: "other")
      #expect(other.host == "demo-\(other.id).localhost")
      // A forgotten scope finds nothing.
      let rows = try await desk.application.query(
        scope: .none, "SELECT * FROM stores", deadline: .soon)
      #expect(rows.isEmpty)
    }
  }

  @Test func aPageGoesOnWhereTheLastEnded() async throws {
    try await atDesk { desk, _ in
      for number in 0..<7 { try await desk.create("store\(number)") }
      var names: [String] = []
      var position: ListPosition?
      repeat {
        let page = try await desk.catalog.list(
          states: [.requested], after: position, count: 3, tenant: Desk.tenant, deadline: .soon)
        names += page.items.map(\.name)
        position = page.next
      } while position != nil
      #expect(names == (0..<7).reversed().map { "store\($0)" })
      let none = try await desk.catalog.list(
        states: [.ready], after: nil, count: 3, tenant: Desk.tenant, deadline: .soon)
      #expect(none.items.isEmpty && none.next == nil)
      let operations = try await desk.catalog.listOperations(
        of: .name("store3"), states: [.pending], after: nil, count: 3, tenant: Desk.tenant,
        deadline: .soon)
      #expect(operations.items.map(\.steps.count) == [6])
    }
  }

  @Test func deletingWhatIsOnlyAskedForWithdrawsIt() async throws {
    try await atDesk { desk, _ in
      let asked = try await desk.create("demo")
      let deletion = try await desk.delete("demo")
      let id = try await desk.store("demo").id
      #expect(try await desk.store(id).state == .deleting)
      #expect(try await desk.operation(asked.id).state == .cancelled)
      #expect(try await desk.operation(asked.id).steps.allSatisfy { $0.state == .skipped })
      // Asked again, it is the same work.
      #expect(try await desk.delete("demo").id == deletion.id)
      #expect(try await desk.states(of: id) == ["requested", "deleting"])
    }
  }

  @Test func theEtagGuardsADeletion() async throws {
    try await atDesk { desk, _ in
      try await desk.create("demo")
      let store = try await desk.store("demo")
      let stale = await refusal {
        try await desk.catalog.delete(
          .id(store.id), version: store.version + 1, tenant: Desk.tenant, origin: Desk.origin(),
          deadline: .soon)
      }
      #expect(stale == .etagMismatch)
      #expect(try await desk.store("demo").state == .requested)
      _ = try await desk.catalog.delete(
        .id(store.id), version: store.version, tenant: Desk.tenant, origin: Desk.origin(),
        deadline: .soon)
      #expect(try await desk.store("demo").state == .deleting)
    }
  }

  @Test func onlyAFailedStoreIsRetried() async throws {
    try await atDesk { desk, _ in
      try await desk.create("demo")
      let refused = await refusal { try await desk.retry("demo") }
      #expect(refused == .wrongState(.requested, "only a store that failed can be retried"))
      #expect(await refusal { try await desk.retry("nothing") } == .notFound)
    }
  }

  @Test func aChangeFromAnOldStateIsRefused() async throws {
    try await atDesk { desk, _ in
      try await desk.create("demo")
      let old = try await desk.store("demo")
      try await desk.delete("demo")
      let stale = await refusal {
        try await desk.application.withTransaction(scope: .tenant(Desk.tenant), deadline: .soon) {
          try await StoreTransitions.apply(.start, to: old, origin: Desk.origin(), in: $0)
        }
      }
      #expect(stale == .stale)
      // Neither the store nor its history shows anything of it.
      #expect(try await desk.states(of: old.id) == ["requested", "deleting"])
      #expect(try await desk.store(old.id).revision == 2)
    }
  }
}

/// What several tasks found out; confined to a reactor.
final class Outcomes {
  var made: [OperationRecord] = []
  var errors: [any Error] = []
}
