import Foundation
import Testing

@testable import Cryptography

@Suite struct SeedFormatTests {
  struct Vector: Decodable {
    let key, plaintext, blob: String
  }

  private static func vectors() throws -> [Vector] {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("seed-vectors.json")
    return try JSONDecoder().decode([Vector].self, from: Data(contentsOf: file))
  }

  @Test func decryptsNodesVectors() throws {
    let vectors = try Self.vectors()
    #expect(vectors.count >= 9)
    for vector in vectors {
      let key = try PlatformEncryptionKey(hexadecimal: vector.key)
      let plaintext = try SeedFormat.decrypt(bytes(vector.blob), with: key)
      #expect(plaintext.copyText() == vector.plaintext)
    }
  }

  @Test(arguments: ["", "x", "Zürich, 東京, 🛒", String(repeating: "long ", count: 1000)])
  func agreesWithNode(_ plaintext: String) throws {
    let key = PlatformEncryptionKey.generate()
    let digits = key.copyHexadecimal()
    let ours = try SeedFormat.encrypt(secret(plaintext), with: key)
    let read: String = try NodePeer.ask(
      "seedDecrypt", ["key": digits, "blob": Hexadecimal.encode(ours)])
    #expect(read == plaintext)
    let theirs: String = try NodePeer.ask("seedEncrypt", ["key": digits, "plaintext": plaintext])
    #expect(try SeedFormat.decrypt(bytes(theirs), with: key).copyText() == plaintext)
  }

  @Test func nodeRefusesWhatWeRefuse() throws {
    let key = PlatformEncryptionKey.generate()
    var blob = try SeedFormat.encrypt(secret("value"), with: key)
    blob[20] ^= 1
    #expect(throws: SecretError.authenticationFailed) { try SeedFormat.decrypt(blob, with: key) }
    #expect(throws: NodePeer.Failure.self) {
      let request = ["key": key.copyHexadecimal(), "blob": Hexadecimal.encode(blob)]
      return try NodePeer.ask("seedDecrypt", request, as: String.self)
    }
  }

  @Test func noticesEveryFlippedByteAndTruncation() throws {
    let key = PlatformEncryptionKey.generate()
    let blob = try SeedFormat.encrypt(secret("value"), with: key)
    #expect(blob.count == 5 + SeedFormat.overhead)
    for position in blob.indices {
      var changed = blob
      changed[position] ^= 1
      #expect(throws: SecretError.authenticationFailed) {
        try SeedFormat.decrypt(changed, with: key)
      }
      let short = [UInt8](blob.prefix(position))
      let expected: SecretError =
        position < SeedFormat.overhead
        ? .truncated(length: position, minimum: SeedFormat.overhead) : .authenticationFailed
      #expect(throws: expected) { try SeedFormat.decrypt(short, with: key) }
    }
    #expect(throws: SecretError.authenticationFailed) {
      try SeedFormat.decrypt(blob, with: .generate())
    }
  }

  @Test func limitsLengths() throws {
    let key = PlatformEncryptionKey.generate()
    let maximum = SeedFormat.plaintextLengthMax
    let long = SecretBytes(count: maximum + 1) { _ in }
    #expect(throws: SecretError.tooLong(length: maximum + 1, maximum: maximum)) {
      try SeedFormat.encrypt(long, with: key)
    }
    let blob = [UInt8](repeating: 0, count: maximum + SeedFormat.overhead + 1)
    #expect(
      throws: SecretError.tooLong(length: blob.count, maximum: maximum + SeedFormat.overhead)
    ) { try SeedFormat.decrypt(blob, with: key) }
  }
}
