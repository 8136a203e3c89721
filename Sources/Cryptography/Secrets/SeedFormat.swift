/// The format of the platform that Storeplane grew from, for import and export:
///
///     IV 16 | tag 16 | ciphertext
///
/// AES-256-GCM with a 16-byte IV and no associated data, under the platform key as it is. Nothing
/// binds a value to its row and nothing names its key, so what Storeplane itself keeps is in a
/// `SecretEnvelope`.
package enum SeedFormat {
  package static let initializationVectorLength = 16
  package static let overhead = initializationVectorLength + AESGCM.tagLength
  package static let plaintextLengthMax = SecretEnvelope.plaintextLengthMax

  package static func encrypt(
    _ plaintext: SecretBytes, with key: PlatformEncryptionKey
  ) throws(SecretError) -> [UInt8] {
    guard plaintext.count <= plaintextLengthMax else {
      throw .tooLong(length: plaintext.count, maximum: plaintextLengthMax)
    }
    let vector = SecureRandom.bytes(initializationVectorLength)
    var sealed = [UInt8](repeating: 0, count: plaintext.count + AESGCM.tagLength)
    sealed.withUnsafeMutableBytes { sealed in
      plaintext.withUnsafeBytes { plaintext in
        GCMCipher(key: AESGCM.Key(whole: key.bytes), nonce: vector, direction: .encrypt)
          .encrypt(plaintext, associatedData: [], into: sealed)
      }
    }
    return vector + sealed.suffix(AESGCM.tagLength) + sealed.dropLast(AESGCM.tagLength)
  }

  package static func decrypt(
    _ blob: [UInt8], with key: PlatformEncryptionKey
  ) throws(SecretError) -> SecretBytes {
    guard blob.count >= overhead else { throw .truncated(length: blob.count, minimum: overhead) }
    let maximum = plaintextLengthMax + overhead
    guard blob.count <= maximum else { throw .tooLong(length: blob.count, maximum: maximum) }
    let vector = [UInt8](blob.prefix(initializationVectorLength))
    let plaintext = blob.withUnsafeBytes { blob in
      GCMCipher(key: AESGCM.Key(whole: key.bytes), nonce: vector, direction: .decrypt).decrypt(
        UnsafeRawBufferPointer(rebasing: blob[overhead...]),
        tag: UnsafeRawBufferPointer(rebasing: blob[initializationVectorLength..<overhead]),
        associatedData: [])
    }
    guard let plaintext else { throw .authenticationFailed }
    return plaintext
  }
}
