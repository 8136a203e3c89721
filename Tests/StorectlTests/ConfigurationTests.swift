import Foundation
import JSON
import Testing

extension StorectlTests {
  @Suite struct SettingsAndSecrets {
    @Test func settingsAreSetOneByOne() async throws {
      let user = try await StorectlUser.signedIn(try await TestPlatform.shared())
      #expect(try user.run("settings", "get").output == "SETTING  VALUE\n")
      let set = try user.run(
        "settings", "set", "darkMode=true", "features.fastCheckout=yes", "limits.stores=5",
        "shipping.`express (EU)`=[9.5, \"5\"]")
      #expect(set.status == 0, "\(set.errors)")
      #expect(try user.run("settings", "set", "features.Beta2=null").status == 0)
      let all = try user.run("settings", "get", "-o", "json")
      #expect(
        all.json?.object?["values"] == [
          "darkMode": true, "features": ["fastCheckout": "yes", "Beta2": nil],
          "limits": ["stores": 5],
          "shipping": ["express (EU)": [.number(try #require(JSONNumber(9.5))), "5"]],
        ])
      #expect(try user.run("settings", "get", "features.fastCheckout").output == "yes\n")
      #expect(try user.run("settings", "get", "limits").lines.last == "stores   5")
      #expect(try user.run("settings", "get", "features.missing").status == 3)
      #expect(try user.run("settings", "unset", "darkMode", "shipping").status == 0)
      let left = try user.run("settings", "get")
      #expect(left.lines.count == 4)
      #expect(!left.output.contains("darkMode"))
    }

    @Test func settingsThatCannotBeAreRefused() async throws {
      let user = try await StorectlUser.signedIn(try await TestPlatform.shared())
      #expect(try user.run("settings", "set", "a=1", "a=2").status == 2)
      #expect(try user.run("settings", "set", "a").status == 2)
      #expect(try user.run("settings", "set", "a..b=1").status == 2)
      #expect(try user.run("settings", "set", "a=text").status == 0)
      let through = try user.run("settings", "set", "a.b=1")
      #expect(through.status == 6)
      #expect(through.errors.contains("paths[0]"))
      let stale = try user.run("settings", "set", "a=2", "--etag", "\"0\"")
      #expect(stale.status == 5)
      #expect(try user.run("settings", "set", "a=2", "--etag", "\"1\"").status == 0)
    }

    @Test func secretsComeFromStandardInput() async throws {
      let user = try await StorectlUser.signedIn(try await TestPlatform.shared())
      let set = try user.run("secrets", "set", "smtp.password", input: "hush hush\n")
      #expect(set.output == "smtp.password is set, version 1\n")
      let bytes = try user.run(
        "secrets", "set", "key", "--raw", bytes: (0..<65_536).map { UInt8($0 % 256) })
      #expect(bytes.output == "key is set, version 1\n", "\(bytes.errors)")
      let large = try user.run(
        "secrets", "set", "key", input: String(repeating: "x", count: 65_537))
      #expect(large.status == 6)
      #expect(try user.run("secrets", "set", "key").status == 6)
      #expect(try user.run("secrets", "set", "key", "the-value").status == 2)
      let typed = try user.onTerminal(
        "secrets set typed", [("Value of typed: ", "not to be shown")])
      #expect(typed.shown.contains("typed is set, version 1"))
      #expect(!typed.shown.contains("not to be shown"))
      let stale = try user.run(
        "secrets", "set", "key", "--expected-version", "0", input: "other")
      #expect(stale.status == 5)
      let list = try user.run("secrets", "list")
      #expect(
        list.lines.map { $0.prefix { $0 != " " } } == ["NAME", "key", "smtp.password", "typed"])
      let document = try user.run("secrets", "list", "-o", "yaml")
      #expect(document.output.contains("  version: '1'\n"))
      #expect(!document.output.contains("hush"))
      #expect(try user.run("secrets", "delete", "key").status == 2)
      #expect(try user.run("secrets", "delete", "key", "--yes").output == "key is deleted\n")
      #expect(try user.run("secrets", "delete", "key", "--yes").status == 3)
    }

    @Test func anAdministratorSeesAllTenants() async throws {
      let platform = try await TestPlatform.shared()
      let user = try await StorectlUser.signedIn(platform)
      let admin = try await platform.signedInAdministrator()
      let all = try admin.run("tenants", "list", "-o", "json")
      let ids = all.json?.object?["tenants"]?.array?.compactMap { $0.object?["id"]?.string }
      #expect(ids?.contains(user.tenant) == true)
      let own = try user.run("tenants", "list")
      #expect(own.lines.count == 2)
      #expect(try admin.run("tenants", "get", user.tenant).output.contains("name     Test\n"))
      #expect(try admin.run("tenants", "create", user.tenant).status == 5)
      #expect(try admin.run("tenants", "create", "Not!").status == 6)
    }
  }
}
