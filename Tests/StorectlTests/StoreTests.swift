import Foundation
import JSON
import ProvisionerService
import ProvisionerTestKit
import Testing

extension StorectlTests {
  @Suite struct Stores {
    private func name() -> String { "shop-\(UInt32.random(in: 0 ... .max))" }

    /// Also for who takes the work over, where a busy machine has lost a lease.
    private static let hanging = [FakeCluster.Behaviour](repeating: .hang, count: 5)

    @Test func aStoreIsMadeShownAndDeleted() async throws {
      let user = try await StorectlUser.signedIn(try await TestPlatform.shared())
      let name = name()
      let made = try user.run(
        "stores", "create", "--name", name, "--engine", "woocommerce", "--title", "Demo Shop",
        "--wait")
      #expect(made.status == 0, "\(made.errors)")
      #expect(made.output.hasPrefix("\(name) is ready: https://\(name)"))
      for step in ["namespace", "credentials", "release", "rollout", "setup", "verify"] {
        #expect(
          made.errors.split(separator: "\n").contains {
            $0.contains("  \(step) ") && $0.contains("  succeeded  in ")
          }, "\(made.errors)")
      }
      #expect(made.errors.split(separator: "\n").last?.contains("provision") == true)
      let listed = try user.run("stores", "list")
      try #require(listed.lines.count == 2, "\(listed.errors)")
      #expect(listed.lines[0].hasPrefix("NAME "))
      #expect(listed.lines[1].contains("  woocommerce  ready  https://\(name)"))
      let shown = try user.run("stores", "get", name)
      #expect(shown.output.contains("title      Demo Shop\n"))
      let document = try user.run("stores", "get", name, "-o", "json")
      #expect(document.json?.object?["state"]?.string == "STATE_READY")
      let operations = try user.run("operations", "list", "--store", name, "-o", "json")
      let id = operations.json?.object?["operations"]?.array?.first?.object?["id"]?.string ?? ""
      #expect(try user.run("operations", "get", id).output.contains("step verify  "))
      let watched = try user.run("operations", "watch", id, "-o", "json")
      #expect(watched.status == 0)
      #expect(try JSON(parsing: watched.lines.last ?? "").object?["done"] == true)

      let unasked = try user.run("stores", "delete", name, "--wait")
      #expect(unasked.status == 2)
      #expect(unasked.errors.contains("--yes"))
      let refused = try user.onTerminal(
        "stores delete \(name)", [("with all its data? [y/N]: ", "n")])
      #expect(refused.status == 1)
      #expect(refused.shown.contains("Delete \(name) (https://"))
      #expect(refused.shown.contains("nothing was changed"))
      let deleted = try user.run("stores", "delete", name, "--yes", "--wait", "-o", "yaml")
      #expect(deleted.status == 0, "\(deleted.errors)")
      #expect(deleted.output.contains("state: STATE_SUCCEEDED\n"))
      #expect(try user.run("stores", "list").lines.count == 1)
      #expect(try user.run("stores", "list", "--state", "deleted").lines.count == 2)
    }

    @Test func aFailureIsToldPreciselyAndCanBeTriedAgain() async throws {
      let platform = try await TestPlatform.shared()
      let user = try await StorectlUser.signedIn(platform)
      let name = name()
      platform.cluster.script(
        .release, of: name, [.fail(ProvisionFailure(.quotaExceeded, "requests.cpu: 2 of 1"))])
      let failed = try user.run(
        "stores", "create", "--name", name, "--engine", "woocommerce", "--wait", "-o", "json")
      #expect(failed.status == 1)
      #expect(failed.output.isEmpty)
      #expect(failed.errors.contains("error: provision of \(name) failed at the step release\n"))
      #expect(failed.errors.contains("  QUOTA_EXCEEDED: "))
      #expect(failed.errors.contains("requests.cpu: 2 of 1"))
      #expect(failed.errors.contains("Correct the cause, then: storectl stores retry \(name)"))
      let again = try user.run("stores", "retry", name, "--wait", "-o", "json")
      #expect(again.status == 0, "\(again.errors)")
      #expect(again.json?.object?["name"]?.string == name)
      let ready = try user.run("stores", "retry", name)
      #expect(ready.status == 5)
    }

    @Test func whatIsWrongIsSaidWithACodeForScripts() async throws {
      let user = try await StorectlUser.signedIn(try await TestPlatform.shared())
      let create = { (name: String, more: [String]) in
        try StorectlRun(
          ["stores", "create", "--name", name, "--engine", "woocommerce"] + more,
          environment: user.environment
        ).end()
      }
      let invalid = try create("Not A Name", [])
      #expect(invalid.status == 6)
      #expect(invalid.errors.contains("name"))
      #expect(invalid.errors.contains("request "))
      let checked = try create("fine", ["--validate-only"])
      #expect(checked.status == 0, "\(checked.errors)")
      #expect(try user.run("stores", "get", "fine").status == 3)
      #expect(try create("fine", []).output.contains("begun: storectl operations watch "))
      #expect(try create("fine", ["--title", "Another"]).status == 5)
      #expect(try user.run("stores", "get", "no/such store?").status == 3)
      #expect(try user.run("operations", "watch", UUID().uuidString).status == 3)
      #expect(try user.run("stores", "list", "--state", "sleepy").status == 6)
      #expect(try user.run("stores", "create", "--name", "x").status == 2)
      #expect(try user.run("stores", "create", "--name", "x", "--engine", "php").status == 2)
      #expect(try user.run("tenants", "create", "other").status == 4)
      #expect(try user.run("tenants", "get", "main").status == 3)
    }

    @Test func waitingCanBeStoppedAndTakenUp() async throws {
      let platform = try await TestPlatform.shared()
      let user = try await StorectlUser.signedIn(platform)
      let name = name()
      platform.cluster.script(.release, of: name, Self.hanging)
      let run = try user.start(
        "stores", "create", "--name", name, "--engine", "woocommerce", "--wait")
      try run.wait(for: "release               running")
      run.interrupt()
      let outcome = try run.end()
      #expect(outcome.status == 130)
      #expect(outcome.output.isEmpty)
      #expect(outcome.errors.contains("stopped waiting; the operation goes on"))
      let parts = outcome.errors.components(separatedBy: "storectl operations watch ")
      let id = parts.last?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
      let watch = try user.start("operations", "watch", id)
      try watch.wait(for: "release               running", onOutput: true)
      watch.interrupt()
      #expect(try watch.end().status == 130)
      let late = try user.run("operations", "watch", id, "--timeout", "1s")
      #expect(late.status == 8)
      #expect(late.errors.contains("not done after 1.0 s (--timeout)"))
      // The deletion ends what hangs.
      let deleted = try user.run("stores", "delete", name, "--yes", "--wait")
      #expect(deleted.status == 0, "\(deleted.errors)")
      let cancelled = try user.run("operations", "watch", id)
      #expect(cancelled.status == 1)
      #expect(cancelled.errors.contains("cancelled"))
    }

    @Test func aProvisioningIsStopped() async throws {
      let platform = try await TestPlatform.shared()
      let user = try await StorectlUser.signedIn(platform)
      let name = name()
      platform.cluster.script(.release, of: name, Self.hanging)
      let begun = try user.run(
        "stores", "create", "--name", name, "--engine", "woocommerce", "-o", "json")
      let id = try #require(begun.json?.object?["id"]?.string)
      await platform.cluster.reached(.release, of: name)
      let cancelled = try user.run("operations", "cancel", id)
      #expect(cancelled.status == 0, "\(cancelled.errors)")
      #expect(try user.run("operations", "watch", id).status == 1)
      #expect(try user.run("stores", "get", name).output.contains("CANCELLED"))
      #expect(try user.run("operations", "cancel", id).status == 0)
      let deletion = try user.run("stores", "delete", name, "--yes", "--wait", "-o", "json")
      #expect(deletion.status == 0, "\(deletion.errors)")
      #expect(try user.run("operations", "cancel", UUID().uuidString).status == 3)
    }

    @Test func aBrokenStreamIsTakenUpAgain() async throws {
      let platform = try await TestPlatform.shared()
      let door = try await platform.openDoor()
      let user = try await StorectlUser.signedIn(platform, at: door.address)
      let name = name()
      platform.cluster.script(.release, of: name, Self.hanging)
      let run = try user.start(
        "stores", "create", "--name", name, "--engine", "woocommerce", "--wait")
      try run.wait(for: "release               running")
      try await door.restart()
      try run.wait(for: "watching again")
      let deleted = try user.run("stores", "delete", name, "--yes")
      #expect(deleted.status == 0, "\(deleted.errors)")
      let outcome = try run.end()
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("error: provision of \(name) cancelled"))
    }

    @Test func aTerminalIsShownWhatIsUnderWay() async throws {
      let platform = try await TestPlatform.shared()
      let user = try await StorectlUser.signedIn(platform)
      let name = name()
      // Long enough to be seen under way.
      let busy = ProvisionFailure(.clusterThrottled, "busy", retryAfter: .seconds(5))
      platform.cluster.script(.release, of: name, [.fail(busy)])
      let outcome = try user.onTerminal(
        "stores create --name \(name) --engine woocommerce --wait")
      #expect(outcome.status == 0, "\(outcome.shown)")
      #expect(outcome.output.contains("\u{1B}[32msucceeded\u{1B}[0m"))
      #expect(outcome.output.contains("\r\u{1B}[2K"))
      #expect(outcome.output.contains("\(name) is ready: https://\(name)"))
    }

    @Test func aStoreIsWatchedUntilItIsGone() async throws {
      let platform = try await TestPlatform.shared()
      let user = try await StorectlUser.signedIn(platform)
      let name = name()
      let made = try user.run(
        "stores", "create", "--name", name, "--engine", "woocommerce", "--wait")
      #expect(made.status == 0, "\(made.errors)")
      let run = try user.start("stores", "watch", name, "-o", "json")
      try run.wait(for: "STATE_READY", onOutput: true)
      #expect(try user.run("stores", "delete", name, "--yes").status == 0)
      let outcome = try run.end()
      #expect(outcome.status == 0, "\(outcome.errors)")
      let states = try outcome.lines.map { try JSON(parsing: $0).object?["state"]?.string ?? "" }
      #expect(states == ["STATE_DELETING", "STATE_DELETED"])
    }
  }
}
