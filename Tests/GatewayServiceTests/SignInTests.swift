import Cryptography
import Foundation
import GatewayService
import JSON
import Postgres
import Reactor
import Resilience
import TestKit
import Testing

extension GatewayTests {
  @Suite struct SignIn {
    @Test func aLoginGivesTokensThatWork() async throws {
      try await withGateway { gateway in
        let name = try await gateway.addUser(tenant: "acme", roles: [.admin, .member])
        let reply = try gateway.login(name.uppercased())
        #expect(reply.status == 200)
        #expect(reply.fields["cache-control"] == "no-store")
        #expect(reply.fields["x-content-type-options"] == "nosniff")
        let principal = reply.json?.object?["principal"]?.object
        #expect(principal?["username"]?.string == name)
        #expect(principal?["roles"] == ["ROLE_ADMIN", "ROLE_MEMBER"])
        let tokens = reply.json?.object?["tokens"]?.object
        let token = try #require(tokens?["accessToken"]?.string)
        #expect(tokens?["accessTokenExpireTime"]?.string == "2025-06-15T15:21:40Z")
        let me = try gateway.call("GET", "/v1/me", token: token)
        #expect(me.status == 200)
        #expect(me["username"] == name)
        #expect(me["tenant"] == "acme")
        #expect(me["displayName"] == "A user")
      }
    }

    @Test func anUnknownUserAndAWrongPasswordAreToldAlike() async throws {
      try await withGateway { gateway in
        let name = try await gateway.addUser()
        let wrong = try gateway.login(name, "not the password")
        let unknown = try gateway.login("nobody-\(name)")
        let invalid = try gateway.login("no such name!")
        for reply in [wrong, unknown, invalid] {
          #expect(reply.status == 401)
          #expect(reply["code"] == "UNAUTHENTICATED")
          #expect(reply["detail"] == "the username or the password is wrong")
          #expect(reply.fields["www-authenticate"] == "Bearer realm=\"storeplane\"")
        }
      }
    }

    @Test func missingFieldsAreNamed() async throws {
      try await withGateway { gateway in
        let reply = try gateway.call("POST", "/v1/auth/login", body: #"{"username": "x"}"#)
        #expect(reply.status == 400)
        #expect(reply.wrongFields == ["password"])
        let empty = try gateway.call("POST", "/v1/auth/refresh", body: "{}")
        #expect(empty.status == 400)
        #expect(empty.wrongFields == ["refreshToken"])
        let long = try gateway.login("someone", String(repeating: "x", count: 1025))
        #expect(long.status == 400)
        #expect(long.wrongFields == ["password"])
      }
    }

    @Test func failedLoginsAreSlowedDownForAUsername() async throws {
      var options = TestGateway.Options()
      options.limits.loginUsername = RateLimitPolicy("login-username", limit: 3, per: .seconds(60))
      try await withGateway(options) { gateway in
        let name = try await gateway.addUser()
        for _ in 0..<3 { #expect(try gateway.login(name, "wrong wrong wrong").status == 401) }
        let refused = try gateway.login(name)
        #expect(refused.status == 429)
        #expect(refused["reason"] == "TOO_MANY_FAILED_LOGINS")
        #expect(refused.fields["retry-after"] == "20")
        // Other names are not held up, and the right password is taken after the wait.
        let other = try await gateway.addUser()
        #expect(try gateway.login(other).status == 200)
        gateway.clock.advance(by: .seconds(20))
        #expect(try gateway.login(name).status == 200)
      }
    }

    @Test func failedLoginsAreSlowedDownForAnAddress() async throws {
      var options = TestGateway.Options()
      options.limits.loginAddress = RateLimitPolicy("login-address", limit: 2, per: .seconds(60))
      try await withGateway(options) { gateway in
        let name = try await gateway.addUser()
        #expect(try gateway.login("nobody-1").status == 401)
        #expect(try gateway.login("nobody-2").status == 401)
        #expect(try gateway.login(name).status == 429)
      }
    }

    // MARK: Refreshing

    private func tokens(_ reply: HTTPReply) throws -> (access: String, refresh: String) {
      let tokens = try #require(reply.json?.object?["tokens"]?.object)
      return (
        try #require(tokens["accessToken"]?.string), try #require(tokens["refreshToken"]?.string)
      )
    }

    private func refresh(_ gateway: TestGateway, _ token: String) throws -> HTTPReply {
      try gateway.call("POST", "/v1/auth/refresh", body: #"{"refreshToken": "\#(token)"}"#)
    }

    @Test func aRefreshTokenIsExchangedForTheNextPair() async throws {
      try await withGateway { gateway in
        let first = try tokens(gateway.login(try await gateway.addUser()))
        gateway.clock.advance(by: .seconds(20 * 60))
        #expect(try gateway.call("GET", "/v1/me", token: first.access).status == 401)
        let second = try tokens(refresh(gateway, first.refresh))
        #expect(second.refresh != first.refresh)
        #expect(try gateway.call("GET", "/v1/me", token: second.access).status == 200)
        _ = try tokens(refresh(gateway, second.refresh))
      }
    }

    @Test func aRefreshTokenUsedTwiceEndsItsSession() async throws {
      try await withGateway { gateway in
        let tenant = newTenant()
        let name = try await gateway.addUser(tenant: tenant)
        let first = try tokens(gateway.login(name))
        let second = try tokens(refresh(gateway, first.refresh))
        let reused = try refresh(gateway, first.refresh)
        #expect(reused.status == 401)
        #expect(reused["reason"] == "REFRESH_TOKEN_REUSED")
        // Whoever has the newest one is out as well.
        let ended = try refresh(gateway, second.refresh)
        #expect(ended.status == 401)
        #expect(ended["reason"] == "SESSION_ENDED")
        // Another session of the same user goes on.
        let other = try tokens(gateway.login(name))
        #expect(try refresh(gateway, other.refresh).status == 200)
        let events = try await gateway.inside { parts in
          let rows = try await parts.owner.query(
            scope: .none, "SELECT count(*) AS events FROM outbox WHERE tenant = $1",
            [.text(tenant)], deadline: .now() + .seconds(20))
          return try rows[0].decode("events", as: Int.self)
        }
        #expect(events == 3, "two logins and the end of one session")
      }
    }

    @Test func refreshTokensThatAreNoneAreRefused() async throws {
      try await withGateway { gateway in
        for token in ["x", "spr_" + String(repeating: "A", count: 43)] {
          let reply = try refresh(gateway, token)
          #expect(reply.status == 401)
          #expect(reply["reason"] == "NO_SUCH_SESSION")
          #expect(!reply.body.contains(token) || token == "x")
        }
      }
    }

    @Test func anExpiredRefreshTokenSaysSo() async throws {
      try await withGateway { gateway in
        let pair = try tokens(gateway.login(try await gateway.addUser()))
        let hash = SHA256.digest(Array(pair.refresh.utf8))
        try await gateway.inside { parts in
          _ = try await parts.owner.query(
            scope: .none,
            "UPDATE refresh_tokens SET expires_at = '2026-01-01T00:00:00Z' WHERE hash = $1",
            [.bytea(hash)], deadline: .now() + .seconds(20))
        }
        let reply = try refresh(gateway, pair.refresh)
        #expect(reply.status == 401)
        #expect(
          reply["detail"] == "the refresh token expired at 2026-01-01T00:00:00Z; sign in again")
      }
    }

    @Test func aRefreshThatFailsLeavesTheTokenAsItWas() async throws {
      try await withGateway { gateway in
        let pair = try tokens(gateway.login(try await gateway.addUser()))
        func rename(_ name: String, _ other: String) async throws {
          try await gateway.inside { parts in
            _ = try await parts.owner.query(
              scope: .none, "ALTER FUNCTION \(name)(uuid) RENAME TO \(other)", [],
              deadline: .now() + .seconds(20))
          }
        }
        try await rename("user_with_id", "user_with_id_away")
        let failed = try refresh(gateway, pair.refresh)
        try await rename("user_with_id_away", "user_with_id")
        #expect(failed.status == 500)
        #expect(try refresh(gateway, pair.refresh).status == 200)
      }
    }

    @Test func aTokenRefreshedTwiceAtOnceIsRotatedOnce() async throws {
      try await withGateway { gateway in
        let pair = try tokens(gateway.login(try await gateway.addUser()))
        let body = #"{"refreshToken": "\#(pair.refresh)"}"#
        let probes = try (0..<4).map { _ in try RawClient(port: gateway.port) }
        for probe in probes {
          try probe.send(RawClient.request("POST", "/v1/auth/refresh", body: body, closes: true))
        }
        let replies = try probes.map { HTTPReply(try $0.readToEnd()) }
        #expect(replies.count { $0.status == 200 } == 1)
        #expect(replies.count { $0.status == 401 } == 3)
      }
    }

    /// Runs SQL on the rows of the session that `token` belongs to.
    private func sql(
      _ gateway: TestGateway, _ statement: String, of token: String
    ) async throws -> Int {
      let hash = SHA256.digest(Array(token.utf8))
      return try await gateway.inside { parts in
        let rows = try await parts.owner.query(
          scope: .none,
          """
          WITH family AS (SELECT session FROM refresh_tokens WHERE hash = $1), done AS (
            \(statement)
          ) SELECT count(*) AS rows FROM done
          """, [.bytea(hash)], deadline: .now() + .seconds(20))
        return try rows[0].decode("rows", as: Int.self)
      }
    }

    private static let ofFamily = "session = (SELECT session FROM family)"

    @Test func aSessionsExchangesWithinAnHourAreLimited() async throws {
      try await withGateway { gateway in
        let name = try await gateway.addUser()
        let first = try tokens(gateway.login(name))
        var pair = first
        for _ in 0..<SessionStore.rotationsPerHourMax {
          pair = try tokens(refresh(gateway, pair.refresh))
        }
        for _ in 0..<2 {
          let refused = try refresh(gateway, pair.refresh)
          #expect(refused.status == 429)
          #expect(refused["code"] == "RESOURCE_EXHAUSTED")
          #expect(refused["reason"] == "TOO_MANY_REFRESHES")
          let wait = try #require(Int(refused.fields["retry-after"] ?? ""))
          #expect((3000...3600).contains(wait))
          #expect(refused["detail"]?.contains("wait \(wait) s, or sign in again") == true)
        }
        // Not one row more; and another session of the same user has a count of its own.
        let rows = "SELECT 1 FROM refresh_tokens WHERE \(Self.ofFamily)"
        #expect(
          try await sql(gateway, rows, of: pair.refresh) == SessionStore.rotationsPerHourMax + 1)
        let other = try tokens(gateway.login(name))
        #expect(try refresh(gateway, other.refresh).status == 200)
        // The token is still good once the oldest exchange is an hour ago, but for one exchange only.
        let aged = """
          UPDATE refresh_tokens SET used_at = used_at - interval '1 hour' WHERE hash = (
            SELECT hash FROM refresh_tokens WHERE \(Self.ofFamily) ORDER BY used_at LIMIT 1)
          RETURNING 1
          """
        #expect(try await sql(gateway, aged, of: pair.refresh) == 1)
        let last = try tokens(refresh(gateway, pair.refresh))
        #expect(try refresh(gateway, last.refresh).status == 429)
        // A stolen one shows all the same.
        #expect(try refresh(gateway, first.refresh)["reason"] == "REFRESH_TOKEN_REUSED")
        #expect(try refresh(gateway, last.refresh)["reason"] == "SESSION_ENDED")
      }
    }

    @Test func aSessionsExpiredTokensAreForgotten() async throws {
      try await withGateway { gateway in
        let first = try tokens(gateway.login(try await gateway.addUser()))
        let second = try tokens(refresh(gateway, first.refresh))
        let third = try tokens(refresh(gateway, second.refresh))
        let other = try tokens(gateway.login(try await gateway.addUser()))
        let expire = "UPDATE refresh_tokens SET expires_at = now() - interval '1 s'"
        let hash = SHA256.digest(Array(first.refresh.utf8))
        try await gateway.inside { parts in
          _ = try await parts.owner.query(
            scope: .none, expire + " WHERE hash = $1", [.bytea(hash)],
            deadline: .now() + .seconds(20))
        }
        // Only an exchange of the same session takes them out.
        _ = try tokens(refresh(gateway, other.refresh))
        #expect(try refresh(gateway, "x").status == 401)
        let rows = "SELECT 1 FROM refresh_tokens WHERE \(Self.ofFamily)"
        #expect(try await sql(gateway, rows, of: third.refresh) == 3)
        let fourth = try tokens(refresh(gateway, third.refresh))
        #expect(try await sql(gateway, rows, of: fourth.refresh) == 3)
        #expect(try refresh(gateway, first.refresh)["reason"] == "NO_SUCH_SESSION")
        // That one was no theft, and a younger one still is.
        let fifth = try tokens(refresh(gateway, fourth.refresh))
        #expect(try refresh(gateway, second.refresh)["reason"] == "REFRESH_TOKEN_REUSED")
        #expect(try refresh(gateway, fifth.refresh)["reason"] == "SESSION_ENDED")
      }
    }

    @Test func theDatabaseKnowsNoToken() async throws {
      try await withGateway { gateway in
        let pair = try tokens(gateway.login(try await gateway.addUser()))
        let found = try await gateway.inside { parts in
          let rows = try await parts.owner.query(
            scope: .none,
            "SELECT count(*) AS found FROM refresh_tokens r WHERE r::text LIKE '%' || $1 || '%'",
            [.text(pair.refresh)], deadline: .now() + .seconds(20))
          return try rows[0].decode("found", as: Int.self)
        }
        #expect(found == 0)
      }
    }
  }
}
