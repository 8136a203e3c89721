import Testing

@testable import Cryptography

@Suite struct PasswordHashTests {
  /// Cheap parameters, for tests that are not about the cost.
  static let quick = PasswordHashParameters(costExponent: 4, blockSize: 1, parallelism: 1)

  /// RFC 7914, section 12.
  @Test func derivesTheStandardsVectors() throws {
    let first = PasswordHash.derive(
      "password", salt: [UInt8]("NaCl".utf8),
      parameters: .init(costExponent: 10, blockSize: 8, parallelism: 16), length: 64)
    #expect(
      Hexadecimal.encode(first)
        == "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
        + "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640")
    let second = PasswordHash.derive(
      "pleaseletmein", salt: [UInt8]("SodiumChloride".utf8),
      parameters: .init(costExponent: 14, blockSize: 8, parallelism: 1), length: 64)
    #expect(
      Hexadecimal.encode(second)
        == "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        + "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887")
    let empty = PasswordHash.derive(
      "", salt: [], parameters: .init(costExponent: 4, blockSize: 1, parallelism: 1), length: 64)
    #expect(
      Hexadecimal.encode(empty)
        == "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
        + "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906")
  }

  @Test func verifiesWhatItHashed() throws {
    let stored = try PasswordHash.hash("correct horse battery staple")
    #expect(stored.hasPrefix("$scrypt$ln=15,r=8,p=1$"))
    #expect(try PasswordHash.verify("correct horse battery staple", against: stored))
    #expect(try !PasswordHash.verify("correct horse battery stapl", against: stored))
    #expect(try !PasswordHash.needsRehash(stored))
  }

  @Test func agreesWithNode() throws {
    let stored = try PasswordHash.hash("Zürich 東京")
    let fields = stored.split(separator: "$").map(String.init)
    let theirs: String = try NodePeer.ask(
      "scrypt", ["password": "Zürich 東京", "salt": fields[2]])
    #expect(theirs == fields[3])
  }

  @Test func saltsDiffer() throws {
    let hashes = try (0..<10).map { _ in try PasswordHash.hash("same", parameters: Self.quick) }
    #expect(Set(hashes).count == 10)
    for hash in hashes {
      #expect(try PasswordHash.verify("same", against: hash))
      #expect(try PasswordHash.needsRehash(hash))
    }
  }

  @Test func decoysVerifyNothing() throws {
    let decoy = try PasswordHash.decoy(parameters: Self.quick)
    #expect(try !PasswordHash.verify("", against: decoy))
    #expect(try !PasswordHash.verify("password", against: decoy))
  }

  private static let salt = "c29tZXNhbHRzb21lc2FsdA"
  private static let hash = String(repeating: "A", count: 43)

  @Test(arguments: [
    ("ln=18,r=8,p=1", "ln is 18"), ("ln=0,r=8,p=1", "ln is 0"), ("ln=15,r=17,p=1", "r is 17"),
    ("ln=15,r=8,p=5", "p is 5"), ("ln=15,r=0,p=1", "r is 0"), ("ln=17,r=16,p=1", "memory"),
    ("ln=17,r=8,p=1", "memory"), ("ln=9223372036854775807,r=8,p=1", "four digits"),
    ("ln=99999,r=8,p=1", "four digits"), ("ln=-1,r=8,p=1", "four digits"),
    ("ln=015,r=8,p=1", "four digits"), ("ln=+15,r=8,p=1", "four digits"),
    ("ln=,r=8,p=1", "four digits"), ("r=8,ln=15,p=1", "four digits"),
    ("ln=15,r=8", "not ln, r and p"), ("ln=15,r=8,p=1,x=1", "not ln, r and p"),
  ])
  func boundsWhatAStoredHashMayCost(_ parameters: String, _ reason: String) {
    let stored = "$scrypt$\(parameters)$\(Self.salt)$\(Self.hash)"
    let error = complaint { try PasswordHash.verify("x", against: stored) }
    #expect(error?.contains(reason) == true, "\(error ?? "nothing thrown")")
    #expect(complaint { try PasswordHash.needsRehash(stored) } != nil)
  }

  @Test(arguments: [
    "", "$", "scrypt", "$argon2id$ln=4,r=1,p=1$\(salt)$\(hash)", "$scrypt$ln=4,r=1,p=1$\(salt)",
    "$scrypt$ln=4,r=1,p=1$\(salt)$\(hash)$", "$scrypt$ln=4,r=1,p=1$AAAA$\(hash)",
    "$scrypt$ln=4,r=1,p=1$\(salt)$AAAA", "$scrypt$ln=4,r=1,p=1$\(salt)$\(hash)=",
    "$scrypt$ln=4,r=1,p=1$s*lt$\(hash)", "x$scrypt$ln=4,r=1,p=1$\(salt)$\(hash)",
    "$scrypt$ln=4,r=1,p=1$\(salt)$" + String(repeating: "A", count: 300),
    "$scrypt$ln=4,r=1,p=1$" + String(repeating: "A", count: 90) + "$\(hash)",
  ])
  func refusesOtherTexts(_ stored: String) {
    let error = complaint { try PasswordHash.verify("x", against: stored) }
    #expect(error?.hasPrefix("not a scrypt password hash") == true, "\(error ?? "nothing thrown")")
  }

  @Test func limitsPasswords() throws {
    let maximum = PasswordHash.passwordLengthMax
    let longest = String(repeating: "p", count: maximum)
    let stored = try PasswordHash.hash(longest, parameters: Self.quick)
    #expect(try PasswordHash.verify(longest, against: stored))
    let expected = PasswordHashError.passwordTooLong(length: maximum + 1, maximum: maximum)
    #expect(throws: expected) { try PasswordHash.hash(longest + "p") }
    #expect(throws: expected) { try PasswordHash.verify(longest + "p", against: stored) }
  }
}
