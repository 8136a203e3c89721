import COpenSSL
import Testing

@testable import Cryptography

@Suite struct P256KeyTests {
  @Test func signsAndVerifies() {
    let key = P256PrivateKey.generate()
    let message = [UInt8]("message".utf8)
    let signature = key.signature(for: message)
    #expect(signature.count == 64)
    #expect(key.publicKey.isValid(signature, for: message))
    #expect(!key.publicKey.isValid(signature, for: message + [0]))
    #expect(!P256PrivateKey.generate().publicKey.isValid(signature, for: message))
    for position in signature.indices {
      var changed = signature
      changed[position] ^= 1
      #expect(!key.publicKey.isValid(changed, for: message))
    }
    for length in [0, 63, 65, 72] {
      #expect(!key.publicKey.isValid([UInt8](repeating: 1, count: length), for: message))
    }
    #expect(!key.publicKey.isValid([UInt8](repeating: 0, count: 64), for: message))
    #expect(!key.publicKey.isValid([UInt8](repeating: 0xff, count: 64), for: message))
    #expect(ERR_peek_error() == 0, "a queued error would reach the thread's next TLS call")
  }

  /// RFC 7515, appendix A.3.
  @Test func verifiesTheStandardsToken() throws {
    let key = try P256PublicKey(
      x: Base64.url.decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
      y: Base64.url.decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"))
    let input =
      "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
      + "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    let signature = try Base64.url.decode(
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
    #expect(key.isValid(signature, for: [UInt8](input.utf8)))
    #expect(!key.isValid(signature, for: [UInt8](input.utf8.dropLast())))
  }

  @Test func savesAndLoads() throws {
    let key = P256PrivateKey.generate()
    let pem = try #require(key.pem().copyText())
    #expect(pem.hasPrefix("-----BEGIN PRIVATE KEY-----\n"))
    let loaded = try P256PrivateKey(pem: secret(pem))
    #expect(loaded.publicKey == key.publicKey)
    #expect(key.publicKey.isValid(loaded.signature(for: [1]), for: [1]))
    #expect(try P256PublicKey(pem: key.publicKey.pem()) == key.publicKey)
    #expect(try P256PublicKey(x: key.publicKey.x, y: key.publicKey.y) == key.publicKey)
    #expect(!"\(key)".contains("BEGIN"))
  }

  @Test func refusesOtherFiles() throws {
    let key = P256PrivateKey.generate()
    #expect(throws: KeyError.noPrivateKey) { try P256PrivateKey(pem: secret("")) }
    #expect(throws: KeyError.noPrivateKey) {
      try P256PrivateKey(pem: secret(key.publicKey.pem()))
    }
    let pem = try #require(key.pem().copyText())
    #expect(throws: KeyError.noPrivateKey) {
      try P256PrivateKey(pem: secret(String(pem.dropLast(60))))
    }
    #expect(throws: KeyError.noPublicKey) { try P256PublicKey(pem: pem) }
    let long = String(repeating: "x", count: KeyHandle.pemLengthMax + 1)
    #expect(
      throws: KeyError.tooLong(length: long.utf8.count, maximum: KeyHandle.pemLengthMax)
    ) { try P256PrivateKey(pem: secret(long)) }
    #expect(ERR_peek_error() == 0)
  }

  @Test func refusesOtherKinds() {
    #expect(throws: KeyError.otherKind) { try P256PrivateKey(pem: secret(ed25519())) }
    let encrypted = """
      -----BEGIN ENCRYPTED PRIVATE KEY-----
      MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgAAAAAAAAAAAICCAAw
      DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEAAAAAAAAAAAAAAAAAAAAAAEgZA=
      -----END ENCRYPTED PRIVATE KEY-----
      """
    #expect(throws: KeyError.noPrivateKey) { try P256PrivateKey(pem: secret(encrypted)) }
  }

  /// A key of another kind, made anew each time (RFC 8410 section 7: a fixed head, then the seed).
  private func ed25519() -> String {
    let head: [UInt8] = [
      0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ]
    let seed = (0..<32).map { _ in UInt8.random(in: 0 ... .max) }
    let (label, text) = ("PRIVATE KEY", Base64.standard.encode(head + seed))
    return "-----BEGIN \(label)-----\n\(text)\n-----END \(label)-----\n"
  }

  @Test func refusesPointsOffTheCurve() {
    let key = P256PrivateKey.generate().publicKey
    var y = key.y
    y[31] ^= 1
    #expect(throws: KeyError.notOnCurve) { try P256PublicKey(x: key.x, y: y) }
    let zero = [UInt8](repeating: 0, count: 32)
    #expect(throws: KeyError.notOnCurve) { try P256PublicKey(x: zero, y: zero) }
    #expect(throws: KeyError.wrongCoordinateLength(31)) {
      try P256PublicKey(x: [UInt8](key.x.dropLast()), y: key.y)
    }
  }
}

@Suite struct ECDSASignatureTests {
  @Test func goesBothWays() throws {
    for _ in 0..<1000 {
      var raw = SecureRandom.bytes(64)
      // Leading zeros and high bits are where the two forms differ.
      let zeros = Int(raw[0] % 32)
      for index in 0..<zeros { raw[index] = 0 }
      let signature = try #require(ECDSASignature(raw: raw))
      #expect(ECDSASignature(der: signature.der) == signature)
    }
    let zero = try #require(ECDSASignature(raw: [UInt8](repeating: 0, count: 64)))
    #expect(zero.der == [0x30, 6, 2, 1, 0, 2, 1, 0])
    let ones = try #require(ECDSASignature(raw: [UInt8](repeating: 0xff, count: 64)))
    #expect(ones.der.count == ECDSASignature.derLengthMax)
  }

  @Test(arguments: [
    "", "30", "3000", "3006020101020101ff", "3007020101020101", "3106020101020101",
    "3006030101020101", "3006020101030101", "300602017f020180", "30050200020101",
    "300702020001020101", "300602027f7f0201", "3003020101", "30060201ff020101", "30810602010102",
  ])
  func refusesWhatIsNotDistinguished(_ der: String) throws {
    #expect(ECDSASignature(der: try bytes(der)) == nil)
  }

  @Test func refusesNumbersOfMoreThan256Bits() {
    let long = [UInt8](repeating: 0x7f, count: 33)
    #expect(ECDSASignature(der: [0x30, 38, 2, 33] + long + [2, 1, 1]) == nil)
  }
}
