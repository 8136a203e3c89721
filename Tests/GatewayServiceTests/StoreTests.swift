import GatewayService
import JSON
import Postgres
import Reactor
import TestKit
import Testing

extension GatewayTests {
  @Suite struct Store {
    private func refusal(_ url: DatabaseURL, _ sql: String) async throws -> SQLState? {
      let reactor = try Reactor.start(name: "test")
      defer { reactor.loop.stop() }
      return try await reactor.run { reactor in
        let connection = try await PostgresConnection.connect(
          PostgresConfiguration(url: url.revealed), on: reactor, blocking: BlockingPool(),
          logger: quiet)
        defer { connection.close() }
        do throws(PostgresError) {
          try await connection.query(sql, deadline: .now() + .seconds(20))
          return nil
        } catch {
          return error.sqlState
        }
      }
    }

    @Test(arguments: ["users", "sessions", "refresh_tokens"])
    func nobodyReadsWhoMaySignInButByTheFunctions(table: String) async throws {
      let database = try await GatewayDatabase.urls()
      let denied = SQLState(rawValue: "42501")
      for url in [database.application, database.worker] {
        #expect(try await refusal(url, "SELECT * FROM \(table)") == denied)
      }
      #expect(
        try await refusal(database.application, "SELECT * FROM user_named('x')") == denied)
      #expect(try await refusal(database.worker, "SELECT * FROM user_named('x')") == nil)
    }

    @Test func aCooldownIsSeenByItsTenantAlone() async throws {
      try await withGateway { gateway in
        let tenant = newTenant()
        let counts = try await gateway.inside { parts in
          let cooldown = StoreCooldown(pool: parts.application, duration: .seconds(60))
          _ = try await cooldown.reserve(
            tenant: tenant, requestID: nil, deadline: .now() + .seconds(20))
          var counts: [Int] = []
          for scope in [PostgresScope.tenant(tenant), .tenant("other"), .none] {
            let rows = try await parts.application.query(
              scope: scope, "SELECT count(*) AS rows FROM store_cooldowns WHERE tenant = $1",
              [.text(tenant)], deadline: .now() + .seconds(20))
            counts.append(try rows[0].decode("rows"))
          }
          return counts
        }
        #expect(counts == [1, 0, 0])
      }
    }

    @Test func anOldReservationTakesNothingBack() async throws {
      try await withGateway { gateway in
        let tenant = newTenant()
        let verdicts = try await gateway.inside { parts in
          let short = StoreCooldown(pool: parts.application, duration: .milliseconds(1))
          let long = StoreCooldown(pool: parts.application, duration: .seconds(60))
          let deadline = Instant.now() + .seconds(20)
          let first = try await short.reserve(
            tenant: tenant, requestID: nil, deadline: deadline)
          var second = first
          repeat {
            second = try await long.reserve(tenant: tenant, requestID: "r", deadline: deadline)
          } while second.isDenied
          if case .reserved(let old) = first { try await short.cancel(old, deadline: deadline) }
          let third = try await long.reserve(tenant: tenant, requestID: nil, deadline: deadline)
          let again = try await long.reserve(tenant: tenant, requestID: "r", deadline: deadline)
          return [first.isDenied, second.isDenied, third.isDenied, again == .repeated]
        }
        #expect(verdicts == [false, false, true, true])
      }
    }

    @Test func sessionsAreBoundedAndForgotten() async throws {
      try await withGateway { gateway in
        let name = try await gateway.addUser(tenant: newTenant())
        let login = try gateway.login(name)
        let id = try #require(login.json?.object?["principal"]?.object?["id"]?.string)
        let (kept, purged) = try await gateway.inside { parts in
          let sessions = SessionStore(application: parts.application, worker: parts.worker)
          let deadline = Instant.now() + .seconds(60)
          let user = User(
            id: id, username: name, displayName: "", tenant: nil, roles: [.admin])
          for index in 0...SessionStore.sessionsPerUserMax {
            var hash = [UInt8](repeating: 0, count: 32)
            for (offset, byte) in "\(name)\(index)".utf8.suffix(32).enumerated() {
              hash[offset] = byte
            }
            _ = try await sessions.begin(
              session: .random(), user: user, tokenHash: hash, event: nil, deadline: deadline)
          }
          func count() async throws -> Int {
            let rows = try await parts.owner.query(
              scope: .none, "SELECT count(*) AS sessions FROM sessions WHERE user_id = $1",
              [.uuid(PostgresUUID(id))], deadline: deadline)
            return try rows[0].decode("sessions")
          }
          let kept = try await count()
          try await parts.owner.query(
            scope: .none,
            "UPDATE sessions SET expires_at = now() - interval '1 hour' WHERE user_id = $1",
            [.uuid(PostgresUUID(id))], deadline: deadline)
          _ = try await sessions.purge(count: 1000, deadline: deadline)
          return (kept, try await count())
        }
        #expect(kept == SessionStore.sessionsPerUserMax)
        #expect(purged == 0)
      }
    }

    @Test func aUserIsCreatedOnce() async throws {
      try await withGateway { gateway in
        let name = try await gateway.addUser()
        let again = try await gateway.inside { parts in
          guard let username = Username(name) else { return true }
          return try await parts.users.create(
            username, displayName: "Another", tenant: nil, roles: [.admin], passwordHash: "x",
            deadline: .now() + .seconds(20))
        }
        #expect(!again)
        #expect(try gateway.login(name).status == 200)
      }
    }
  }
}

extension StoreCooldown.Verdict {
  fileprivate var isDenied: Bool {
    if case .denied = self { true } else { false }
  }
}
