import Contracts
import Postgres
import RPC
import RPCCore
import ServiceRuntime
import Testing

@testable import ConfigService

@Suite(.timeLimit(.minutes(2))) struct SecretTests {
  @Test func isSetListedReadAndDeleted() async throws {
    try await withConfig { peers in
      let (tenant, member) = try await peers.newTenant()
      let first = try await peers.set("smtp.password", "one", member)
      #expect(first.version == 1)
      let second = try await peers.set("smtp.password", "Zürich 🛒", member)
      #expect(second.version == 2)
      #expect(second.createTime == first.createTime)
      try await peers.set("api-key", "", member)
      let listed = try await peers.secrets().listSecrets(.init(), options: member)
      #expect(listed.secrets.map(\.name) == ["api-key", "smtp.password"])
      #expect(try await peers.access(tenant, "smtp.password") == "Zürich 🛒")
      #expect(try await peers.access(tenant, "api-key").isEmpty)
      _ = try await peers.secrets().deleteSecret(.init(name: "smtp.password"), options: member)
      let gone = await refusal { try await peers.access(tenant, "smtp.password") }
      #expect(gone.code == .notFound)
      let actions = try await peers.events(of: tenant).map(\.action)
      #expect(
        actions == [
          "tenant.create", "secret.set", "secret.set", "secret.set", "secret.access",
          "secret.access", "secret.delete",
        ])
    }
  }

  @Test func thePlatformsSecretsAreTheProvisionersAlone() async throws {
    try await withConfig { peers in
      let (tenant, member) = try await peers.newTenant()
      let name = "cluster.\(tenant)"
      let provisioner = try peers.secrets(as: "provisioner")
      _ = try await provisioner.setSecret(.init(name: name, payload: .value("kubeconfig")))
      let read = try await provisioner.accessSecret(.init(tenant: PlatformTenant.id, name: name))
      #expect(read.data == Array("kubeconfig".utf8))
      // A tenant has no such secret, whatever it says, and nobody can be made one of the platform.
      #expect(try await peers.secrets().listSecrets(.init(), options: member).secrets.isEmpty)
      let taken = await refusal {
        try await peers.secrets().deleteSecret(.init(name: name), options: member)
      }
      #expect(taken.code == .notFound)
      let asPlatform = await refusal {
        try await peers.set(name, "x", try peers.user(of: PlatformTenant.id))
      }
      #expect(asPlatform.code == .unauthenticated)
      let exported = await refusal {
        try await peers.secrets(as: "operator").exportSecret(
          .init(tenant: PlatformTenant.id, name: name))
      }
      #expect(exported.fieldViolations.map(\.field) == ["tenant"])
      let page = try await provisioner.listSecrets(.init(pageSize: 500))
      #expect(page.secrets.map(\.name).contains(name))
      _ = try await provisioner.deleteSecret(.init(name: name))
      let gone = await refusal {
        try await provisioner.accessSecret(.init(tenant: PlatformTenant.id, name: name))
      }
      #expect(gone.code == .notFound)
      let listed = try await peers.tenants().listTenants(
        .init(pageSize: 500), options: peers.administrator())
      #expect(!listed.tenants.isEmpty && !listed.tenants.contains { $0.id == PlatformTenant.id })
      let actions = try await peers.events(of: PlatformTenant.id)
        .filter { $0.details?.fields["name"]?.string == name }.map(\.action)
      #expect(actions == ["secret.set", "secret.access", "secret.delete"])
    }
  }

  @Test func takesAnyBytes() async throws {
    try await withConfig { peers in
      let (tenant, member) = try await peers.newTenant()
      let bytes = (0..<ConfigLimits.secretBytesMax).map { UInt8(truncatingIfNeeded: $0) }
      _ = try await peers.secrets().setSecret(
        .init(name: "key", payload: .data(bytes)), options: member)
      let read = try await peers.secrets(as: "provisioner").accessSecret(
        .init(tenant: tenant, name: "key"))
      #expect(read.data == bytes)
      let long = await refusal {
        try await peers.secrets().setSecret(
          .init(name: "key", payload: .data(bytes + [0])), options: member)
      }
      #expect(long.fieldViolations.map(\.field) == ["data"])
    }
  }

  @Test func checkAndSet() async throws {
    try await withConfig { peers in
      let (tenant, member) = try await peers.newTenant()
      let absent = await refusal { try await peers.set("a", "x", expecting: 1, member) }
      #expect(absent.code == .aborted)
      #expect(absent.errorInfo?.metadata == ["current_version": "0"])
      try await peers.set("a", "one", expecting: 0, member)
      let there = await refusal { try await peers.set("a", "x", expecting: 0, member) }
      #expect(there.code == .aborted)
      #expect(there.errorInfo?.reason == "VERSION_MISMATCH")
      try await peers.set("a", "two", expecting: 1, member)
      let stale = await refusal {
        try await peers.secrets().deleteSecret(
          .init(name: "a", expectedVersion: 1), options: member)
      }
      #expect(stale.code == .aborted)
      #expect(try await peers.access(tenant, "a") == "two")
      _ = try await peers.secrets().deleteSecret(
        .init(name: "a", expectedVersion: 2), options: member)
    }
  }

  @Test func ofWritersAtOnceOneWins() async throws {
    try await withConfig { peers in
      let (tenant, member) = try await peers.newTenant()
      // The tenant's first secrets: its data key is made in the race too.
      let results = await atOnce(6, on: peers.reactor) { number in
        try await peers.set("a", "value \(number)", expecting: 0, member)
      }
      #expect(results.count { (try? $0.get()) != nil } == 1)
      for case .failure(let error) in results {
        #expect((error as? RPCError)?.code == .aborted)
      }
      let versions = await atOnce(6, on: peers.reactor) { number in
        try await peers.set("a", "again \(number)", member).version
      }
      #expect(versions.compactMap { try? $0.get() }.sorted() == [2, 3, 4, 5, 6, 7])
      #expect(try await peers.access(tenant, "a").hasPrefix("again"))
      let keys = try await peers.sql(
        "SELECT count(*) AS count FROM data_keys WHERE tenant = $1", .text(tenant))
      #expect(try keys[0].decode("count", as: Int.self) == 1)
    }
  }

  @Test func pagesFollowEachOther() async throws {
    try await withConfig { peers in
      let (_, member) = try await peers.newTenant()
      for name in ["b", "a", "C", "d", "e"] { try await peers.set(name, "x", member) }
      var (names, token): ([String], String) = ([], "")
      repeat {
        let page = try await peers.secrets().listSecrets(
          .init(pageSize: 2, pageToken: token), options: member)
        names += page.secrets.map(\.name)
        token = page.nextPageToken
      } while !token.isEmpty && names.count < 10
      #expect(names == ["C", "a", "b", "d", "e"])
      let first = try await peers.secrets().listSecrets(.init(pageSize: 2), options: member)
      let (_, other) = try await peers.newTenant()
      let error = await refusal {
        try await peers.secrets().listSecrets(
          .init(pageToken: first.nextPageToken), options: other)
      }
      #expect(error.fieldViolations.map(\.field) == ["page_token"])
    }
  }

  @Test func anotherTenantsSecretIsTheSameAsNone() async throws {
    try await withConfig { peers in
      let (_, one) = try await peers.newTenant()
      let (other, two) = try await peers.newTenant()
      let delete = {
        await refusal {
          try await peers.secrets().deleteSecret(.init(name: "there"), options: one)
        }
      }
      let absent = await delete()
      #expect(absent.code == .notFound)
      try await peers.set("there", "x", two)
      #expect(await delete() == absent)
      #expect(try await peers.access(other, "there") == "x")
      #expect(try await peers.secrets().listSecrets(.init(), options: one).secrets.isEmpty)
    }
  }

  @Test func badInputIsNamed() async throws {
    try await withConfig { peers in
      let (_, member) = try await peers.newTenant()
      let name = await refusal { try await peers.set("a/b", "x", member) }
      #expect(name.fieldViolations.map(\.field) == ["name"])
      let none = await refusal {
        try await peers.secrets().setSecret(.init(name: "a"), options: member)
      }
      #expect(none.fieldViolations.map(\.field) == ["value"])
      let long = await refusal {
        try await peers.set("a", String(repeating: "x", count: 65_537), member)
      }
      #expect(long.fieldViolations.map(\.field) == ["value"])
      #expect(long.message.contains("65537 bytes"))
      let version = await refusal { try await peers.set("a", "x", expecting: -1, member) }
      #expect(version.fieldViolations.map(\.field) == ["expected_version"])
    }
  }

  @Test func theNumberOfSecretsIsBounded() async throws {
    var limits = ConfigLimits()
    limits.secretsPerTenantMax = 2
    try await withConfig(limits: limits) { peers in
      let (_, member) = try await peers.newTenant()
      try await peers.set("a", "x", member)
      try await peers.set("b", "x", member)
      let error = await refusal { try await peers.set("c", "x", member) }
      #expect(error.code == .resourceExhausted)
      #expect(error.errorInfo?.metadata == ["limit": "secretsPerTenantMax"])
      try await peers.set("a", "y", member)
    }
  }

  @Test func onlyEntitledServicesReadValues() async throws {
    try await withConfig { peers in
      let (tenant, member) = try await peers.newTenant()
      try await peers.set("a", "x", member)
      for identity in ["gateway", "audit", "operator"] {
        let secrets = try peers.secrets(as: identity)
        let refusals = [
          await refusal { try await secrets.accessSecret(.init(tenant: tenant, name: "a")) },
          await refusal {
            try await secrets.ensureStoreCredentials(.init(tenant: tenant, store: "s"))
          },
          await refusal {
            try await secrets.deleteStoreCredentials(.init(tenant: tenant, store: "s"))
          },
        ]
        #expect(refusals.allSatisfy { $0.code == .permissionDenied })
      }
      for identity in ["gateway", "audit", "provisioner"] {
        let secrets = try peers.secrets(as: identity)
        let refusals = [
          await refusal { try await secrets.exportSecret(.init(tenant: tenant, name: "a")) },
          await refusal { try await secrets.importSecret(.init(tenant: tenant, name: "a")) },
        ]
        #expect(refusals.allSatisfy { $0.code == .permissionDenied })
      }
      // Public methods are the gateway's alone: a caller token is of no use to another service.
      let stolen = await refusal {
        try await peers.secrets(as: "audit").listSecrets(.init(), options: member)
      }
      #expect(stolen.code == .permissionDenied)
    }
  }

  @Test func noPlaintextIsLeftAnywhere() async throws {
    try await withConfig { peers in
      let (tenant, member) = try await peers.newTenant()
      let value = "hunter2-\(UInt64.random(in: 0 ... .max))"
      try await peers.set("a", value, member)
      _ = try await peers.access(tenant, "a")
      _ = await refusal { try await peers.set("a", value, expecting: 9, member) }
      _ = await refusal { try await peers.set("a b", value, member) }
      let credentials = try await peers.secrets(as: "provisioner").ensureStoreCredentials(
        .init(tenant: tenant, store: "s1", credentials: [.init(name: "password")]))
      let generated = try #require(credentials.credentials.first?.value)
      try await peers.sql("UPDATE secrets SET format = 7 WHERE tenant = $1", .text(tenant))
      let damaged = await refusal { try await peers.access(tenant, "a") }
      let places = [
        "the outbox": try await peers.sql(
          "SELECT encode(payload, 'escape') AS text FROM outbox WHERE tenant = $1",
          .text(tenant)
        ).map { try $0.decode("text", as: String.self) }.joined(),
        "the tables": try await peers.sql(
          """
          SELECT encode(envelope, 'escape') AS text FROM secrets WHERE tenant = $1
          UNION ALL SELECT encode(envelope, 'escape') FROM store_credentials WHERE tenant = $1
          """, .text(tenant)
        ).map { try $0.decode("text", as: String.self) }.joined(),
        "the log": peers.log.text,
        "an error": "\(damaged) \(String(describing: damaged.status))",
      ]
      for (place, text) in places {
        #expect(!text.isEmpty, "\(place)")
        #expect(!text.contains(value), "\(place)")
        #expect(!text.contains(generated), "\(place)")
      }
    }
  }
}
