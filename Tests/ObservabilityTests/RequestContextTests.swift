import Observability
import Testing

@Suite struct RequestContextTests {
  private func context(_ id: String) throws -> RequestContext {
    RequestContext(requestID: try #require(RequestID(id)), tenant: "acme")
  }

  @Test func itReachesChildTasksAndEndsWithTheScope() async throws {
    #expect(RequestContext.current == nil)
    let context = try context("r1")
    await context.run {
      #expect(RequestContext.current == context)
      async let child = RequestContext.current
      #expect(await child == context)
      let inGroup = await withTaskGroup(of: RequestContext?.self) { group in
        group.addTask { RequestContext.current }
        return await group.next() ?? nil
      }
      #expect(inGroup == context)
      #expect(
        await Task { RequestContext.current }.value == context, "work that outlives the scope")
      #expect(await Task.detached { RequestContext.current }.value == nil)
    }
    #expect(RequestContext.current == nil)
  }

  @Test func synchronousWorkAndErrors() throws {
    struct Broken: Error {}
    let context = try context("r2")
    #expect(context.run { RequestContext.current?.requestID.text } == "r2")
    #expect(throws: Broken.self) {
      try context.run { () throws(Broken) in throw Broken() }
    }
    #expect(RequestContext.current == nil)
  }

  @Test func addingChangesACopyForTheScope() async throws {
    let context = try context("r3")
    await context.run {
      await RequestContext.adding(store: "demo") {
        #expect(RequestContext.current?.store == "demo")
        #expect(RequestContext.current?.tenant == "acme")
      }
      #expect(RequestContext.current?.store == nil)
    }
    let ran = await RequestContext.adding(store: "demo") {
      RequestContext.current == nil
    }
    #expect(ran, "without a context nothing is made up")
  }

  private actor Owner {
    var steps = 0
    func handle(_ context: RequestContext) async throws {
      try await context.run {
        assertIsolated()
        steps += 1
        await Task.yield()
        assertIsolated()
        try await RequestContext.adding(operation: "op") {
          assertIsolated()
          steps += 1
          try Task.checkCancellation()
        }
      }
    }
  }

  @Test func workStaysOnTheCallersActor() async throws {
    let owner = Owner()
    try await owner.handle(try context("r4"))
    #expect(await owner.steps == 2)
  }

  @Test func storedAndRestored() throws {
    var generator = SystemRandomNumberGenerator()
    let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    var context = try context("r5")
    context.trace = TraceContext(traceparent: header, tracestate: "a=1")
    context.principal = "user:1"
    let stored = StoredRequestContext(context)
    #expect(
      stored
        == StoredRequestContext(
          requestID: "r5", traceparent: header, tracestate: "a=1", tenant: "acme",
          principal: "user:1"))
    #expect(RequestContext(restoring: stored, using: &generator) == context)
  }

  @Test func damagedRowsDoNotStopWork() {
    var generator = SystemRandomNumberGenerator()
    let stored = StoredRequestContext(
      requestID: "two\nlines", traceparent: "00-nonsense", tracestate: "a=1", store: "demo")
    let context = RequestContext(restoring: stored, using: &generator)
    #expect(context.requestID.text.utf8.count == 32)
    #expect(context.trace == nil)
    #expect(context.store == "demo")
  }

  @Test func requestIDsFromOutside() {
    #expect(RequestID("0af7-Z_9.x")?.text == "0af7-Z_9.x")
    #expect(RequestID(String(repeating: "a", count: 128)) != nil)
    for bad in ["", String(repeating: "a", count: 129), "a b", "a\n", "a\"", "é", "a/b", "a\u{0}"] {
      #expect(RequestID(bad) == nil, "\(bad)")
    }
    var generator = SystemRandomNumberGenerator()
    let made = RequestID(using: &generator)
    #expect(RequestID(made.text) == made)
  }
}
