import Foundation
import JSON
import Testing

extension StorectlTests {
  @Suite struct Events {
    /// Waits until audit has an event, which is a moment after the change that it tells of.
    private func recorded(_ mark: String, _ user: StorectlUser) throws {
      let run = try user.start("events", "--follow", "-o", "json")
      try run.wait(for: mark, onOutput: true)
      run.interrupt()
      #expect(try run.end().status == 130)
    }

    @Test func aStoresHistoryIsShown() async throws {
      let user = try await StorectlUser.signedIn(try await TestPlatform.shared())
      let created = try user.run(
        "stores", "create", "--name", "demo", "--engine", "woocommerce", "--wait")
      #expect(created.status == 0)
      try recorded(#""newState":"ready""#, user)
      let outcome = try user.run("events", "--store", "demo")
      try #require(outcome.lines.count == 4, "\(outcome.output)\(outcome.errors)")
      #expect(
        outcome.lines[0].split(separator: " ")
          == ["TIME", "ACTOR", "ACTION", "STORE", "CHANGE", "REQUEST"])
      let changes = ["- -> requested", "requested -> provisioning", "provisioning -> ready"]
      let me = try user.run("whoami", "-o", "json").json?.object?["id"]?.string ?? "?"
      for (line, change) in zip(outcome.lines.dropFirst(), changes) {
        #expect(line.contains("  \(change)  "), "\(line)")
        #expect(line.contains("  demo  "))
        #expect(line.split(separator: " ").last?.count == 36)
      }
      #expect(outcome.lines[1].contains("  user:\(me)  "))
      let newest = try user.run("events", "--store", "demo", "--limit", "1")
      #expect(newest.lines.count == 2)
      #expect(newest.output.contains("provisioning -> ready"))
      #expect(newest.errors == "there are older events: --limit shows more than 1\n")
      let none = try user.run("events", "--since", "2100-01-01T00:00:00Z", "-o", "json")
      #expect(none.json == ["events": []])
      #expect(try user.run("events", "--since", "yesterday").status == 2)
    }

    @Test func workIsNamedWithItsEnd() async throws {
      let user = try await StorectlUser.signedIn(try await TestPlatform.shared())
      let created = try user.run(
        "stores", "create", "--name", "worked", "--engine", "woocommerce", "--wait")
      #expect(created.status == 0)
      #expect(try user.run("stores", "suspend", "worked", "--wait").status == 0)
      try recorded(#""outcome":"succeeded""#, user)
      let outcome = try user.run("events", "--store", "worked")
      #expect(outcome.output.contains("operation.begin   worked  suspend  "))
      #expect(outcome.output.contains("operation.end     worked  suspend succeeded  "))
    }

    @Test func eventsAreFollowedOverABreak() async throws {
      let platform = try await TestPlatform.shared()
      let door = try await platform.openDoor()
      let user = try await StorectlUser.signedIn(platform, at: door.address)
      #expect(try user.run("secrets", "set", "one", input: "1").status == 0)
      try recorded(#""action":"secret.set""#, user)
      let run = try user.start("events", "--action", "secret.set", "--follow", "-o", "json")
      try run.wait(for: #""name":"one""#, onOutput: true)
      #expect(try user.run("secrets", "set", "two", input: "2").status == 0)
      try run.wait(for: #""name":"two""#, onOutput: true)
      try await door.restart()
      #expect(try user.run("secrets", "set", "three", input: "3").status == 0)
      try run.wait(for: #""name":"three""#, onOutput: true)
      run.interrupt()
      let outcome = try run.end()
      #expect(outcome.status == 130)
      for name in ["one", "two", "three"] {
        #expect(outcome.errors.components(separatedBy: #""name":"\#(name)""#).count == 2)
      }
    }
  }
}
