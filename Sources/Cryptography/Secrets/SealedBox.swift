/// The layout that secret envelopes and wrapped data keys share:
///
///     magic 4 | algorithm 1 | kekVersion 4 | dekId 16 | keyCheck 32 | nonce 12
///     ciphertext | tag 16
///
/// Integers are big-endian. All that precedes the nonce is authenticated with the associated data.
///
/// AES-GCM does not commit to its key: one ciphertext can be made to open under two keys. The key
/// check, a value derived from the key beside the encryption key, is such a commitment, and tells
/// a wrong key from damaged bytes.
enum SealedBox {
  static let algorithm: UInt8 = 1
  static let magicLength = 4
  static let keyCheckOffset = 4 + 1 + 4 + DataKeyIdentifier.length
  static let keyCheckLength = 32
  static let nonceOffset = keyCheckOffset + keyCheckLength
  static let headerLength = nonceOffset + AESGCM.nonceLength
  static let overhead = headerLength + AESGCM.tagLength

  struct Header: Equatable {
    let kekVersion: UInt32
    let dataKey: DataKeyIdentifier
  }

  static func seal(
    _ plaintext: SecretBytes, kind: SealedKind, header: Header, keys: SealingKeys,
    associatedData: [UInt8]
  ) -> [UInt8] {
    let bound = authenticated(kind: kind, header: header, keyCheck: keys.check)
    let nonce = SecureRandom.bytes(AESGCM.nonceLength)
    var box = bound + nonce
    box.append(contentsOf: repeatElement(0, count: plaintext.count + AESGCM.tagLength))
    box.withUnsafeMutableBytes { box in
      plaintext.withUnsafeBytes { plaintext in
        GCMCipher(key: keys.encryption, nonce: nonce, direction: .encrypt).encrypt(
          plaintext, associatedData: bound + associatedData,
          into: UnsafeMutableRawBufferPointer(rebasing: box.dropFirst(headerLength)))
      }
    }
    return box
  }

  static func header(of box: [UInt8], kind: SealedKind) throws(SecretError) -> Header {
    guard box.starts(with: kind.magic.prefix(box.count)) else { throw .notSealed(expected: kind) }
    guard box.count >= overhead else { throw .truncated(length: box.count, minimum: overhead) }
    guard box[magicLength] == algorithm else { throw .unsupportedAlgorithm(box[magicLength]) }
    let kekVersion = box[5..<9].reduce(0) { $0 << 8 | UInt32($1) }
    return Header(kekVersion: kekVersion, dataKey: DataKeyIdentifier(box[9..<keyCheckOffset]))
  }

  /// `header` is the box's own, read and looked up by the caller.
  static func open(
    _ box: [UInt8], kind: SealedKind, header: Header, keys: SealingKeys, associatedData: [UInt8]
  ) throws(SecretError) -> SecretBytes {
    // With the check that this key must have, the tag is right even if the box's copy is damaged.
    let bound = authenticated(kind: kind, header: header, keyCheck: keys.check)
    let plaintext = box.withUnsafeBytes { box in
      GCMCipher(
        key: keys.encryption, nonce: [UInt8](box[nonceOffset..<headerLength]), direction: .decrypt
      ).decrypt(
        UnsafeRawBufferPointer(rebasing: box[headerLength...].dropLast(AESGCM.tagLength)),
        tag: UnsafeRawBufferPointer(rebasing: box.suffix(AESGCM.tagLength)),
        associatedData: bound + associatedData)
    }
    let isCommitted = ConstantTime.equal([UInt8](box[keyCheckOffset..<nonceOffset]), keys.check)
    guard let plaintext else {
      throw isCommitted ? .authenticationFailed : .wrongKey(version: header.kekVersion)
    }
    guard isCommitted else { throw .authenticationFailed }
    return plaintext
  }

  private static func authenticated(
    kind: SealedKind, header: Header, keyCheck: [UInt8]
  ) -> [UInt8] {
    var bytes = kind.magic
    bytes.reserveCapacity(headerLength)
    bytes.append(algorithm)
    bytes.appendBigEndian(header.kekVersion)
    bytes += header.dataKey.bytes
    bytes += keyCheck
    return bytes
  }
}

/// What one 256-bit key becomes before it seals anything: a key to encrypt with and a check value
/// that may be seen.
struct SealingKeys: Sendable {
  let encryption: AESGCM.Key
  let check: [UInt8]

  init(from key: SecretBytes, purpose: String) {
    encryption = AESGCM.Key(
      whole: KeyDerivation.derive(from: key, purpose: "storeplane/\(purpose)/encryption/1"))
    check = KeyDerivation.derive(from: key, purpose: "storeplane/\(purpose)/check/1").copyBytes()
  }
}

extension SealedKind {
  fileprivate var magic: [UInt8] {
    switch self {
    case .secretEnvelope: [UInt8]("SPSE".utf8)
    case .wrappedDataKey: [UInt8]("SPDK".utf8)
    }
  }
}

extension [UInt8] {
  mutating func appendBigEndian(_ value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
  }

  /// A text of any content, so that two neighbours cannot be split in another place.
  mutating func appendLengthPrefixed(_ text: String) {
    appendBigEndian(UInt32(text.utf8.count))
    append(contentsOf: text.utf8)
  }
}
