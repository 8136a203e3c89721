import Contracts
import Observability
import Postgres
import Reactor
import Resilience
import TestKit
import Testing

@testable import ServiceRuntime

@Suite struct AuditEventSourceTests {
  private let source = AuditEventSource(
    service: .provisioner,
    time: ManualClock(wallNow: WallInstant(seconds: 1_750_000_000, nanoseconds: 5)))

  @Test func anEventOutsideAnyRequestIsTheServicesOwn() {
    let event = source.event("store.transition", tenant: "acme")
    #expect(PostgresUUID(event.id) != nil)
    #expect(event.tenant == "acme")
    #expect(event.action == "store.transition")
    #expect(event.occurTime == .init(seconds: 1_750_000_000, nanos: 5))
    #expect(event.actor == .init(kind: .service, id: "spiffe://storeplane/provisioner"))
    #expect(event.service == "provisioner")
    #expect(event.requestID.isEmpty && event.traceID.isEmpty)
    #expect(source.event("a", tenant: "acme").id != event.id)
  }

  @Test func anEventOfARequestSaysWhichAndForWhom() throws {
    var context = RequestContext(
      requestID: try #require(RequestID("r-1")),
      trace: TraceContext(traceparent: "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"))
    context.store = "store-1"
    context.operation = "operation-1"
    context.principal = "user:anna"
    let event = context.run { source.event("a", tenant: "acme") }
    #expect(event.requestID == "r-1")
    #expect(event.traceID == "0123456789abcdef0123456789abcdef")
    #expect(event.store == "store-1")
    #expect(event.operation == "operation-1")
    #expect(event.actor == .init(kind: .user, id: "anna"))
  }

  @Test func whoAndWhenCanBeGiven() {
    let caller = Caller(subject: "bert", tenant: "acme", roles: [], address: "192.0.2.7")
    let event = source.event(
      "a", tenant: "acme", actor: .user(caller),
      occurred: .init(seconds: 7, nanos: 0))
    #expect(event.actor == .init(kind: .user, id: "bert", address: "192.0.2.7"))
    #expect(event.occurTime == .init(seconds: 7, nanos: 0))
  }

  @Test func principalsAreReadByTheirKind() {
    #expect(AuditV1.Actor(principal: "key:k-1") == .init(kind: .apiKey, id: "k-1"))
    #expect(AuditV1.Actor(principal: "service:a:b") == .init(kind: .service, id: "a:b"))
    for text in ["", "anna", "user:", "robot:r"] { #expect(AuditV1.Actor(principal: text) == nil) }
  }
}

@Suite(.timeLimit(.minutes(1))) struct WakeUpTests {
  @Test func aCallBeforeTheWaitIsKeptOnce() async throws {
    try await onReactor { reactor in
      let wakeUp = WakeUp(on: reactor)
      wakeUp.call()
      wakeUp.call()
      await wakeUp.wait(atMost: .seconds(3600))
      let start = Instant.now()
      await wakeUp.wait(atMost: .milliseconds(20))
      #expect(Instant.now() - start >= .milliseconds(20))
    }
  }

  @Test func aWaitEndsWithACallOrWithItsTask() async throws {
    try await onReactor { reactor in
      let wakeUp = WakeUp(on: reactor)
      let called = reactor.loop.spawn(on: reactor) { await wakeUp.wait(atMost: .seconds(3600)) }
      wakeUp.call()
      await called.value
      let cancelled = reactor.loop.spawn(on: reactor) { await wakeUp.wait(atMost: .seconds(3600)) }
      cancelled.cancel()
      await cancelled.value
    }
  }
}
