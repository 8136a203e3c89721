import COpenSSL
import Testing

@testable import Cryptography

@Suite struct SecretEnvelopeTests {
  static let row = SecretAssociatedData(tenant: "tenant-1", name: "stripe_secret_key", version: 3)

  let key: DataKey
  let envelope: [UInt8]

  init() throws {
    key =
      KeyEncryptionKey(version: 7, key: try platformKey()).generateDataKey(tenant: "tenant-1")
      .key
    envelope = try SecretEnvelope.seal(
      plaintext: secret("sk_live_example"), with: key, associatedData: Self.row)
  }

  private func failure(
    opening envelope: [UInt8], with key: DataKey? = nil,
    associatedData: SecretAssociatedData = row
  ) -> SecretError? {
    do throws(SecretError) {
      _ = try SecretEnvelope.open(
        envelope, with: key ?? self.key, associatedData: associatedData)
      return nil
    } catch {
      return error
    }
  }

  @Test func opensWhatWasSealed() throws {
    for length in [0, 1, 15, 16, 17, 1000, SecretEnvelope.plaintextLengthMax] {
      let plaintext = SecretBytes(copying: SecureRandom.bytes(length))
      let envelope = try SecretEnvelope.seal(
        plaintext: plaintext, with: key, associatedData: Self.row)
      #expect(envelope.count == length + SecretEnvelope.overhead)
      let opened = try SecretEnvelope.open(envelope, with: key, associatedData: Self.row)
      #expect(opened == plaintext)
    }
  }

  @Test func hasTheLayoutItSays() throws {
    #expect(envelope.prefix(4) == [UInt8]("SPSE".utf8)[...])
    #expect(envelope[4] == 1)
    #expect(envelope[5..<9] == [0, 0, 0, 7])
    #expect([UInt8](envelope[9..<25]) == key.identifier.bytes)
    #expect([UInt8](envelope[25..<57]) == key.keys.check)
    #expect(SecretEnvelope.overhead == 4 + 1 + 4 + 16 + 32 + 12 + 16)
    #expect(try SecretEnvelope.dataKeyIdentifier(of: envelope) == key.identifier)
  }

  @Test func neverSealsTwiceAlike() throws {
    let again = try SecretEnvelope.seal(
      plaintext: secret("sk_live_example"), with: key, associatedData: Self.row)
    #expect(again != envelope)
  }

  /// Each bit of each byte: the error names the part that was hit.
  @Test func noticesEveryFlippedBit() throws {
    for position in envelope.indices {
      for bit in 0..<8 {
        var changed = envelope
        changed[position] ^= 1 << bit
        let error = try #require(failure(opening: changed), "byte \(position), bit \(bit)")
        switch position {
        case 0..<4: #expect(error == .notSealed(expected: .secretEnvelope))
        case 4: #expect(error == .unsupportedAlgorithm(changed[4]))
        case 9..<25:
          let found = DataKeyIdentifier(changed[9..<25])
          #expect(error == .wrongDataKey(found: found, given: key.identifier))
        default: #expect(error == .authenticationFailed, "byte \(position), bit \(bit)")
        }
      }
    }
    #expect(ERR_peek_error() == 0)
  }

  @Test func noticesEveryTruncation() throws {
    for length in envelope.indices {
      let error = failure(opening: [UInt8](envelope.prefix(length)))
      let minimum = SecretEnvelope.overhead
      #expect(
        error
          == (length < minimum
            ? .truncated(length: length, minimum: minimum) : .authenticationFailed))
    }
    #expect(failure(opening: envelope + [0]) == .authenticationFailed)
  }

  @Test func refusesOtherBytesOfEveryLength() {
    for length in 1..<200 {
      let other = [UInt8](repeating: 0x41, count: length)
      #expect(failure(opening: other) == .notSealed(expected: .secretEnvelope))
    }
    #expect(failure(opening: []) == .truncated(length: 0, minimum: SecretEnvelope.overhead))
  }

  @Test(arguments: [
    SecretAssociatedData(tenant: "tenant-2", name: "stripe_secret_key", version: 3),
    SecretAssociatedData(tenant: "tenant-1", name: "wise_api_key", version: 3),
    SecretAssociatedData(tenant: "tenant-1", name: "stripe_secret_key", version: 2),
    SecretAssociatedData(tenant: "tenant-1s", name: "tripe_secret_key", version: 3),
    SecretAssociatedData(tenant: "", name: "tenant-1stripe_secret_key", version: 3),
  ])
  func staysInItsRow(_ other: SecretAssociatedData) {
    #expect(failure(opening: envelope, associatedData: other) == .authenticationFailed)
  }

  @Test func tellsAWrongKeyFromDamage() {
    let impostor = DataKey(
      identifier: key.identifier, kekVersion: key.kekVersion,
      bytes: SecureRandom.secretBytes(32))
    #expect(failure(opening: envelope, with: impostor) == .wrongKey(version: 7))
    let other = DataKey(
      identifier: .generate(), kekVersion: 7, bytes: SecureRandom.secretBytes(32))
    #expect(
      failure(opening: envelope, with: other)
        == .wrongDataKey(found: key.identifier, given: other.identifier))
  }

  @Test func limitsLengths() {
    let maximum = SecretEnvelope.plaintextLengthMax
    #expect(throws: SecretError.tooLong(length: maximum + 1, maximum: maximum)) {
      try SecretEnvelope.seal(
        plaintext: SecretBytes(count: maximum + 1) { _ in }, with: key, associatedData: Self.row)
    }
    let long = envelope + [UInt8](repeating: 0, count: maximum)
    #expect(
      failure(opening: long)
        == .tooLong(length: long.count, maximum: maximum + SecretEnvelope.overhead))
  }
}

@Suite struct KeyEncryptionKeyTests {
  @Test func wrapsForOneTenant() throws {
    let key = KeyEncryptionKey(version: 1, key: try platformKey())
    let (dataKey, wrapped) = key.generateDataKey(tenant: "tenant-1")
    #expect(wrapped.bytes.count == WrappedDataKey.length)
    let stored = try WrappedDataKey(bytes: wrapped.bytes)
    #expect(stored == wrapped)
    #expect(stored.identifier == dataKey.identifier && stored.kekVersion == 1)
    #expect(try key.unwrap(stored, tenant: "tenant-1").bytes == dataKey.bytes)
    #expect(throws: SecretError.authenticationFailed) {
      try key.unwrap(stored, tenant: "tenant-2")
    }
  }

  @Test func tellsAWrongPlatformKeyFromDamage() throws {
    let (_, wrapped) = KeyEncryptionKey(version: 1, key: try platformKey("01"))
      .generateDataKey(tenant: "t")
    let other = KeyEncryptionKey(version: 1, key: try platformKey("02"))
    #expect(throws: SecretError.wrongKey(version: 1)) { try other.unwrap(wrapped, tenant: "t") }
    let right = KeyEncryptionKey(version: 1, key: try platformKey("01"))
    for position in wrapped.bytes.indices {
      var changed = wrapped.bytes
      changed[position] ^= 1
      let error = complaint { try right.unwrap(WrappedDataKey(bytes: changed), tenant: "t") }
      #expect(error != nil && error?.contains("PLATFORM_ENCRYPTION_KEY") == false)
    }
  }

  @Test func readsWrappedKeysOfOneLength() throws {
    let wrapped = KeyEncryptionKey(version: 1, key: try platformKey())
      .generateDataKey(tenant: "t").wrapped.bytes
    for length in wrapped.indices {
      #expect(complaint { try WrappedDataKey(bytes: [UInt8](wrapped.prefix(length))) } != nil)
    }
    #expect(
      throws: SecretError.tooLong(length: wrapped.count + 1, maximum: WrappedDataKey.length)
    ) { try WrappedDataKey(bytes: wrapped + [0]) }
    let envelope = [UInt8]("SPSE".utf8) + wrapped.dropFirst(4)
    #expect(throws: SecretError.notSealed(expected: .wrappedDataKey)) {
      try WrappedDataKey(bytes: envelope)
    }
  }

  @Test func rotates() throws {
    let first = KeyEncryptionKey(version: 1, key: try platformKey("01"))
    let second = KeyEncryptionKey(version: 2, key: try platformKey("02"))
    let (dataKey, wrapped) = first.generateDataKey(tenant: "t")
    let row = SecretEnvelopeTests.row
    let envelope = try SecretEnvelope.seal(
      plaintext: secret("kept"), with: dataKey, associatedData: row)

    let ring = try KeyEncryptionKeyRing(current: second, previous: [first])
    let rewrapped = try #require(try ring.rewrap(wrapped, tenant: "t"))
    #expect(rewrapped.kekVersion == 2 && rewrapped.identifier == wrapped.identifier)
    #expect(try ring.rewrap(rewrapped, tenant: "t") == nil)

    let alone = try KeyEncryptionKeyRing(current: second)
    let unwrapped = try alone.unwrap(rewrapped, tenant: "t")
    let opened = try SecretEnvelope.open(envelope, with: unwrapped, associatedData: row)
    #expect(opened == secret("kept"))
    #expect(throws: SecretError.unknownKeyVersion(found: 1, known: [2])) {
      try alone.unwrap(wrapped, tenant: "t")
    }
    #expect(throws: SecretError.unknownKeyVersion(found: 1, known: [2])) {
      try second.unwrap(wrapped, tenant: "t")
    }
  }

  @Test func ringsAreBoundedAndOrdered() throws {
    let key = try platformKey()
    func kek(_ version: UInt32) -> KeyEncryptionKey { KeyEncryptionKey(version: version, key: key) }
    let maximum = KeyEncryptionKeyRing.keyCountMax
    let full = (1..<UInt32(maximum)).map(kek)
    _ = try KeyEncryptionKeyRing(current: kek(99), previous: full)
    #expect(throws: KeyEncryptionKeyRingError.tooManyKeys(count: maximum + 1, maximum: maximum)) {
      try KeyEncryptionKeyRing(current: kek(99), previous: full + [kek(98)])
    }
    #expect(throws: KeyEncryptionKeyRingError.notEarlier(version: 3, current: 2)) {
      try KeyEncryptionKeyRing(current: kek(2), previous: [kek(3)])
    }
    #expect(throws: KeyEncryptionKeyRingError.repeatedVersion(1)) {
      try KeyEncryptionKeyRing(current: kek(2), previous: [kek(1), kek(1)])
    }
  }
}

@Suite struct PlatformEncryptionKeyTests {
  @Test func goesBothWays() throws {
    let digits = PlatformEncryptionKey.generate().copyHexadecimal()
    #expect(digits.utf8.count == 64)
    #expect(try PlatformEncryptionKey(hexadecimal: digits).copyHexadecimal() == digits)
  }

  @Test func saysWhatIsWrongAndNotWhatItIs() {
    let digits = String(repeating: "0123456789abcdef", count: 4)
    let cases: [(String, PlatformEncryptionKeyError)] = [
      ("", .empty), (String(digits.dropLast()), .wrongLength(63)), (digits + "0", .wrongLength(65)),
      ("0x" + digits.dropFirst(2), .notHexadecimal(.invalidDigit(offset: 1))),
      (digits.dropLast() + "\n", .notHexadecimal(.invalidDigit(offset: 63))),
      (String(repeating: "0", count: 64), .placeholder),
    ]
    for (text, expected) in cases {
      #expect(throws: expected) { try PlatformEncryptionKey(hexadecimal: text) }
      #expect(!expected.description.contains("0123456789"))
      #expect(expected.description.contains("openssl rand -hex 32"))
    }
  }
}
