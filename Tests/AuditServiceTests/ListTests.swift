import Contracts
import Postgres
import RPC
import RPCCore
import Reactor
import ServiceRuntime
import Testing

@testable import AuditService

@Suite(.timeLimit(.minutes(2))) struct ListTests {
  @Test func aTenantSeesItsOwnEventsOnly() async throws {
    try await withAudit { audit in
      let (ours, theirs) = (event(tenant: "acme"), event(tenant: "other"))
      try await audit.append([ours, theirs])
      #expect(try await audit.list("acme").events.map(\.id) == [ours.id])
      #expect(try await audit.list("other").events.map(\.id) == [theirs.id])
      #expect(try await audit.list("stranger").events.isEmpty)
    }
  }

  @Test func nobodyListsWithoutATenant() async throws {
    try await withAudit { audit in
      let gateway = try audit.client(as: "gateway")
      let anonymous = await rpcError { _ = try await gateway.listEvents(.init()) }
      #expect(anonymous?.code == .unauthenticated)
      let options = try AuditPeers.options(tenant: nil)
      let without = await rpcError { _ = try await gateway.listEvents(.init(), options: options) }
      #expect(without?.code == .failedPrecondition)
      let own = try AuditPeers.options(tenant: "acme")
      let provisioner = try audit.client(as: "provisioner")
      let other = await rpcError { _ = try await provisioner.listEvents(.init(), options: own) }
      #expect(other?.code == .permissionDenied)
    }
  }

  @Test func filtersSelect() async throws {
    try await withAudit { audit in
      let events = [
        event(0, store: "s-0", name: "demo"),
        event(1, store: "s-1", name: "demo", action: "store.created"),
        event(2, store: "s-1", name: "demo", actor: "bert"),
        event(3, action: "login", actor: "bert"),
      ]
      try await audit.append(events)
      func ids(_ request: AuditV1.ListEventsRequest) async throws -> [Int] {
        try await audit.list("acme", request).events.map { listed in
          events.firstIndex { $0.id == listed.id } ?? -1
        }
      }
      #expect(try await ids(.init(store: "s-1")) == [2, 1])
      #expect(try await ids(.init(store: "demo")) == [2, 1, 0])
      #expect(try await ids(.init(store: "nothing")) == [])
      #expect(try await ids(.init(action: "login")) == [3])
      #expect(try await ids(.init(actor: "bert")) == [3, 2])
      #expect(try await ids(.init(store: "demo", actor: "bert")) == [2])
      #expect(try await ids(.init(order: .oldestFirst)) == [0, 1, 2, 3])
      let (one, three) = (events[1].occurTime, events[3].occurTime)
      #expect(try await ids(.init(since: one, until: three)) == [2, 1])
      #expect(try await ids(.init(since: three)) == [3])
      #expect(try await ids(.init(until: one)) == [0])
    }
  }

  @Test func theEventsOfAStoreAreInItsOwnOrder() async throws {
    try await withAudit { audit in
      // Two deliveries overtook each other.
      let late = (3...4).map { event($0, store: "s", name: "demo") }
      let early = (1...2).map { event($0, store: "s", name: "demo") }
      try await audit.append(late)
      try await audit.append(early)
      let request = AuditV1.ListEventsRequest(store: "demo", order: .oldestFirst)
      #expect(try await audit.list("acme", request).events.map(\.revision) == [1, 2, 3, 4])
      let all = AuditV1.ListEventsRequest(order: .oldestFirst)
      #expect(try await audit.list("acme", all).events.map(\.revision) == [3, 4, 1, 2])
    }
  }

  @Test(arguments: [false, true], [false, true])
  func pagesAreStableWhileEventsAreAdded(newestFirst: Bool, ofStore: Bool) async throws {
    try await withAudit { audit in
      for batch in 0..<5 {
        try await audit.append((0..<5).map { event(batch * 5 + $0, store: "s") })
      }
      var request = AuditV1.ListEventsRequest(
        store: ofStore ? "s" : "", order: newestFirst ? .newestFirst : .oldestFirst, pageSize: 4)
      var revisions: [Int64] = []
      var pages = 0
      repeat {
        let page = try await audit.list("acme", request)
        revisions += page.events.map(\.revision)
        request.pageToken = page.nextPageToken
        pages += 1
        // At the end of the history, which is before the first page when the newest come first.
        if newestFirst { try await audit.append([event(1_000 + pages, store: "s")]) }
      } while !request.pageToken.isEmpty
      let expected = (0..<25).map(Int64.init)
      #expect(revisions == (newestFirst ? expected.reversed() : expected))
      #expect(pages == 7)
    }
  }

  @Test func pagesHaveALimitedSize() async throws {
    try await withAudit { audit in
      for batch in 0..<3 { try await audit.append((0..<350).map { event(batch * 350 + $0) }) }
      #expect(try await audit.list("acme").events.count == 50)
      let page = try await audit.list("acme", .init(pageSize: 2_000))
      #expect(page.events.count == 1_000)
      #expect(!page.nextPageToken.isEmpty)
      let rest = try await audit.list("acme", .init(pageSize: 60, pageToken: page.nextPageToken))
      #expect(rest.events.count == 50)
      #expect(rest.nextPageToken.isEmpty)
      let error = await rpcError { _ = try await audit.list("acme", .init(pageSize: -1)) }
      #expect(error?.fieldViolations.map(\.field) == ["page_size"])
    }
  }

  @Test func aPageOfLargeEventsEndsEarly() async throws {
    try await withAudit { audit in
      let text = String(repeating: "x", count: AuditV1.Event.detailsBytesMax - 100)
      for batch in 0..<2 {
        try await audit.append(
          (0..<150).map {
            var event = event(batch * 150 + $0)
            event.details = ["text": .init(text)]
            return event
          })
      }
      var request = AuditV1.ListEventsRequest(order: .oldestFirst, pageSize: 1_000)
      var sizes: [Int] = []
      var revisions: [Int64] = []
      repeat {
        let page = try await audit.list("acme", request)
        sizes.append(page.events.count)
        revisions += page.events.map(\.revision)
        request.pageToken = page.nextPageToken
      } while !request.pageToken.isEmpty
      #expect(sizes.count == 2)
      #expect(revisions == (0..<300).map(Int64.init))
    }
  }

  @Test func aTokenIsOfItsListAlone() async throws {
    try await withAudit { audit in
      try await audit.append((0..<9).map { event($0) } + [event(tenant: "other")])
      var request = AuditV1.ListEventsRequest(pageSize: 2)
      let token = try await audit.list("acme", request).nextPageToken
      // Pages may change their size, and the default order may be named.
      request.pageSize = 3
      request.order = .newestFirst
      request.pageToken = token
      #expect(try await audit.list("acme", request).events.map(\.revision) == [6, 5, 4])

      let altered = token.dropFirst(9).first == "A" ? "B" : "A"
      let bad: [(String, AuditV1.ListEventsRequest)] = [
        ("other", .init(pageToken: token)),
        ("acme", .init(action: "login", pageToken: token)),
        ("acme", .init(order: .oldestFirst, pageToken: token)),
        ("acme", .init(since: .init(seconds: 0, nanos: 0), pageToken: token)),
        ("acme", .init(pageToken: String(token.dropLast()))),
        ("acme", .init(pageToken: token + "A")),
        ("acme", .init(pageToken: token.prefix(9) + altered + token.dropFirst(10))),
        ("acme", .init(pageToken: "garbage")),
        ("acme", .init(pageToken: "%00 ü")),
        ("acme", .init(pageToken: String(repeating: "A", count: 100_000))),
      ]
      for (tenant, request) in bad {
        let error = await rpcError { _ = try await audit.list(tenant, request) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.fieldViolations.map(\.field) == ["page_token"])
      }
    }
  }

  @Test func everyBadFieldIsNamedAtOnce() async throws {
    try await withAudit { audit in
      let long = String(repeating: "x", count: AuditLimits.textBytesMax + 1)
      let request = AuditV1.ListEventsRequest(
        store: long, action: long, actor: long, since: .init(seconds: .min, nanos: 0),
        until: .init(seconds: 0, nanos: -1), order: .unrecognized(7), pageSize: -5, pageToken: "x")
      let error = await rpcError { _ = try await audit.list("acme", request) }
      #expect(error?.code == .invalidArgument)
      #expect(
        error?.fieldViolations.map(\.field)
          == ["store", "action", "actor", "since", "until", "order", "page_size", "page_token"])
    }
  }
}
