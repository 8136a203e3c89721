import Contracts
import Cryptography
import Foundation
import Postgres
import RPC
import RPCCore
import Reactor
import ServiceRuntime
import TestKit
import Testing

@testable import ConfigService

/// The bytes of the platform that Storeplane grew from, in and out.
@Suite(.timeLimit(.minutes(2))) struct ExchangeTests {
  private struct Vector: Decodable {
    let key, plaintext, blob: String
  }

  /// Made by Node's `crypto`.
  private static func vectors() throws -> [Vector] {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("CryptographyTests/seed-vectors.json")
    return try JSONDecoder().decode([Vector].self, from: Data(contentsOf: file))
  }

  @Test func whatNodeSealedIsTakenInAndGivenOutAgain() async throws {
    let vectors = try Self.vectors()
    #expect(vectors.count >= 9)
    for vector in vectors {
      // Each vector has a platform key of its own.
      let key = try PlatformEncryptionKey(hexadecimal: vector.key)
      try await withConfig(key: key) { peers in
        let (tenant, _) = try await peers.newTenant()
        let exchange = try peers.secrets(as: "operator")
        let imported = try await exchange.importSecret(
          .init(tenant: tenant, name: "from-node", sealed: Hexadecimal.decode(vector.blob)))
        #expect(imported.version == 1)
        #expect(try await peers.access(tenant, "from-node") == vector.plaintext)
        let exported = try await exchange.exportSecret(.init(tenant: tenant, name: "from-node"))
        #expect(exported.sealed.count == vector.plaintext.utf8.count + SeedFormat.overhead)
        #expect(try SeedFormat.decrypt(exported.sealed, with: key).copyText() == vector.plaintext)
        let actions = try await peers.events(of: tenant).map(\.action)
        #expect(
          actions == ["tenant.create", "secret.import", "secret.access", "secret.export"])
      }
    }
  }

  @Test func whatIsNotSealedByThisKeyIsNotTaken() async throws {
    try await withConfig { peers in
      let (tenant, _) = try await peers.newTenant()
      let exchange = try peers.secrets(as: "operator")
      let value = SecretBytes(copying: "value".utf8)
      let sealed = try SeedFormat.encrypt(value, with: TestDatabase.key)
      var flipped = sealed
      flipped[40 - 5] ^= 1
      let cases = [
        flipped, [UInt8](sealed.prefix(31)), [],
        try SeedFormat.encrypt(value, with: .generate()),
        [UInt8](repeating: 0, count: ConfigLimits.secretBytesMax + SeedFormat.overhead + 1),
      ]
      for sealed in cases {
        let error = await refusal {
          try await exchange.importSecret(.init(tenant: tenant, name: "a", sealed: sealed))
        }
        #expect(error.code == .invalidArgument)
        #expect(error.fieldViolations.map(\.field) == ["sealed"])
      }
      let conflict = await refusal {
        try await exchange.importSecret(
          .init(tenant: tenant, name: "a", sealed: sealed, expectedVersion: 3))
      }
      #expect(conflict.code == .aborted)
      let absent = await refusal {
        try await exchange.exportSecret(.init(tenant: tenant, name: "a"))
      }
      #expect(absent.code == .notFound)
      #expect(try await peers.events(of: tenant).count == 1)
    }
  }
}
