import HTTP
import JSON
import Reactor
import Testing

@testable import Kubernetes

/// An API server that the test moves by hand: each list answers with `items`, each watch stays open.
private final class FakeServer {
  let reactor: Reactor
  var items: [String: Int] = [:]
  var version = 1
  var watches: [ScriptedResponse] = []
  /// Answers the next request instead.
  var next: [ScriptedResponse] = []
  private(set) lazy var transport = ScriptedTransport(reactor) { request, _ in
    self.answer(request)
  }

  init(_ reactor: Reactor) { self.reactor = reactor }

  private func answer(_ request: HTTPRequestHead) -> ScriptedResponse {
    if !next.isEmpty { return next.removeFirst() }
    if request.query?.contains("watch=true") == true {
      let watch = ScriptedResponse(reactor, staysOpen: true)
      watches.append(watch)
      return watch
    }
    let list = items.sorted { $0.key < $1.key }.map { object($0.key, $0.value) }
    return ScriptedResponse(
      reactor, .ok,
      [
        """
        {"kind":"PodList","metadata":{"resourceVersion":"\(version)"},
         "items":[\(list.joined(separator: ","))]}
        """
      ])
  }

  func object(_ name: String, _ version: Int, namespace: String = "shop") -> String {
    """
    {"metadata":{"name":"\(name)","namespace":"\(namespace)","resourceVersion":"\(version)",\
    "managedFields":[1]}}
    """
  }

  func tell(_ type: String, _ name: String, _ version: Int, namespace: String = "shop") {
    let line = #"{"type":"\#(type)","object":\#(object(name, version, namespace: namespace))}"#
    watches.last?.push(line + "\n")
  }

  /// The queries of the watches so far.
  var watchQueries: [String] {
    transport.requests.compactMap(\.query).filter { $0.contains("watch=true") }
  }
}

private func quick() -> KubernetesLimits {
  var limits = KubernetesLimits()
  limits.watch.backoff = .milliseconds(1)
  limits.watch.backoffMax = .milliseconds(5)
  return limits
}

extension WatchChange {
  fileprivate var text: String {
    switch self {
    case .updated(let object): "updated \(object.name) \(object.resourceVersion)"
    case .deleted(let object): "deleted \(object.name)"
    case .resynced: "resynced"
    }
  }
}

@Suite struct WatchTests {
  @Test func tellsOfChanges() async throws {
    try await onReactor { reactor in
      let server = FakeServer(reactor)
      server.items = ["a": 1, "b": 1]
      let client = server.transport.client()
      defer { client.close() }
      let watch = try client.watch(.pods, labelSelector: "app=x")
      #expect(try client.watch(.pods, labelSelector: "app=x") === watch)
      try await watch.waitUntilSynced(deadline: .soon)
      #expect(watch.count == 2 && watch.object(namespace: "shop", name: "a")?.kind == "Pod")
      #expect(watch.object(namespace: "shop", name: "a")?["metadata", "managedFields"] == nil)
      let subscription = try watch.subscribe(namespace: "shop") { $0.name != "hidden" }
      server.tell("MODIFIED", "a", 2)
      #expect(try await subscription.next(until: .soon)?.text == "updated a 2")
      server.tell("ADDED", "hidden", 3)
      server.tell("ADDED", "other", 4, namespace: "elsewhere")
      server.tell("DELETED", "b", 5)
      #expect(try await subscription.next(until: .soon)?.text == "deleted b")
      #expect(watch.count == 3 && subscription.objects.count == 1)
      let query = try #require(server.watchQueries.first)
      #expect(query.contains("labelSelector=app%3Dx") && query.contains("resourceVersion=1"))
      #expect(query.contains("allowWatchBookmarks=true"))
      #expect(await failure { try await subscription.next(until: .now()) }?.kind == .timeout)
      subscription.cancel()
      #expect(try await subscription.next(until: .soon) == nil)
    }
  }

  @Test func goesOnWhereItWasAfterALoss() async throws {
    try await onReactor { reactor in
      let server = FakeServer(reactor)
      server.items = ["a": 1]
      let client = server.transport.client(quick())
      defer { client.close() }
      let watch = try client.watch(.pods)
      try await watch.waitUntilSynced(deadline: .soon)
      let subscription = try watch.subscribe()
      server.tell("MODIFIED", "a", 5)
      server.tell("BOOKMARK", "", 9)
      #expect(try await subscription.next(until: .soon)?.text == "updated a 5")
      // A refused attempt on the way, and half a line that must not count.
      server.next = [ScriptedResponse(reactor, .serviceUnavailable, ["busy"])]
      server.watches.last?.push("{\"type\":")
      server.watches.last?.end(.failure(KubernetesError(.transport, "cut")))
      while server.watches.count < 2 { await Task.yield() }
      server.tell("MODIFIED", "a", 10)
      #expect(try await subscription.next(until: .soon)?.text == "updated a 10")
      #expect(server.watchQueries.last?.contains("resourceVersion=9") == true)
      #expect(watch.lists == 1 && watch.lastError == nil)
    }
  }

  @Test(arguments: [true, false]) func listsAgainWhenTheVersionIsGone(asEvent: Bool) async throws {
    try await onReactor { reactor in
      let server = FakeServer(reactor)
      server.items = ["a": 1, "b": 1, "c": 1]
      let client = server.transport.client(quick())
      defer { client.close() }
      let watch = try client.watch(.pods)
      try await watch.waitUntilSynced(deadline: .soon)
      let subscription = try watch.subscribe()
      while server.watches.isEmpty { await Task.yield() }
      server.items = ["a": 1, "b": 7, "d": 8]
      server.version = 8
      let gone = #"{"kind":"Status","code":410,"reason":"Expired","message":"too old"}"#
      if asEvent {
        server.watches.last?.push(#"{"type":"ERROR","object":\#(gone)}"# + "\n")
      } else {
        server.next = [ScriptedResponse(reactor, try #require(HTTPStatus(code: 410)), [gone])]
        server.watches.last?.end(.failure(KubernetesError(.transport, "cut")))
      }
      var changes: Set<String> = []
      while changes.count < 3 {
        changes.insert(try await subscription.next(until: .soon)?.text ?? "end")
      }
      #expect(changes == ["updated b 7", "updated d 8", "deleted c"])
      #expect(watch.lists == 2 && watch.count == 3)
    }
  }

  @Test func coalescesAndCollapses() async throws {
    try await onReactor { reactor in
      let server = FakeServer(reactor)
      var limits = KubernetesLimits()
      limits.watch.pendingChangesMax = 3
      limits.watch.subscribersMax = 1
      let client = server.transport.client(limits)
      defer { client.close() }
      let watch = try client.watch(.pods)
      try await watch.waitUntilSynced(deadline: .soon)
      let subscription = try watch.subscribe()
      #expect(await failure { try watch.subscribe() }?.kind == .limitReached)
      for version in 1...5 { server.tell("MODIFIED", "a", version) }
      while watch.object(namespace: "shop", name: "a")?.resourceVersion != "5" {
        await Task.yield()
      }
      #expect(try await subscription.next(until: .soon)?.text == "updated a 5")
      for name in ["a", "b", "c", "d"] { server.tell("MODIFIED", name, 6) }
      while watch.count < 4 { await Task.yield() }
      #expect(try await subscription.next(until: .soon) == .resynced)
      #expect(subscription.objects.count == 4)
    }
  }

  @Test func hasLimits() async throws {
    try await onReactor { reactor in
      let server = FakeServer(reactor)
      server.items = ["a": 1, "b": 1, "c": 1]
      var limits = quick()
      limits.watch.objectsMax = 2
      limits.watch.listDeadline = .seconds(1)
      limits.watchesMax = 1
      let client = server.transport.client(limits)
      defer { client.close() }
      let watch = try client.watch(.pods)
      #expect(await failure { try client.watch(.secrets) }?.kind == .limitReached)
      let error = await failure {
        try await watch.waitUntilSynced(deadline: .now() + .milliseconds(200))
      }
      #expect(error?.kind == .limitReached && error?.message.contains("objectsMax") == true)
      server.items = ["a": 1]
      try await watch.waitUntilSynced(deadline: .soon)
      #expect(watch.count == 1)
    }
  }

  @Test func doesNotAskInACircle() async throws {
    try await onReactor { reactor in
      let server = FakeServer(reactor)
      server.items = ["a": 1]
      var limits = KubernetesLimits()
      limits.watch.backoff = .seconds(60)
      limits.watch.backoffMax = .seconds(60)
      let client = server.transport.client(limits)
      let watch = try client.watch(.pods)
      try await watch.waitUntilSynced(deadline: .soon)
      while server.watches.isEmpty { await Task.yield() }
      server.watches[0].end()
      for _ in 0..<1000 { await Task.yield() }
      #expect(watch.watches == 1)
      let subscription = try watch.subscribe()
      client.close()
      #expect(try await subscription.next(until: .soon) == nil)
    }
  }

  @Test(arguments: [
    #"{"type":"ADDED"}"#, #"{"type":"NEW","object":{}}"#, "nonsense", "[]", #"{"object":{}}"#,
  ])
  func refusesWhatIsNoEvent(line: String) {
    let error = #expect(throws: KubernetesError.self) {
      try WatchEvent(line: Array(line.utf8), kind: .pods, bytesMax: 1000)
    }
    #expect(error?.kind == .badAnswer)
  }

  @Test func splitsLines() throws {
    for size in 1...7 {
      var splitter = LineSplitter(lineBytesMax: 8)
      var lines: [String] = []
      let bytes = Array("one\n\ntwo\nthree\nrest".utf8)
      for start in stride(from: 0, to: bytes.count, by: size) {
        let chunk = Array(bytes[start..<min(start + size, bytes.count)])
        try splitter.feed(chunk) { line in lines.append(String(decoding: line, as: UTF8.self)) }
      }
      #expect(lines == ["one", "two", "three"])
    }
    var splitter = LineSplitter(lineBytesMax: 8)
    try splitter.feed([UInt8](repeating: 0x61, count: 8)) { _ in }
    let error = #expect(throws: KubernetesError.self) { try splitter.feed([0x61]) { _ in } }
    #expect(error?.kind == .limitReached)
  }
}
