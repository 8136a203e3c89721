import Contracts
import Cryptography
import Postgres
import RPC
import RPCCore
import ServiceRuntime
import Testing

@testable import ConfigService

/// What somebody could do who got at the database: nothing is decrypted, and the error says why.
@Suite(.timeLimit(.minutes(2))) struct TamperingTests {
  private func damage(
    _ peers: ConfigPeers, _ tenant: String, _ statement: String
  ) async throws -> RPCError {
    try await peers.sql(statement, .text(tenant))
    let error = await refusal { try await peers.access(tenant, "a") }
    #expect(error.message.hasPrefix("secret 'a' cannot be read: "))
    #expect(error.errorInfo?.reason == "SECRET_DAMAGED")
    return error
  }

  @Test(arguments: [0, 4, 8, 30, 61, 70, 75])
  func aFlippedBitIsNoticed(_ position: Int) async throws {
    try await withConfig { peers in
      let (tenant, member) = try await peers.newTenant()
      try await peers.set("a", "the value", member)
      let before = try await peers.events(of: tenant).count
      let error = try await damage(
        peers, tenant,
        """
        UPDATE secrets SET envelope =
          set_byte(envelope, \(position), get_byte(envelope, \(position)) # 1) WHERE tenant = $1
        """)
      #expect(error.code == .dataLoss)
      // Nothing was read, and so nothing is recorded.
      #expect(try await peers.events(of: tenant).count == before)
      #expect(peers.log.text.contains("a stored secret cannot be read"))
    }
  }

  @Test func aShortBlobIsNoticed() async throws {
    try await withConfig { peers in
      let (tenant, member) = try await peers.newTenant()
      try await peers.set("a", "the value", member)
      for length in [80, 20, 0] {
        let error = try await damage(
          peers, tenant,
          "UPDATE secrets SET envelope = substr(envelope, 1, \(length)) WHERE tenant = $1")
        #expect(
          error.message.contains("cut short") || error.message.contains("were changed or cut"))
      }
    }
  }

  @Test func swappedRowsAreNoticed() async throws {
    try await withConfig { peers in
      let (tenant, member) = try await peers.newTenant()
      try await peers.set("a", "value of a", member)
      try await peers.set("b", "value of b", member)
      let error = try await damage(
        peers, tenant,
        """
        UPDATE secrets SET envelope = other.envelope FROM secrets other
        WHERE secrets.tenant = $1 AND other.tenant = $1 AND secrets.name <> other.name
        """)
      #expect(error.message.contains("belong to another tenant, name or version"))
    }
  }

  @Test func anEarlierVersionPutBackIsNoticed() async throws {
    try await withConfig { peers in
      let (tenant, member) = try await peers.newTenant()
      try await peers.set("a", "one", member)
      try await peers.set("b", "keeps the old envelope", member)
      try await peers.sql(
        """
        UPDATE secrets SET envelope = old.envelope FROM secrets old
        WHERE secrets.tenant = $1 AND secrets.name = 'b' AND old.tenant = $1 AND old.name = 'a'
        """, .text(tenant))
      try await peers.set("a", "two", member)
      _ = try await damage(
        peers, tenant,
        """
        UPDATE secrets SET envelope = old.envelope FROM secrets old
        WHERE secrets.tenant = $1 AND secrets.name = 'a' AND old.tenant = $1 AND old.name = 'b'
        """)
    }
  }

  @Test func anotherTenantsRowIsNoticed() async throws {
    try await withConfig { peers in
      let (tenant, member) = try await peers.newTenant()
      let (other, stranger) = try await peers.newTenant()
      try await peers.set("a", "mine", member)
      try await peers.set("a", "theirs", stranger)
      try await peers.sql(
        """
        UPDATE secrets SET envelope = theirs.envelope FROM secrets theirs
        WHERE secrets.tenant = $1 AND theirs.tenant = $2
        """, .text(tenant), .text(other))
      let envelope = await refusal { try await peers.access(tenant, "a") }
      #expect(envelope.code == .dataLoss)
      #expect(envelope.message.contains("sealed with data key"))
      // Their data key does not help: it is bound to its tenant too.
      try await peers.sql(
        """
        UPDATE data_keys SET wrapped = theirs.wrapped FROM data_keys theirs
        WHERE data_keys.tenant = $1 AND theirs.tenant = $2
        """, .text(tenant), .text(other))
      let key = await refusal { try await peers.access(tenant, "a") }
      #expect(key.code == .dataLoss)
      #expect(key.message.hasPrefix("the data key of secret 'a' cannot be read"))
    }
  }

  @Test func anUnknownFormatIsNotGuessedAt() async throws {
    try await withConfig { peers in
      let (tenant, member) = try await peers.newTenant()
      try await peers.set("a", "the value", member)
      let error = try await damage(
        peers, tenant, "UPDATE secrets SET format = 2 WHERE tenant = $1")
      #expect(error.message.contains("sealed in format 2, which is not known"))
    }
  }

  @Test func anotherPlatformKeyIsRefusedAtTheStart() async throws {
    try await withConfig { peers in
      try await peers.service.checkKey(deadline: .soon)
      // A second replica, or a restart.
      try await peers.service.checkKey(deadline: .soon)
      let other = try ConfigService(
        database: peers.application, worker: peers.worker, key: .generate(), logger: quiet,
        now: { 0 })
      let error = await failure(StartError.self) { try await other.checkKey(deadline: .soon) }
      let text = try #require(error?.description)
      #expect(
        text.contains("PLATFORM_ENCRYPTION_KEY is not the key that this database was written"))
      #expect(text.contains("nothing has been changed"))
    }
  }

  @Test func aDataKeyOfAnotherPlatformKeyIsNamed() async throws {
    try await withConfig { peers in
      let (tenant, member) = try await peers.newTenant()
      try await peers.set("a", "the value", member)
      let foreign = KeyEncryptionKey(version: 1, key: .generate()).generateDataKey(tenant: tenant)
      try await peers.sql(
        "UPDATE data_keys SET wrapped = $2 WHERE tenant = $1", .text(tenant),
        .bytea(foreign.wrapped.bytes))
      let read = await refusal { try await peers.access(tenant, "a") }
      #expect(read.code == .failedPrecondition)
      #expect(read.errorInfo?.reason == "KEY_MISSING")
      // Nor is anything sealed with it.
      let write = await refusal { try await peers.set("b", "x", member) }
      #expect(write.errorInfo?.reason == "KEY_MISSING")
    }
  }

  @Test func theRolesSeeNoMoreThanTheyMust() async throws {
    try await withConfig { peers in
      let (tenant, member) = try await peers.newTenant()
      let (other, _) = try await peers.newTenant()
      try await peers.set("a", "x", member)
      for table in ["tenants", "settings", "data_keys", "secrets", "store_credentials"] {
        let rows = try await peers.application.query(
          scope: .tenant(other),
          "SELECT * FROM \(table) WHERE '\(tenant)' IN (\(table).\(table == "tenants" ? "id" : "tenant"))",
          deadline: .soon)
        #expect(rows.isEmpty)
        let none = try await peers.application.query(
          scope: .none, "SELECT * FROM \(table)", deadline: .soon)
        #expect(none.isEmpty)
        let worker = await failure(PostgresError.self) {
          try await peers.worker.query(
            scope: .worker, "SELECT * FROM \(table)", deadline: .soon)
        }
        #expect(worker?.sqlState == .insufficientPrivilege)
      }
      let outbox = await failure(PostgresError.self) {
        try await peers.application.query(
          scope: .tenant(tenant), "SELECT * FROM outbox", deadline: .soon)
      }
      #expect(outbox?.sqlState == .insufficientPrivilege)
      let list = await failure(PostgresError.self) {
        try await peers.application.query(
          scope: .tenant(tenant), "SELECT * FROM list_tenants('', 10)", deadline: .soon)
      }
      #expect(list?.sqlState == .insufficientPrivilege)
    }
  }
}
