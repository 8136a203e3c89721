import Contracts
import Postgres
import RPC
import RPCCore
import ServiceRuntime
import Testing

@testable import ConfigService

@Suite(.timeLimit(.minutes(2))) struct CredentialTests {
  private static let wanted: [ConfigV1.CredentialSpec] = [
    .init(name: "database-password"),
    .init(name: "admin-password", format: .alphanumeric, length: 24),
    .init(name: "salt", format: .hexadecimal, length: 64),
  ]

  private func ensure(
    _ peers: ConfigPeers, _ tenant: String, _ store: String = "store-1",
    _ credentials: [ConfigV1.CredentialSpec] = wanted
  ) async throws -> [ConfigV1.StoreCredential] {
    try await peers.secrets(as: "provisioner").ensureStoreCredentials(
      .init(tenant: tenant, store: store, credentials: credentials)
    ).credentials
  }

  @Test func areMadeOnceAndStay() async throws {
    try await withConfig { peers in
      let (tenant, _) = try await peers.newTenant()
      let made = try await ensure(peers, tenant)
      #expect(made.map(\.name) == ["database-password", "admin-password", "salt"])
      #expect(made.map(\.value.count) == [32, 24, 64])
      #expect(made[2].value.allSatisfy { $0.isHexDigit && !$0.isUppercase })
      #expect(Set(made.map(\.value)).count == 3)
      #expect(try await ensure(peers, tenant) == made)
      // Another form is asked for, and another credential: what is there stays.
      let more = try await ensure(
        peers, tenant, "store-1", [.init(name: "salt", length: 16), .init(name: "extra")])
      #expect(more[0] == made[2])
      #expect(more[1].value.count == 32)
      #expect(try await ensure(peers, tenant, "store-2") != made)
      let events = try await peers.events(of: tenant).filter { $0.store == "store-1" }
      #expect(events.map(\.action) == ["store_credentials.create", "store_credentials.create"])
      #expect(
        events[0].details == ["names": ["admin-password", "database-password", "salt"]])
      #expect(events[0].actor == .init(kind: .service, id: "spiffe://storeplane/provisioner"))
    }
  }

  @Test func callersAtOnceGetTheSame() async throws {
    try await withConfig { peers in
      let (tenant, _) = try await peers.newTenant()
      let results = await atOnce(8, on: peers.reactor) { _ in
        try await self.ensure(peers, tenant)
      }
      let values = try results.map { try $0.get() }
      #expect(values.allSatisfy { $0 == values[0] })
      let events = try await peers.events(of: tenant)
      #expect(events.count { $0.action == "store_credentials.create" } == 1)
    }
  }

  @Test func areDeletedWithTheStore() async throws {
    try await withConfig { peers in
      let (tenant, _) = try await peers.newTenant()
      let first = try await ensure(peers, tenant)
      let kept = try await ensure(peers, tenant, "store-2")
      let provisioner = try peers.secrets(as: "provisioner")
      for _ in 0..<2 {
        _ = try await provisioner.deleteStoreCredentials(.init(tenant: tenant, store: "store-1"))
      }
      let events = try await peers.events(of: tenant)
      #expect(events.count { $0.action == "store_credentials.delete" } == 1)
      #expect(try await ensure(peers, tenant) != first)
      #expect(try await ensure(peers, tenant, "store-2") == kept)
    }
  }

  @Test func aSwappedCredentialIsNoticed() async throws {
    try await withConfig { peers in
      let (tenant, _) = try await peers.newTenant()
      _ = try await ensure(peers, tenant)
      try await peers.sql(
        """
        UPDATE store_credentials c SET envelope = o.envelope FROM store_credentials o
        WHERE c.tenant = $1 AND o.tenant = $1 AND c.name = 'salt' AND o.name = 'admin-password'
        """, .text(tenant))
      let error = await refusal { try await ensure(peers, tenant) }
      #expect(error.code == .dataLoss)
      #expect(error.message.hasPrefix("credential 'salt' of store 'store-1' cannot be read"))
    }
  }

  @Test func badInputIsNamed() async throws {
    var limits = ConfigLimits()
    limits.credentialsPerStoreMax = 4
    try await withConfig(limits: limits) { peers in
      let (tenant, _) = try await peers.newTenant()
      let cases: [([ConfigV1.CredentialSpec], String)] = [
        ([], "credentials"),
        ([.init(name: "ok"), .init(name: "n/a")], "credentials[1].name"),
        ([.init(name: "ok", length: 8)], "credentials[0].length"),
        ([.init(name: "ok", format: .unrecognized(9))], "credentials[0].format"),
        ([.init(name: "ok"), .init(name: "ok")], "credentials[1].name"),
      ]
      for (specifications, field) in cases {
        let error = await refusal { try await ensure(peers, tenant, "s", specifications) }
        #expect(error.fieldViolations.map(\.field) == [field])
      }
      let store = await refusal { try await ensure(peers, tenant, "a b") }
      #expect(store.fieldViolations.map(\.field) == ["store"])
      let unknown = await refusal { try await ensure(peers, ConfigPeers.newTenantID()) }
      #expect(unknown.code == .notFound)
      _ = try await ensure(peers, tenant)
      let many = await refusal {
        try await ensure(peers, tenant, "store-1", [.init(name: "x"), .init(name: "y")])
      }
      #expect(many.errorInfo?.metadata == ["limit": "credentialsPerStoreMax"])
    }
  }
}
