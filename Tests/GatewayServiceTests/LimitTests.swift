import GatewayService
import JSON
import Postgres
import Reactor
import Resilience
import TestKit
import Testing

extension GatewayTests {
  @Suite struct Limits {
    private static func limited(
      principal: Int64 = 1000, per period: Duration = .seconds(60), address: Int64 = 100_000,
      cooldown: Duration = .zero
    ) -> TestGateway.Options {
      var options = TestGateway.Options()
      // Names of the test's own: the buckets in the database are nobody else's.
      let name = UInt32.random(in: 0 ... .max)
      options.limits.principal = RateLimitPolicy(
        "principal-\(name)", limit: principal, per: period)
      options.limits.address = RateLimitPolicy("address-\(name)", limit: address, per: .seconds(60))
      options.limits.settleInterval = .seconds(3600)
      options.cooldown = cooldown
      return options
    }

    @Test func aUserRunsIntoItsLimitAndLearnsWhenToComeBack() async throws {
      let options = Self.limited(principal: 3)
      try await withGateway(options) { gateway in
        let token = try gateway.token()
        let name = options.limits.principal.name
        for left in [2, 1, 0] {
          let reply = try gateway.call("GET", "/v1/stores/x", token: token)
          #expect(reply.status == 200)
          #expect(reply.fields["ratelimit-policy"] == "\"\(name)\";q=3;w=60")
          #expect(reply.fields["ratelimit"] == "\"\(name)\";r=\(left);t=\((3 - left) * 20)")
        }
        let refused = try gateway.call("GET", "/v1/stores/x", token: token)
        #expect(refused.status == 429)
        #expect(refused.fields["retry-after"] == "20")
        #expect(refused.fields["ratelimit"] == "\"\(name)\";r=0;t=20")
        #expect(
          refused["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded")
        #expect(refused["reason"] == "RATE_LIMITED")
        // Others are not held up.
        #expect(try gateway.call("GET", "/v1/stores/x", token: gateway.token()).status == 200)
        gateway.clock.advance(by: .seconds(20))
        #expect(try gateway.call("GET", "/v1/stores/x", token: token).status == 200)
      }
    }

    @Test func anAddressIsLimitedWhoeverAsks() async throws {
      try await withGateway(Self.limited(address: 2)) { gateway in
        #expect(try gateway.call("GET", "/nowhere").status == 404)
        #expect(try gateway.call("GET", "/v1/me", token: "bad").status == 401)
        let reply = try gateway.call("GET", "/v1/stores/x", token: gateway.token())
        #expect(reply.status == 429)
        #expect(reply.json?.object?["metadata"]?.object?["policy"] != nil)
      }
    }

    @Test func replicasShareABucketOnceTheyHaveSettled() async throws {
      // Nothing comes back while it runs: what is in the database does so by the database's clock.
      let options = Self.limited(principal: 4, per: .seconds(6_000))
      let (one, other) = (try await TestGateway(options), try await TestGateway(options))
      let token = try one.token(subject: "shared")
      func status(_ gateway: TestGateway) throws -> Int {
        try gateway.call("GET", "/v1/stores/x", token: token).status
      }
      for _ in 0..<3 { #expect(try status(one) == 200) }
      try await one.inside { parts in await parts.gateway.settleRateLimits() }
      // Before it has settled, the other has a whole bucket; afterwards it knows what is left.
      #expect(try status(other) == 200)
      try await other.inside { parts in await parts.gateway.settleRateLimits() }
      #expect(try status(other) == 429)
      #expect(try status(one) == 200)
      try await one.inside { parts in await parts.gateway.settleRateLimits() }
      #expect(try status(one) == 429)
      try await one.stop()
      try await other.stop()
    }

    // MARK: The cooldown

    private func create(
      _ gateway: TestGateway, _ token: String, _ members: String = #""name": "shop""#
    ) throws -> HTTPReply {
      try gateway.call(
        "POST", "/v1/stores", token: token,
        body: #"{\#(members), "engine": "ENGINE_WOOCOMMERCE"}"#)
    }

    @Test func theCooldownHoldsForAllReplicas() async throws {
      let options = Self.limited(cooldown: .seconds(100))
      let (one, other) = (try await TestGateway(options), try await TestGateway(options))
      let token = try one.token(tenant: newTenant())
      #expect(try create(one, token).status == 200)
      for gateway in [one, other] {
        let refused = try create(gateway, token)
        #expect(refused.status == 429)
        #expect(refused["reason"] == "STORE_CREATION_COOLDOWN")
        let wait = try #require(Int(refused.fields["retry-after"] ?? ""))
        #expect((60...100).contains(wait))
      }
      #expect(try create(other, other.token(tenant: newTenant())).status == 200)
      try await one.stop()
      try await other.stop()
    }

    @Test func manyCreationsAtOnceAreOne() async throws {
      let options = Self.limited(cooldown: .seconds(100))
      let (one, other) = (try await TestGateway(options), try await TestGateway(options))
      let statuses = try statusesOfCreations(
        10, of: one.token(tenant: newTenant()), by: [one, other])
      #expect(statuses.count { $0 == 200 } == 1)
      #expect(statuses.count { $0 == 429 } == 9)
      let byOne = try await one.inside { parts in parts.provisioner.created.count }
      let byOther = try await other.inside { parts in parts.provisioner.created.count }
      #expect(byOne + byOther == 1)
      try await one.stop()
      try await other.stop()
    }

    /// Of as many creations, asked of the gateways in turn before any is answered.
    private func statusesOfCreations(
      _ count: Int, of token: String, by gateways: [TestGateway]
    ) throws -> [Int] {
      let body = #"{"name": "shop", "engine": "ENGINE_WOOCOMMERCE"}"#
      let probes = try (0..<count).map {
        try RawClient(port: gateways[$0 % gateways.count].port)
      }
      for probe in probes {
        try probe.send(
          RawClient.request("POST", "/v1/stores", token: token, body: body, closes: true))
      }
      return try probes.map { HTTPReply(try $0.readToEnd()).status }
    }

    @Test func aRefusedCreationDoesNotCount() async throws {
      try await withGateway(Self.limited(cooldown: .seconds(100))) { gateway in
        let token = try gateway.token(tenant: newTenant())
        #expect(try create(gateway, token, #""name": "taken""#).status == 409)
        let refused = try create(
          gateway, token, #""name": "a", "parameters": {"adminEmail": "nobody"}"#)
        #expect(refused.status == 400)
        #expect(refused.wrongFields == ["parameters.adminEmail"])
        #expect(try create(gateway, token, #""nam": "a""#).status == 400)
        #expect(
          try create(gateway, token, #""name": "only-checked", "validateOnly": true"#).status == 200
        )
        #expect(try create(gateway, token).status == 200)
        #expect(try create(gateway, token).status == 429)
      }
    }

    @Test func theSameCreationAgainIsNoSecondOne() async throws {
      try await withGateway(Self.limited(cooldown: .seconds(100))) { gateway in
        let token = try gateway.token(tenant: newTenant())
        let same = #""name": "shop", "requestId": "7e3f5c2e-55a1-4f6a-8c0e-0d0f5b6f1a11""#
        #expect(try create(gateway, token, same).status == 200)
        #expect(try create(gateway, token, same).status == 200)
        #expect(try create(gateway, token).status == 429)
      }
    }

    @Test func oneRequestIDIsNotForManyStores() async throws {
      try await withGateway(Self.limited(cooldown: .seconds(100))) { gateway in
        let token = try gateway.token(tenant: newTenant())
        let id = #""requestId": "7e3f5c2e-55a1-4f6a-8c0e-0d0f5b6f1a11""#
        #expect(try create(gateway, token, #""name": "one", \#(id)"#).status == 200)
        #expect(try create(gateway, token, #""name": "two", \#(id)"#).status == 429)
      }
    }

    @Test func aCreationThatMayHaveHappenedCounts() async throws {
      try await withGateway(Self.limited(cooldown: .seconds(100))) { gateway in
        let token = try gateway.token(tenant: newTenant())
        let lost = try create(gateway, token, #""name": "lost""#)
        #expect(lost.status == 503)
        #expect(lost["reason"] == "OUTCOME_UNKNOWN")
        #expect(try create(gateway, token).status == 429)
      }
    }

    @Test func aCreationWhoseConnectionIsLostCounts() async throws {
      try await withGateway(Self.limited(cooldown: .seconds(100))) { gateway in
        let token = try gateway.token(tenant: newTenant())
        let probe = try RawClient(port: gateway.port)
        try probe.send(
          RawClient.request(
            "POST", "/v1/stores", token: token, body: #"{"name": "endless"}"#, closes: true))
        try await gateway.eventually { $0.provisioner.sightings.callers.count == 1 }
        try await gateway.inside { await $0.loseServices() }
        let lost = HTTPReply(try probe.readToEnd())
        #expect(lost.status == 503)
        #expect(lost["reason"] == "OUTCOME_UNKNOWN")
        #expect(try create(gateway, token).status == 429)
      }
    }

    @Test func aCreationThatNobodyCouldBeAskedForDoesNotCount() async throws {
      var options = Self.limited(cooldown: .seconds(100))
      options.isCutOff = true
      try await withGateway(options) { gateway in
        let token = try gateway.token(tenant: newTenant())
        for _ in 0..<2 { #expect(try create(gateway, token).status == 503) }
      }
    }

    @Test func afterTheCooldownTheNextStoreMayCome() async throws {
      try await withGateway(Self.limited(cooldown: .seconds(100))) { gateway in
        let tenant = newTenant()
        let token = try gateway.token(tenant: tenant)
        #expect(try create(gateway, token).status == 200)
        try await gateway.inside { parts in
          _ = try await parts.owner.query(
            scope: .none,
            "UPDATE store_cooldowns SET until = clock_timestamp() WHERE tenant = $1",
            [.text(tenant)], deadline: .now() + .seconds(20))
        }
        #expect(try create(gateway, token).status == 200)
      }
    }
  }
}
