import Synchronization
import Testing

@testable import Cryptography

@Suite struct SecretBytesTests {
  @Test func areWipedBeforeTheirMemoryIsGivenBack() {
    final class Seen: Sendable { let bytes = Mutex<[UInt8]>([]) }
    let seen = Seen()
    let storage = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 16)
    storage.initializeMemory(as: UInt8.self, repeating: 0x5a)
    var secret: SecretBytes? = SecretBytes(adopting: storage) { storage in
      seen.bytes.withLock { $0 = [UInt8](storage) }
      storage.deallocate()
    }
    #expect(secret?.copyBytes() == [UInt8](repeating: 0x5a, count: 64))
    secret = nil
    #expect(seen.bytes.withLock { $0 } == [UInt8](repeating: 0, count: 64))
  }

  @Test func neverPrintThemselves() throws {
    let value = secret("hunter2-hunter2")
    var dumped = ""
    dump(value, to: &dumped)
    let holder = try platformKey("cafe")
    dump(holder, to: &dumped)
    let (key, _) = KeyEncryptionKey(version: 1, key: holder).generateDataKey(tenant: "t")
    for text in ["\(value)", String(reflecting: value), dumped, "\(holder)", "\(key)"] {
      #expect(!text.contains("hunter2") && !text.contains("cafe") && !text.contains("104"))
    }
    #expect("\(value)" == "<15 secret bytes>")
  }

  @Test func compareByContent() {
    #expect(secret("same") == secret("same"))
    #expect(secret("same") != secret("sama"))
    #expect(secret("same") != secret("same "))
    #expect(secret("") == SecretBytes(count: 0) { _ in })
    #expect(secret("text").copyText() == "text")
    #expect(SecretBytes(copying: [0xff]).copyText() == nil)
  }
}

@Suite struct RandomAndComparisonTests {
  @Test func randomBytesDiffer() {
    let drawn = Set((0..<100).map { _ in SecureRandom.bytes(16) })
    #expect(drawn.count == 100)
    #expect(SecureRandom.secretBytes(32) != SecureRandom.secretBytes(32))
    #expect(SecureRandom.bytes(0).isEmpty)
  }

  @Test func constantTimeEqualityIsEquality() {
    #expect(ConstantTime.equal([], []))
    #expect(ConstantTime.equal([1, 2, 3], [1, 2, 3]))
    #expect(!ConstantTime.equal([1, 2, 3], [1, 2]))
    for position in 0..<32 {
      var other = [UInt8](repeating: 7, count: 32)
      other[position] ^= 1
      #expect(!ConstantTime.equal([UInt8](repeating: 7, count: 32), other))
    }
  }

  @Test func identifiersAreVersion4() {
    let text = DataKeyIdentifier.generate().description
    let parts = text.split(separator: "-").map(\.count)
    #expect(parts == [8, 4, 4, 4, 12])
    #expect(text.dropFirst(14).first == "4")
    #expect(DataKeyIdentifier(bytes: [1]) == nil)
  }
}

@Suite struct HexadecimalTests {
  @Test func goesBothWays() throws {
    let all = [UInt8](0...255)
    #expect(try Hexadecimal.decode(Hexadecimal.encode(all)) == all)
    #expect(try Hexadecimal.decode("DeadBEEF") == [0xde, 0xad, 0xbe, 0xef])
    #expect(try Hexadecimal.decode("") == [])
    #expect(try Hexadecimal.decodeSecret("00ff").copyBytes() == [0, 255])
  }

  @Test(arguments: ["0", "abc"])
  func refusesHalfBytes(_ text: String) {
    #expect(throws: HexadecimalError.oddLength(text.utf8.count)) { try Hexadecimal.decode(text) }
  }

  @Test(arguments: ["0g", " 00", "0x00", "00\n", "٠٠", "00:11"])
  func refusesOtherCharacters(_ text: String) {
    #expect(complaint { try Hexadecimal.decode(text) }?.contains("not a hexadecimal digit") == true)
  }
}

@Suite struct Base64Tests {
  /// RFC 4648, section 10, without the padding.
  @Test(arguments: [
    ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"),
    ("fooba", "Zm9vYmE"), ("foobar", "Zm9vYmFy"),
  ])
  func encodesTheStandardsExamples(_ plain: String, _ encoded: String) throws {
    for alphabet in [Base64.url, .standard] {
      #expect(alphabet.encode([UInt8](plain.utf8)) == encoded)
      #expect(try alphabet.decode(encoded) == [UInt8](plain.utf8))
    }
  }

  @Test func goesBothWaysAtEveryLength() throws {
    for length in 0..<100 {
      let bytes = SecureRandom.bytes(length)
      for alphabet in [Base64.url, .standard] {
        #expect(try alphabet.decode(alphabet.encode(bytes)) == bytes)
      }
    }
  }

  @Test func alphabetsDoNotMix() {
    #expect(Base64.url.encode([0xfb, 0xff]) == "-_8")
    #expect(Base64.standard.encode([0xfb, 0xff]) == "+/8")
    #expect(throws: Base64Error.invalidCharacter(offset: 0)) { try Base64.url.decode("+/8") }
    #expect(throws: Base64Error.invalidCharacter(offset: 0)) { try Base64.standard.decode("-_8") }
  }

  @Test func takesOneSpellingOnly() {
    #expect(throws: Base64Error.invalidCharacter(offset: 2)) { try Base64.url.decode("Zg==") }
    #expect(throws: Base64Error.notCanonical) { try Base64.url.decode("Zh") }
    #expect(throws: Base64Error.notCanonical) { try Base64.url.decode("Zm9") }
    #expect(throws: Base64Error.impossibleLength(5)) { try Base64.url.decode("Zm9vY") }
    #expect(throws: Base64Error.invalidCharacter(offset: 1)) { try Base64.url.decode("Z g") }
  }
}
