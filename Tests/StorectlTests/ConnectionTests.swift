import Foundation
import HTTP
import JSON
import Testing

extension StorectlTests {
  @Suite struct Connections {
    @Test func nobodyThereIsSaidWithARemedy() throws {
      let user = try StorectlUser(name: "x", tenant: "", "http://127.0.0.1:1")
      let environment = ["STOREPLANE_TOKEN": "x"]
      let outcome = try user.run("stores", "list", environment: environment)
      #expect(outcome.status == 7)
      #expect(outcome.errors.contains("nobody answers at http://127.0.0.1:1"))
      #expect(outcome.errors.contains("scripts/up"))
      let host = try user.run(
        "stores", "list", "--address", "http://no-such-host.invalid", environment: environment)
      #expect(host.status == 7)
      #expect(host.errors.contains("warning: http://no-such-host.invalid is plain HTTP"))
      for address in ["127.0.0.1:8080", "ftp://a", "http://", "http://a/b", "http://u:p@a"] {
        let outcome = try user.run("whoami", "--address", address)
        #expect(outcome.status == 2, "\(address)")
      }
    }

    private func user(_ gateway: ScriptedGateway) throws -> StorectlUser {
      try StorectlUser(name: "x", tenant: "", gateway.address)
    }

    private let token = ["STOREPLANE_TOKEN": "the-token" as String?]

    @Test func aRequestWithAnIDIsSentAgain() async throws {
      let gateway = try await ScriptedGateway([
        .cut, .problem(503, "UNAVAILABLE", ["retry-after": "1"]), .json(#"{"id": "op-1"}"#),
      ])
      let outcome = try user(gateway).run(
        "stores", "create", "--name", "x", "--engine", "medusa", environment: token)
      #expect(outcome.status == 0, "\(outcome.errors)")
      let ids = try gateway.received.map {
        try JSON(parsing: $0.body).object?["requestId"]?.string ?? ""
      }
      #expect(ids.count == 3)
      #expect(Set(ids).count == 1)
      #expect(gateway.received.allSatisfy { $0.authorization == "Bearer the-token" })
    }

    @Test func aRequestWithoutAnIDIsNot() async throws {
      let gateway = try await ScriptedGateway([.cut, .json("{}")])
      let outcome = try user(gateway).run(
        "secrets", "set", "x", input: "value", environment: token)
      #expect(outcome.status == 7)
      #expect(outcome.errors.contains("what was asked for may have happened"))
      #expect(gateway.received.count == 1)
    }

    @Test func triesAreLimitedAndLongWaitsLeftToTheUser() async throws {
      let away = ScriptedGateway.Answer.problem(503, "UNAVAILABLE")
      let gateway = try await ScriptedGateway(Array(repeating: away, count: 9))
      #expect(try user(gateway).run("stores", "list", environment: token).status == 7)
      #expect(gateway.received.count == 3)
      let busy = try await ScriptedGateway([
        .problem(503, "UNAVAILABLE", ["retry-after": "60"]),
        .problem(429, "RESOURCE_EXHAUSTED", ["retry-after": "1"]),
      ])
      #expect(try user(busy).run("stores", "list", environment: token).status == 7)
      #expect(try user(busy).run("stores", "list", environment: token).status == 7)
      #expect(busy.received.count == 2)
    }

    @Test func aTokenFollowsNoRedirection() async throws {
      let other = try await ScriptedGateway([])
      let gateway = try await ScriptedGateway([
        .init(status: 307, headers: ["location": "\(other.address)/v1/stores"])
      ])
      let outcome = try user(gateway).run("stores", "list", environment: token)
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("HTTP 307"))
      #expect(other.received.isEmpty)
    }

    @Test func nothingForThisMachineGoesToAProxy() async throws {
      let proxy = try ListeningProxy()
      let named = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].map { ($0, proxy.address) }
      let proxies = Dictionary(uniqueKeysWithValues: named)
      // What already goes past the proxy, in either spelling, does so still.
      let lists: [[String: String]] = [
        [:], ["no_proxy": "example.com"], ["NO_PROXY": "example.com"], ["no_proxy": "*"],
      ]
      for list in lists {
        for host in ["127.0.0.1", "127.0.0.2", "localhost", "shop.LOCALHOST"] {
          let user = try StorectlUser(name: "x", tenant: "", "http://\(host):1")
          let changes = proxies.merging(list) { $1 }.mapValues { $0 as String? }
          let outcome = try user.run(
            "login", "--username", "x", input: "hunter2 hunter2\n", environment: changes)
          #expect(outcome.status == 7, "\(outcome.errors)")
          #expect(outcome.errors.contains("nobody answers at http://\(host):1"), "\(list)")
          #expect(try proxy.request(within: 0) == nil, "\(host) \(list)")
        }
      }
      // The proxy is one that is used: for any other host.
      for host in ["gateway.invalid", "127.0.0.1.invalid"] {
        let user = try StorectlUser(name: "x", tenant: "", "http://\(host):1")
        let environment = user.environment.merging(proxies) { $1 }
        let run = try StorectlRun(
          ["whoami"], environment: environment.merging(["STOREPLANE_TOKEN": "x"]) { $1 })
        // The run before may have asked once more before it was interrupted.
        let wanted = "GET http://\(host):1/v1/me HTTP/1.1\r\n"
        while !(try #require(try proxy.request(within: 30_000)).hasPrefix(wanted)) {}
        run.interrupt()
        #expect(try run.end().status == 130)
      }
    }

    @Test func whatIsNoGatewayIsSaidSo() async throws {
      let gateway = try await ScriptedGateway([
        .init(status: 200, body: "<html>"), .init(status: 502, body: "<html>"),
        .json("{}"), .json("{}"),
      ])
      let user = try user(gateway)
      let page = try user.run("whoami", environment: token)
      #expect(page.status == 1)
      #expect(page.errors.contains("is no JSON: is that the gateway's address?"))
      #expect(try user.run("secrets", "set", "x", input: "y", environment: token).status == 7)
      let stream = try user.run("operations", "watch", "x", environment: token)
      #expect(stream.status == 1)
      #expect(stream.errors.contains("no event stream"))
      #expect(try user.run("whoami", "--request-timeout", "0").status == 2)
      #expect(try user.run("whoami", "--request-timeout", "1h").status == 2)
    }

    @Test func anErrorInAStreamThatPassesIsWaitedFor() async throws {
      let running = #"data: {"id":"o","state":"STATE_RUNNING"}"#
      let away = #"{"status":503,"code":"UNAVAILABLE","detail":"the provisioner is away"}"#
      let done = #"data: {"id":"o","kind":"KIND_DELETE","state":"STATE_SUCCEEDED","done":true}"#
      let gateway = try await ScriptedGateway([
        .json(#"{"id": "o"}"#), .events("\(running)\n\nevent: error\ndata: \(away)\n\n"),
        .problem(503, "UNAVAILABLE"), .events("\(running)\n\n"), .events("\(done)\n\n"),
      ])
      let outcome = try user(gateway).run("operations", "watch", "o", environment: token)
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.output.contains("the provisioner is away; watching again"))
      #expect(outcome.output.contains("the stream ended; watching again"))
      #expect(gateway.received.count == 5)
      let lost = try await ScriptedGateway([
        .json(#"{"id": "o"}"#),
        .events("event: error\ndata: {\"code\":\"NOT_FOUND\",\"status\":404}\n\n"),
      ])
      #expect(try self.user(lost).run("operations", "watch", "o", environment: token).status == 3)
    }
  }
}
