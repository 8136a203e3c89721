import COpenSSL
import Testing

@testable import Cryptography

@Suite struct HashTests {
  @Test func digestsFIPSExamples() throws {
    let empty = try bytes("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    let abc = try bytes("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(SHA256.digest([UInt8]()) == empty)
    #expect(SHA256.digest([UInt8]("abc".utf8)) == abc)
    var pieces = SHA256()
    pieces.update([UInt8]("a".utf8))
    pieces.update([])
    pieces.update([UInt8]("bc".utf8))
    #expect(pieces.finish() == abc)
  }

  /// RFC 4231, cases 1, 2 and 6.
  @Test(arguments: [
    (
      [UInt8](repeating: 0x0b, count: 20), "Hi There",
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    ),
    (
      [UInt8]("Jefe".utf8), "what do ya want for nothing?",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    ),
    (
      [UInt8](repeating: 0xaa, count: 131),
      "Test Using Larger Than Block-Size Key - Hash Key First",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    ),
  ])
  func authenticatesRFC4231(_ key: [UInt8], _ message: String, _ expected: String) throws {
    let key = HMACSHA256Key(SecretBytes(copying: key))
    let message = [UInt8](message.utf8)
    for _ in 0..<2 { #expect(key.code(for: message) == (try bytes(expected))) }
    message.withUnsafeBytes { message in
      #expect(key.isValid(key.code(for: message), for: message))
      #expect(!key.isValid([UInt8](repeating: 0, count: 32), for: message))
      #expect(!key.isValid([], for: message))
    }
  }

  /// RFC 5869, test case 1: the first 32 bytes of its output.
  @Test func derivesRFC5869() throws {
    let key = try Hexadecimal.decodeSecret(
      "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
    let derived = KeyDerivation.derive(from: key, info: try bytes("f0f1f2f3f4f5f6f7f8f9"))
    let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
    #expect(derived.copyBytes() == (try bytes(expected)))
  }
}

/// The test cases 13 to 16 of the mode's specification, for keys of 256 bits.
struct GCMVector: Sendable {
  let key, nonce, plaintext, associatedData, ciphertext, tag: String

  private static let longKey =
    "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
  private static let longText =
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
  private static let longCiphertext =
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"

  static let all = [
    GCMVector(
      key: String(repeating: "0", count: 64), nonce: String(repeating: "0", count: 24),
      plaintext: "", associatedData: "", ciphertext: "", tag: "530f8afbc74536b9a963b4f1c4cb738b"),
    GCMVector(
      key: String(repeating: "0", count: 64), nonce: String(repeating: "0", count: 24),
      plaintext: String(repeating: "0", count: 32), associatedData: "",
      ciphertext: "cea7403d4d606b6e074ec5d3baf39d18", tag: "d0d1c8a799996bf0265b98b5d48ab919"),
    GCMVector(
      key: longKey, nonce: "cafebabefacedbaddecaf888", plaintext: longText, associatedData: "",
      ciphertext: longCiphertext, tag: "b094dac5d93471bdec1a502270e3cc6c"),
    GCMVector(
      key: longKey, nonce: "cafebabefacedbaddecaf888", plaintext: String(longText.dropLast(8)),
      associatedData: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
      ciphertext: String(longCiphertext.dropLast(8)), tag: "76fc6ece0f4e1768cddf8853bb2d551b"),
  ]
}

@Suite struct AESGCMTests {
  @Test(arguments: GCMVector.all)
  func agreesWithTheSpecification(_ vector: GCMVector) throws {
    let key = try AESGCM.Key(Hexadecimal.decodeSecret(vector.key))
    let sealed = try AESGCM.seal(
      bytes(vector.plaintext), with: key, nonce: bytes(vector.nonce),
      associatedData: bytes(vector.associatedData))
    #expect(Hexadecimal.encode(sealed) == vector.ciphertext + vector.tag)
    let opened = try AESGCM.open(
      sealed, with: key, nonce: bytes(vector.nonce), associatedData: bytes(vector.associatedData))
    #expect(opened.copyBytes() == (try bytes(vector.plaintext)))
  }

  @Test func refusesWhatWasChanged() throws {
    let key = AESGCM.Key.generate()
    let nonce = SecureRandom.bytes(12)
    let sealed = try AESGCM.seal([1, 2, 3], with: key, nonce: nonce, associatedData: [9])
    for position in sealed.indices {
      var changed = sealed
      changed[position] ^= 0x80
      #expect(throws: AESGCMError.authenticationFailed) {
        try AESGCM.open(changed, with: key, nonce: nonce, associatedData: [9])
      }
    }
    #expect(throws: AESGCMError.authenticationFailed) {
      try AESGCM.open(sealed, with: key, nonce: nonce, associatedData: [8])
    }
    #expect(throws: AESGCMError.authenticationFailed) {
      try AESGCM.open(sealed, with: .generate(), nonce: nonce, associatedData: [9])
    }
    #expect(ERR_peek_error() == 0, "a queued error would reach the thread's next TLS call")
  }

  @Test func refusesWrongLengths() throws {
    let key = AESGCM.Key.generate()
    let nonce = [UInt8](repeating: 0, count: 12)
    #expect(throws: AESGCMError.wrongLength(of: .key, length: 31, expected: 32)) {
      try AESGCM.Key(SecretBytes(count: 31) { _ in })
    }
    #expect(throws: AESGCMError.wrongLength(of: .nonce, length: 16, expected: 12)) {
      try AESGCM.seal([], with: key, nonce: [UInt8](repeating: 0, count: 16))
    }
    #expect(throws: AESGCMError.truncated(length: 15, minimum: 16)) {
      try AESGCM.open([UInt8](repeating: 0, count: 15), with: key, nonce: nonce)
    }
    let long = [UInt8](repeating: 0, count: AESGCM.inputLengthMax + 1)
    #expect(
      throws: AESGCMError.tooLong(length: long.count, maximum: AESGCM.inputLengthMax)
    ) { try AESGCM.seal(long, with: key, nonce: nonce) }
  }
}
