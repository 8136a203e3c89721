import Contracts
import Postgres
import ProvisionerTestKit
import RPC
import RPCCore
import Reactor
import ServiceRuntime
import TestKit
import Testing

@testable import ProvisionerService

@Suite(.timeLimit(.minutes(2))) struct ServiceTests {
  @Test func aStoreIsMadeThroughTheService() async throws {
    try await withService { peers, desk, database in
      let operation = try await peers.create(
        "demo", parameters: .init(title: "Demo shop", adminEmail: "a@b.c", plan: "small"))
      #expect(operation.state == .pending && !operation.done)
      #expect(operation.kind == .provision)
      #expect(operation.requestID == "request-of-the-test")
      #expect(
        operation.steps.map(\.name)
          == ["namespace", "credentials", "release", "rollout", "setup", "verify"])
      let engine = try await Engine.start(database, FakeCluster())
      let watch = try await peers.operations().watchOperation(
        .init(operation: operation.id), options: peers.user())
      var seen: [ProvisionerV1.Operation] = []
      while let next = try await watch.next() { seen.append(next) }
      #expect(seen.last?.state == .succeeded && seen.last?.done == true)
      #expect(seen.map(\.revision) == seen.map(\.revision).sorted())
      #expect(seen.map(\.progressPercent) == seen.map(\.progressPercent).sorted())

      let byName = try await peers.stores().getStore(.init(store: "demo"), options: peers.user())
      let byID = try await peers.stores().getStore(.init(store: byName.id), options: peers.user())
      #expect(byName == byID)
      #expect(byName.state == .ready && byName.tenant == Desk.tenant)
      #expect(byName.parameters?.title == "Demo shop")
      #expect(byName.url == "http://demo.localhost:8880/")
      #expect(byName.readyTime != nil && byName.error == nil)
      // Who asked is in the trail, by the token and not by the request.
      let events = try await desk.events(of: byName.id)
      #expect(events.first?.actor == .init(kind: .user, id: "ada", address: "192.0.2.7"))
      #expect(events.dropFirst().allSatisfy { $0.actor?.address == "" })
      #expect(events.allSatisfy { $0.requestID == "request-of-the-test" })
      #expect(events.allSatisfy { $0.traceID.utf8.count == 32 })
      await engine.stop()
    }
  }

  @Test(arguments: [ProvisionerV1.Engine.woocommerce, .medusa])
  func aStoreRunsOnTheEngineThatWasAskedFor(asked: ProvisionerV1.Engine) async throws {
    try await withService { peers, _, _ in
      let operation = try await peers.create("demo", engine: asked)
      let store = try await peers.stores().getStore(
        .init(store: operation.store), options: peers.user())
      #expect(store.engine == asked)
    }
  }

  @Test func aWatchSeesEveryState() async throws {
    try await withService { peers, desk, database in
      let cluster = FakeCluster()
      cluster.script(.setup, of: "demo", [.fail(ProvisionFailure(.setupFailed, "no disk"))])
      let operation = try await peers.create("demo")
      let watch = try await peers.stores().watchStore(
        .init(store: "demo"), options: peers.user())
      var seen = [try #require(try await watch.next())]
      #expect(seen[0].state == .requested)
      let engine = try await Engine.start(database, cluster)
      _ = try await desk.wait(for: try #require(PostgresUUID(operation.id)))
      _ = try await desk.wait(for: desk.retry("demo").id)
      _ = try await desk.wait(for: desk.delete("demo").id)
      // All has happened before it is read; nothing is left out.
      while let next = try await watch.next() { seen.append(next) }
      #expect(
        seen.map(\.state)
          == [
            .requested, .provisioning, .failed, .requested, .provisioning, .ready, .deleting,
            .deleted,
          ])
      #expect(seen.map(\.revision) == Array(1...8))
      #expect(seen[2].error?.code == "SETUP_FAILED")
      #expect(seen.filter { $0.state != .failed }.allSatisfy { $0.error == nil })
      #expect(seen.last?.deleteTime != nil)
      #expect(Set(seen.map(\.etag)).count == seen.count)
      await engine.stop()
    }
  }

  @Test func aWatchOutlivesTheDatabase() async throws {
    let server = try ThrowawayPostgres()
    try await withService(on: server) { peers, _, database in
      try await peers.create("demo")
      let watch = try await peers.stores().watchStore(.init(store: "demo"), options: peers.user())
      #expect(try await watch.next()?.state == .requested)
      try server.kill()
      try server.start()
      let engine = try await Engine.start(database, FakeCluster())
      // By what was notified, or by what may have been missed.
      #expect(try await watch.next()?.state == .provisioning)
      #expect(try await watch.next()?.state == .ready)
      await engine.stop()
    }
  }

  @Test func anothersResourceIsLikeNone() async throws {
    try await withService { peers, desk, _ in
      let operation = try await peers.create("demo")
      let store = try await desk.store("demo").id
      let none = "0" + String(repeating: "z", count: 15)
      let noOperation = "00000000-0000-4000-8000-000000000000"
      let other = try peers.user(of: "other")
      let calls: [(String, String, (String) async throws -> Void)] = [
        (
          store, none,
          { _ = try await peers.stores().getStore(.init(store: $0), options: other) }
        ),
        (
          store, none,
          { _ = try await peers.stores().deleteStore(.init(store: $0), options: other) }
        ),
        (
          store, none,
          { _ = try await peers.stores().retryStore(.init(store: $0), options: other) }
        ),
        (
          store, none,
          {
            let watch = try await peers.stores().watchStore(.init(store: $0), options: other)
            _ = try await watch.next()
          }
        ),
        (
          store, none,
          { _ = try await peers.operations().listOperations(.init(store: $0), options: other) }
        ),
        (
          operation.id, noOperation,
          { _ = try await peers.operations().getOperation(.init(operation: $0), options: other) }
        ),
        (
          operation.id, noOperation,
          { _ = try await peers.operations().cancelOperation(.init(operation: $0), options: other) }
        ),
        (
          operation.id, noOperation,
          {
            let watch = try await peers.operations().watchOperation(
              .init(operation: $0), options: other)
            _ = try await watch.next()
          }
        ),
      ]
      for (theirs, absent, call) in calls {
        let one = try #require(await rpcError { try await call(theirs) })
        let two = try #require(await rpcError { try await call(absent) })
        #expect(one.code == .notFound)
        #expect(one.message == two.message.replacing(absent, with: theirs))
        // The ids have one length, so that what they stand in is the same to the byte.
        let details = String(decoding: two.details, as: UTF8.self).replacing(absent, with: theirs)
        #expect(String(decoding: one.details, as: UTF8.self) == details)
      }
      let list = try await peers.stores().listStores(.init(), options: other)
      #expect(list.stores.isEmpty)
      #expect(try await desk.store("demo").state == .requested)
    }
  }

  @Test func onlyTheGatewayWithACallerIsServed() async throws {
    try await withService { peers, _, _ in
      let bare = await rpcError { try await peers.stores().listStores(.init()) }
      #expect(bare?.code == .unauthenticated)
      let homeless = await rpcError {
        try await peers.stores().listStores(.init(), options: peers.user(of: nil))
      }
      #expect(homeless?.code == .failedPrecondition)
      for identity in ["config", "audit", "provisioner"] {
        let error = await rpcError { try await peers.stores(as: identity).listStores(.init()) }
        #expect(error?.code == .permissionDenied)
      }
    }
  }

  @Test func badRequestsNameTheField() async throws {
    try await withService { peers, desk, _ in
      let name = await invalidField { try await peers.create("Demo") }
      #expect(name == "name")
      let engine = await invalidField { try await peers.create("demo", engine: .unspecified) }
      #expect(engine == "engine")
      let email = await invalidField {
        try await peers.create("demo", parameters: .init(adminEmail: "nobody"))
      }
      #expect(email == "parameters.admin_email")
      let value = await invalidField {
        try await peers.create("demo", parameters: .init(values: ["existingSecret": "x"]))
      }
      #expect(value == "parameters.values.existingSecret")
      let user = try peers.user()
      let stores = try peers.stores()
      let token = await invalidField {
        _ = try await stores.listStores(.init(pageToken: "abc"), options: user)
      }
      #expect(token == "page_token")
      let size = await invalidField {
        _ = try await stores.listStores(.init(pageSize: 501), options: user)
      }
      #expect(size == "page_size")
      let state = await invalidField {
        _ = try await stores.listStores(.init(states: [.unrecognized(9)]), options: user)
      }
      #expect(state == "states[0]")
      let empty = await invalidField { _ = try await stores.getStore(.init(), options: user) }
      #expect(empty == "store")
      let etag = await invalidField {
        _ = try await stores.deleteStore(.init(store: "demo", etag: "7"), options: user)
      }
      #expect(etag == "etag")
      for policy in [ProvisionerV1.DriftPolicy.unspecified, .unrecognized(9)] {
        let drift = await invalidField {
          _ = try await stores.updateStore(
            .init(store: "demo", driftPolicy: policy), options: user)
        }
        #expect(drift == "drift_policy")
      }
      let operation = await invalidField {
        _ = try await peers.operations().getOperation(.init(operation: "demo"), options: user)
      }
      #expect(operation == "operation")
      #expect(await refusal { try await desk.store("demo") } == .notFound)
    }
  }

  @Test func aRequestCanBeCheckedOnly() async throws {
    try await withService { peers, desk, _ in
      let operation = try await peers.create("demo", validateOnly: true)
      #expect(operation == ProvisionerV1.Operation())
      #expect(await refusal { try await desk.store("demo") } == .notFound)
    }
  }

  @Test func conflictsSaySo() async throws {
    try await withService { peers, desk, _ in
      try await peers.create("demo")
      let again = await rpcError { try await peers.create("demo") }
      #expect(again?.code == .alreadyExists)
      #expect(again?.message.contains("'demo' is there already (requested)") == true)
      let user = try peers.user()
      let retry = await rpcError {
        try await peers.stores().retryStore(.init(store: "demo"), options: user)
      }
      #expect(retry?.code == .failedPrecondition)
      #expect(retry?.errorInfo?.metadata["state"] == "requested")
      let stale = await rpcError {
        try await peers.stores().deleteStore(.init(store: "demo", etag: "\"99\""), options: user)
      }
      #expect(stale?.code == .aborted)
      let store = try await peers.stores().getStore(.init(store: "demo"), options: user)
      let deletion = try await peers.stores().deleteStore(
        .init(store: "demo", etag: store.etag), options: user)
      #expect(deletion.kind == .delete)
      // Repeating it is no conflict, though the etag has changed since.
      let repeated = try await peers.stores().deleteStore(
        .init(store: "demo", etag: store.etag), options: user)
      #expect(repeated.id == deletion.id)
      #expect(try await desk.store(store.id).state == .deleting)
    }
  }

  @Test func listsHavePages() async throws {
    try await withService { peers, _, _ in
      for number in 0..<5 { try await peers.create("store\(number)") }
      let user = try peers.user()
      var names: [String] = []
      var token = ""
      repeat {
        let page = try await peers.stores().listStores(
          .init(pageSize: 2, pageToken: token), options: user)
        #expect(page.stores.count <= 2)
        names += page.stores.map(\.name)
        token = page.nextPageToken
      } while !token.isEmpty
      #expect(names == (0..<5).reversed().map { "store\($0)" })
      // However often a state is named, each of them counts.
      let repeated = try await peers.stores().listStores(
        .init(states: Array(repeating: .ready, count: 10) + [.requested]), options: user)
      #expect(repeated.stores.count == 5)
      // A token is of its listing and its tenant alone.
      let first = try await peers.stores().listStores(.init(pageSize: 2), options: user)
      let foreign = await rpcError {
        try await peers.stores().listStores(
          .init(states: [.ready], pageToken: first.nextPageToken), options: user)
      }
      #expect(foreign?.fieldViolations.first?.field == "page_token")
      let theirs = await invalidField {
        _ = try await peers.stores().listStores(
          .init(pageToken: first.nextPageToken), options: peers.user(of: "other"))
      }
      #expect(theirs == "page_token")
      let operations = try await peers.operations().listOperations(
        .init(store: "store2", states: [.pending]), options: user)
      #expect(operations.operations.map(\.kind) == [.provision])
    }
  }

  @Test func watchesEndWithTheService() async throws {
    try await withService { peers, desk, _ in
      try await peers.create("demo")
      let watch = try await peers.stores().watchStore(.init(store: "demo"), options: peers.user())
      #expect(try await watch.next()?.state == .requested)
      desk.feed.close()
      let error = await rpcError { _ = try await watch.next() }
      #expect(error?.code == .unavailable)
      #expect(error?.errorInfo?.reason == "WATCH_ENDED")
    }
  }

  @Test func watchesHaveALimit() async throws {
    try await atDesk { desk, _ in
      var watches: [ChangeWatch] = []
      for number in 0..<ChangeFeed.watchesMax {
        watches.append(try desk.feed.watch(.store("\(number)")))
      }
      #expect(throws: ChangeFeedFull.self) { try desk.feed.watch(.store("one more")) }
      desk.feed.end(watches[0])
      _ = try desk.feed.watch(.store("one more"))
    }
  }
}
