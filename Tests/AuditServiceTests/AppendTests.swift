import Contracts
import Postgres
import Protobuf
import RPC
import RPCCore
import Reactor
import ServiceRuntime
import Testing

@testable import AuditService

@Suite(.timeLimit(.minutes(2))) struct AppendTests {
  @Test func anEventIsRecordedOnceHoweverOftenItIsSent() async throws {
    try await withAudit { audit in
      let events = (0..<3).map { event($0) }
      #expect(try await audit.append(events) == [.recorded, .recorded, .recorded])
      let more = [event(3), events[1], event(4)]
      #expect(try await audit.append(more) == [.recorded, .duplicate, .recorded])
      // The same id in capital letters is the same event.
      var shouting = events[0]
      shouting.id = shouting.id.uppercased()
      #expect(try await audit.append([shouting]) == [.duplicate])
      let listed = try await audit.list("acme").events
      #expect(listed.count == 5)
      #expect(Set(listed.map(\.id)).count == 5)
    }
  }

  @Test func theSameEventTwiceInABatchIsRecordedOnce() async throws {
    try await withAudit { audit in
      let (one, two) = (event(1), event(2))
      let outcomes = try await audit.append([one, two, one, one])
      #expect(outcomes == [.recorded, .recorded, .duplicate, .duplicate])
      #expect(try await audit.list("acme").events.map(\.id) == [two.id, one.id])
    }
  }

  @Test func whatIsSentIsWhatIsRead() async throws {
    try await withAudit { audit in
      var sent = event(7, store: "store-7", name: "Käse & Brot")
      sent.details = [
        "text": "a \"quoted\" ü\n", "number": 1.5, "large": 1e300, "whole": 42, "none": nil,
        "list": [true, ["deep": "er"], []], "": "empty key",
      ]
      try await audit.append([sent])
      var read = try #require(try await audit.list("acme").events.first)
      let recorded = try #require(read.recordTime)
      #expect(recorded.isValid)
      #expect(recorded.seconds > 1_750_000_000)
      read.recordTime = nil
      #expect(read == sent)
    }
  }

  @Test func aBatchHasAtMost500Events() async throws {
    try await withAudit { audit in
      let events = (0..<501).map { event($0) }
      let error = await rpcError { try await audit.append(events) }
      #expect(error?.code == .invalidArgument)
      #expect(error?.fieldViolations == [.init("events", "501 events; at most 500 at once")])
      #expect(try await audit.list("acme").events.isEmpty)
      let outcomes = try await audit.append(Array(events.prefix(500)))
      #expect(outcomes.count == 500)
      #expect(outcomes.allSatisfy { $0 == .recorded })
      let none = await rpcError { try await audit.append([]) }
      #expect(none?.fieldViolations == [.init("events", "send at least one")])
    }
  }

  @Test func aBadEventIsRejectedWithItsFieldsAndKeepsNoneOut() async throws {
    try await withAudit { audit in
      let bad = badEvents()
      let request = AuditV1.AppendEventsRequest(events: bad.map(\.event) + [event(1)])
      let results = try await audit.client(as: "provisioner").appendEvents(request).results
      #expect(results.count == bad.count + 1)
      for (index, (result, bad)) in zip(results, bad).enumerated() {
        #expect(result.outcome == .rejected)
        #expect(result.event == bad.event.id)
        let error = try #require(result.error)
        #expect(error.code == Int32(StatusCode.invalidArgument.rawValue))
        let violations = RPCError(
          .invalidArgument, error.message, details: error.serialized()
        ).fieldViolations
        #expect(violations.map(\.field) == bad.fields.map { "events[\(index)].\($0)" })
      }
      #expect(results.last?.outcome == .recorded)
      #expect(try await audit.list("acme").events.count == 1)
    }
  }

  /// Each an event with faults, and their fields.
  private func badEvents() -> [(event: AuditV1.Event, fields: [String])] {
    func bad(
      _ fields: String..., change: (inout AuditV1.Event) -> Void
    ) -> (event: AuditV1.Event, fields: [String]) {
      var event = event()
      change(&event)
      return (event, fields)
    }
    let long = String(repeating: "x", count: AuditLimits.textBytesMax + 1)
    return [
      bad("id") { $0.id = "" },
      bad("id") { $0.id = "1b4e28ba-2fa1-41d2-883f-0016d3cca42g" },
      bad("id") { $0.id = "1b4e28ba-2fa1-41d2-883f00016d3cca427" },
      bad("tenant") { $0.tenant = "" },
      bad("tenant") { $0.tenant = "a\u{1}" },
      bad("store") { $0.store = long },
      bad("revision") { $0.revision = -1 },
      bad("action", "service") {
        $0.action = ""
        $0.service = ""
      },
      bad("occur_time") { $0.occurTime = nil },
      bad("occur_time") { $0.occurTime = .init(seconds: .max, nanos: 0) },
      bad("occur_time") { $0.occurTime = .init(seconds: 0, nanos: 1_000_000_000) },
      bad("actor") { $0.actor = nil },
      bad("actor.kind", "actor.id") { $0.actor = .init(kind: .unrecognized(9), id: "") },
      bad("actor.address") { $0.actor?.address = long },
      bad("previous_state", "new_state") {
        $0.previousState = long
        $0.newState = long
      },
      bad("request_id") { $0.requestID = long },
      bad("trace_id") { $0.traceID = "0123456789ABCDEF0123456789ABCDEF" },
      // A service speaks for itself alone.
      bad("service") { $0.service = "config" },
      bad("operation") { $0.operation = long },
      bad("store_name") { $0.storeName = long },
      bad("details.a[1]") { $0.details = ["a": [1, .init(kind: .numberValue(.nan))]] },
      bad("details.a.b") { $0.details = ["a": ["b": .init()]] },
      bad("details") {
        $0.details = ["a": .init(String(repeating: "x", count: AuditV1.Event.detailsBytesMax))]
      },
    ]
  }

  @Test func detailsUpToTheLimitAreKept() async throws {
    try await withAudit { audit in
      var full = event()
      // {"a":"…"}
      full.details = ["a": .init(String(repeating: "x", count: AuditV1.Event.detailsBytesMax - 8))]
      let outcomes = try await audit.append([full])
      #expect(outcomes == [.recorded])
    }
  }

  @Test func onlyServicesThatThePolicyNamesAppend() async throws {
    try await withAudit { audit in
      let request = AuditV1.AppendEventsRequest(events: [event()])
      for service in ["audit", "operator", "unknown"] {
        let client = try audit.client(as: service)
        let error = await rpcError { _ = try await client.appendEvents(request) }
        #expect(error?.code == .permissionDenied)
      }
      for service in ["gateway", "config"] {
        var own = event()
        own.service = service
        let response = try await audit.client(as: service).appendEvents(.init(events: [own]))
        #expect(response.results.map(\.outcome) == [.recorded])
      }
    }
  }

  @Test func batchesWithTheSameEventsInOtherOrdersAllSucceed() async throws {
    try await withAudit { audit in
      let events = (0..<200).map { event($0) }
      let client = try audit.client(as: "provisioner")
      let recorded = Count()
      let tasks = (0..<6).map { round in
        audit.reactor.loop.spawn(on: audit.reactor) {
          let order = round % 2 == 0 ? events : events.reversed()
          let results = try? await client.appendEvents(.init(events: order)).results
          recorded.value += results?.count { $0.outcome == .recorded } ?? -1_000
        }
      }
      for task in tasks { await task.value }
      #expect(recorded.value == 200)
    }
  }
}

/// A number that tasks of one reactor share.
final class Count {
  var value = 0
}
