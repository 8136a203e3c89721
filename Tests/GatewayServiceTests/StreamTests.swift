import GatewayService
import HTTP
import JSON
import Reactor
import Resilience
import TestKit
import Testing

extension GatewayTests {
  @Suite struct Streams {
    private let events = ["Accept": "text/event-stream"]

    @Test func aStreamIsToldAsEvents() async throws {
      try await withGateway { gateway in
        let reply = try gateway.call(
          "GET", "/v1/stores/shop:watch", token: gateway.token(), headers: events)
        #expect(reply.status == 200)
        #expect(reply.fields["content-type"] == "text/event-stream")
        #expect(reply.fields["cache-control"] == "no-store")
        #expect(reply.body.contains("id: 1\ndata: {"))
        #expect(reply.body.contains(#""state":"STATE_PROVISIONING""#))
        #expect(reply.body.contains("id: 2\ndata: {"))
        #expect(!reply.body.contains("event: error"))
      }
    }

    @Test func aStreamIsToldAsLines() async throws {
      try await withGateway { gateway in
        let probe = try RawClient(port: gateway.port)
        try probe.send(
          RawClient.request("GET", "/v1/stores/shop:watch", token: try gateway.token()))
        let head = try probe.read(through: "\r\n\r\n")
        #expect(head.contains("application/x-ndjson"))
        let first = try probe.read(through: "}\n")
        #expect(first.contains("STATE_PROVISIONING"))
        #expect(try probe.read(through: "}\n").contains("STATE_READY"))
      }
    }

    @Test func anErrorBeforeTheFirstMessageHasAStatus() async throws {
      try await withGateway { gateway in
        let reply = try gateway.call(
          "GET", "/v1/stores/absent:watch", token: gateway.token(), headers: events)
        #expect(reply.status == 404)
        #expect(reply.fields["content-type"] == "application/problem+json")
      }
    }

    @Test func anErrorInTheMiddleIsAnEvent() async throws {
      try await withGateway { gateway in
        let token = try gateway.token()
        let reply = try gateway.call(
          "GET", "/v1/stores/broken:watch", token: token, headers: events)
        #expect(reply.status == 200)
        #expect(reply.body.contains("event: error\ndata: {"))
        #expect(reply.body.contains(#""code":"ABORTED""#))
        let lines = try gateway.call("GET", "/v1/stores/broken:watch", token: token)
        #expect(lines.body.contains(#"{"error":{"type""#))
      }
    }

    @Test func aSilentStreamBeginsAndBeats() async throws {
      var options = TestGateway.Options()
      options.limits.streamHeadDelay = .milliseconds(20)
      options.limits.heartbeat = .milliseconds(20)
      try await withGateway(options) { gateway in
        let probe = try RawClient(port: gateway.port)
        try probe.send(
          RawClient.request(
            "GET", "/v1/stores/silent:watch", token: try gateway.token(), headers: events))
        #expect(try probe.read(through: "\r\n\r\n").hasPrefix("HTTP/1.1 200"))
        _ = try probe.read(through: ":\n\n")
        _ = try probe.read(through: ":\n\n")
      }
    }

    @Test func aClientThatGoesEndsTheCall() async throws {
      try await withGateway { gateway in
        var probe: RawClient? = try RawClient(port: gateway.port)
        try probe?.send(
          RawClient.request(
            "GET", "/v1/stores/endless:watch", token: try gateway.token(), headers: events))
        _ = try probe?.read(through: "STATE_PROVISIONING")
        probe = nil
        try await gateway.eventually { $0.provisioner.sightings.cancelled == 1 }
        try await gateway.eventually { $0.server.handlersRunning == 0 }
      }
    }

    @Test func aStreamThatLastsTooLongEndsWithAnEvent() async throws {
      var options = TestGateway.Options()
      options.limits.streamTimeout = .seconds(3)
      try await withGateway(options) { gateway in
        let reply = try gateway.call(
          "GET", "/v1/stores/endless:watch", token: gateway.token(), headers: events)
        #expect(reply.status == 200)
        #expect(reply.body.contains("event: error"))
        #expect(reply.body.contains("DEADLINE_EXCEEDED"))
      }
    }

    @Test func aGatewayThatLeavesSendsItsClientsAway() async throws {
      try await withGateway { gateway in
        let token = try gateway.token()
        let probes = try ["endless", "silent"].map { name in
          let probe = try RawClient(port: gateway.port)
          try probe.send(
            RawClient.request("GET", "/v1/stores/\(name):watch", token: token, headers: events))
          return probe
        }
        _ = try probes[0].read(through: "STATE_PROVISIONING")
        try await gateway.eventually { $0.provisioner.sightings.callers.count == 2 }
        try await gateway.inside { parts in
          parts.gateway.endStreams()
          await parts.server.drain(until: .now() + .seconds(20))
        }
        let begun = try probes[0].readToEnd()
        #expect(begun.contains("event: error"))
        #expect(begun.contains("GATEWAY_LEAVES"))
        #expect(begun.hasSuffix("0\r\n\r\n"), "the response is whole")
        // What has not begun is refused with a status.
        let refused = HTTPReply(try probes[1].readToEnd())
        #expect(refused.status == 503)
        #expect(refused.fields["retry-after"] == "1")
        try await gateway.eventually { $0.provisioner.sightings.cancelled == 2 }
      }
    }

    @Test func aUserHasABoundedNumberOfStreams() async throws {
      var options = TestGateway.Options()
      options.limits.streamsPerPrincipal = 2
      try await withGateway(options) { gateway in
        let token = try gateway.token()
        var probes = try (0..<2).map { _ in try RawClient(port: gateway.port) }
        for probe in probes {
          try probe.send(
            RawClient.request("GET", "/v1/stores/endless:watch", token: token, headers: events))
          _ = try probe.read(through: "STATE_PROVISIONING")
        }
        let refused = try gateway.call("GET", "/v1/stores/shop:watch", token: token)
        #expect(refused.status == 429)
        #expect(refused["reason"] == "TOO_MANY_STREAMS")
        let other = try gateway.call("GET", "/v1/stores/shop:watch", token: gateway.token())
        #expect(other.status == 200)
        probes.removeLast()
        try await gateway.eventually { $0.server.handlersRunning == 1 }
        #expect(try gateway.call("GET", "/v1/stores/shop:watch", token: token).status == 200)
      }
    }

    @Test func manyStreamsAtOnce() async throws {
      try await withGateway { gateway in
        let token = try gateway.token()
        let probes = try (0..<20).map { _ in try RawClient(port: gateway.port) }
        for probe in probes {
          try probe.send(
            RawClient.request("GET", "/v1/stores/shop:watch", token: token, closes: true))
        }
        for probe in probes {
          #expect(try probe.readToEnd().contains("STATE_READY"))
        }
      }
    }
  }
}

extension TestGateway {
  /// Looks again at every turn of the loop until `condition` holds; the suite's time limit ends a
  /// test in which it never does.
  func eventually(_ condition: @escaping @Sendable (Parts) -> Bool) async throws {
    while try await !inside({ condition($0) }) { await Task.yield() }
  }
}
