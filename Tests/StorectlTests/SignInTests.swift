import Foundation
import JSON
import Testing

extension StorectlTests {
  @Suite struct SignIn {
    private func replace(
      _ user: StorectlUser, _ change: (inout JSONObject) -> Void
    ) throws {
      let text = try String(contentsOf: user.credentialsFile, encoding: .utf8)
      var object = try #require(JSON(parsing: text).object)
      change(&object)
      try Data(JSON.object(object).serialized()).write(to: user.credentialsFile)
    }

    private func credentials(_ user: StorectlUser) throws -> JSONObject {
      let text = try String(contentsOf: user.credentialsFile, encoding: .utf8)
      return try #require(JSON(parsing: text).object)
    }

    @Test func aLoginIsKeptForItsOwnerAlone() async throws {
      let platform = try await TestPlatform.shared()
      let user = try await StorectlUser.signedIn(platform)
      let attributes = try FileManager.default.attributesOfItem(atPath: user.credentialsFile.path)
      #expect(attributes[.posixPermissions] as? Int == 0o600)
      let left = try FileManager.default.contentsOfDirectory(atPath: user.folder.path)
      #expect(left.filter { $0.hasPrefix("cred") }.count == 2, "the login and its lock: \(left)")
      let shown = try user.run("whoami")
      #expect(shown.output.contains("username  \(user.name)\n"))
      #expect(shown.output.contains("roles     member\n"))
      let json = try user.run("whoami", "-o", "json")
      #expect(json.json?.object?["tenant"]?.string == user.tenant)
      let yaml = try user.run("whoami", "-o", "yaml")
      #expect(yaml.output.contains("tenant: \(user.tenant)\n"))
      #expect(yaml.output.contains("roles:\n- ROLE_MEMBER\n"))
      for outcome in [shown, json, yaml] { #expect(!outcome.output.contains("\u{1B}")) }
    }

    @Test func theFolderIsMadeAndXDGIsHeeded() async throws {
      let platform = try await TestPlatform.shared()
      let user = try StorectlUser(
        name: platform.administrator, tenant: "main", platform.address)
      let outcome = try user.run(
        "login", "--username", user.name, input: TestPlatform.password,
        environment: ["STORECTL_CONFIG": nil, "XDG_CONFIG_HOME": user.folder.path + "/a/b"])
      #expect(outcome.status == 0)
      #expect(outcome.output == "signed in at \(platform.address) as admin, tenant main\n")
      let file = user.folder.appendingPathComponent("a/b/storeplane/credentials.json")
      #expect(FileManager.default.fileExists(atPath: file.path))
      let home = try user.run("whoami", environment: ["STORECTL_CONFIG": nil])
      #expect(home.status == 4)
    }

    @Test func aWrongPasswordIsRefused() async throws {
      let platform = try await TestPlatform.shared()
      let user = try StorectlUser(name: "nobody-here", tenant: "", platform.address)
      let outcome = try user.run("login", "--username", user.name, input: "wrong password here")
      #expect(outcome.status == 4)
      #expect(outcome.errors.contains("the username or the password is wrong"))
      #expect(outcome.errors.contains("request "))
      #expect(!FileManager.default.fileExists(atPath: user.credentialsFile.path))
      let missing = try user.run("login", input: "wrong password here")
      #expect(missing.status == 2)
      #expect(missing.errors.contains("--username is missing"))
    }

    @Test func logoutForgetsTheLogin() async throws {
      let user = try await StorectlUser.signedIn(try await TestPlatform.shared())
      #expect(try user.run("logout").output == "signed out\n")
      #expect(try user.run("logout").output == "nobody was signed in\n")
      let outcome = try user.run("stores", "list")
      #expect(outcome.status == 4)
      #expect(outcome.errors == "error: not signed in: storectl login --address \(user.address)\n")
    }

    @Test func anEndedAccessTokenIsRefreshed() async throws {
      let user = try await StorectlUser.signedIn(try await TestPlatform.shared())
      let first = try credentials(user)
      try replace(user) { $0["accessTokenExpireTime"] = "2020-01-01T00:00:00Z" }
      #expect(try user.run("whoami").status == 0)
      let second = try credentials(user)
      #expect(second["refreshToken"] != first["refreshToken"])
      // What the gateway does not accept, whatever its time, is refreshed as well.
      try replace(user) { $0["accessToken"] = "no.such.token" }
      #expect(try user.run("whoami").status == 0)
      let third = try credentials(user)
      #expect(third["refreshToken"] != second["refreshToken"])
      // The first refresh token had been used: whoever comes with it ends the session.
      try replace(user) { object in
        object = first
        object["accessTokenExpireTime"] = "2020-01-01T00:00:00Z"
      }
      let outcome = try user.run("whoami")
      #expect(outcome.status == 4)
      #expect(outcome.errors.contains("the refresh token had been used before"))
      #expect(outcome.errors.contains("storectl login --username \(user.name)"))
    }

    @Test func manyAtOnceRefreshOnce() async throws {
      let user = try await StorectlUser.signedIn(try await TestPlatform.shared())
      for _ in 0..<3 {
        try replace(user) { $0["accessTokenExpireTime"] = "2020-01-01T00:00:00Z" }
        let runs = try (0..<6).map { _ in try user.start("whoami") }
        let outcomes = try runs.map { try $0.end() }
        #expect(outcomes.map(\.status) == [0, 0, 0, 0, 0, 0], "\(outcomes.map(\.errors))")
      }
      #expect(try user.run("whoami").status == 0)
    }

    @Test func aFileThatOthersCanReadIsWarnedOf() async throws {
      let user = try await StorectlUser.signedIn(try await TestPlatform.shared())
      try FileManager.default.setAttributes(
        [.posixPermissions: 0o644], ofItemAtPath: user.credentialsFile.path)
      let outcome = try user.run("whoami")
      #expect(outcome.status == 0)
      #expect(
        outcome.errors
          == "warning: others can read your login: chmod 600 \(user.credentialsFile.path)\n")
      try Data("{".utf8).write(to: user.credentialsFile)
      let broken = try user.run("whoami")
      #expect(broken.status == 4)
      #expect(broken.errors.contains("is no login: sign in again"))
    }

    @Test func aTokenGoesToItsOwnGatewayOnly() async throws {
      let user = try await StorectlUser.signedIn(try await TestPlatform.shared())
      let outcome = try user.run("whoami", "--address", "http://127.0.0.1:1")
      #expect(outcome.status == 4)
      #expect(outcome.errors.contains("signed in at \(user.address), not at http://127.0.0.1:1"))
      // Without any address, where the login was.
      #expect(try user.run("whoami", environment: ["STOREPLANE_ADDRESS": nil]).status == 0)
    }

    @Test func aTokenCanBeGivenInstead() async throws {
      let user = try await StorectlUser.signedIn(try await TestPlatform.shared())
      let token = try #require(user.run("token").lines.first)
      try user.run("logout")
      let good = try user.run("whoami", environment: ["STOREPLANE_TOKEN": token])
      #expect(good.output.contains(user.name))
      let bad = try user.run("whoami", environment: ["STOREPLANE_TOKEN": "\(token)x"])
      #expect(bad.status == 4)
      #expect(!bad.errors.contains(token))
    }

    @Test func aPasswordIsAskedForAndNotShown() async throws {
      let platform = try await TestPlatform.shared()
      let user = try StorectlUser(
        name: platform.administrator, tenant: "main", platform.address)
      let outcome = try user.onTerminal(
        "login", [("Username: ", "admin"), ("Password of admin: ", TestPlatform.password)])
      #expect(outcome.status == 0, "\(outcome.shown)")
      #expect(outcome.shown.contains("as admin, tenant main"))
      #expect(!outcome.shown.contains(TestPlatform.password))
    }
  }
}
