import COpenSSL

/// AES-256 in Galois/Counter Mode (NIST SP 800-38D) with 96-bit nonces and 128-bit tags.
///
/// A nonce must never repeat under one key. Random nonces keep that promise for 2^32 messages a
/// key. The mode does not commit to its key; what is stored goes through `SecretEnvelope`.
package enum AESGCM {
  package static let keyLength = 32
  package static let nonceLength = 12
  package static let tagLength = 16
  /// The longest input, in bytes: what is sealed here is secrets and keys, held in memory whole.
  package static let inputLengthMax = 64 << 20

  package struct Key: Sendable {
    let bytes: SecretBytes

    package init(_ bytes: SecretBytes) throws(AESGCMError) {
      guard bytes.count == keyLength else {
        throw .wrongLength(of: .key, length: bytes.count, expected: keyLength)
      }
      self.bytes = bytes
    }

    package static func generate() -> Key { Key(whole: SecureRandom.secretBytes(keyLength)) }

    /// A key whose length is known to be right.
    init(whole bytes: SecretBytes) {
      precondition(bytes.count == keyLength)
      self.bytes = bytes
    }
  }

  /// Returns the ciphertext followed by its tag.
  package static func seal(
    _ plaintext: [UInt8], with key: Key, nonce: [UInt8], associatedData: [UInt8] = []
  ) throws(AESGCMError) -> [UInt8] {
    try check(nonce: nonce, inputLength: plaintext.count)
    var sealed = [UInt8](repeating: 0, count: plaintext.count + tagLength)
    sealed.withUnsafeMutableBytes { sealed in
      plaintext.withUnsafeBytes { plaintext in
        GCMCipher(key: key, nonce: nonce, direction: .encrypt)
          .encrypt(plaintext, associatedData: associatedData, into: sealed)
      }
    }
    return sealed
  }

  /// Takes what `seal` returned. Nothing is given out unless the tag is right.
  package static func open(
    _ sealed: [UInt8], with key: Key, nonce: [UInt8], associatedData: [UInt8] = []
  ) throws(AESGCMError) -> SecretBytes {
    guard sealed.count >= tagLength else {
      throw .truncated(length: sealed.count, minimum: tagLength)
    }
    try check(nonce: nonce, inputLength: sealed.count - tagLength)
    let plaintext = sealed.withUnsafeBytes { sealed in
      GCMCipher(key: key, nonce: nonce, direction: .decrypt).decrypt(
        UnsafeRawBufferPointer(rebasing: sealed.dropLast(tagLength)),
        tag: UnsafeRawBufferPointer(rebasing: sealed.suffix(tagLength)),
        associatedData: associatedData)
    }
    guard let plaintext else { throw .authenticationFailed }
    return plaintext
  }

  private static func check(nonce: [UInt8], inputLength: Int) throws(AESGCMError) {
    guard nonce.count == nonceLength else {
      throw .wrongLength(of: .nonce, length: nonce.count, expected: nonceLength)
    }
    guard inputLength <= inputLengthMax else {
      throw .tooLong(length: inputLength, maximum: inputLengthMax)
    }
  }
}

package enum AESGCMError: Error, Equatable, CustomStringConvertible {
  package enum Part: String, Sendable { case key, nonce }

  case wrongLength(of: Part, length: Int, expected: Int)
  case tooLong(length: Int, maximum: Int)
  case truncated(length: Int, minimum: Int)
  case authenticationFailed

  package var description: String {
    switch self {
    case .wrongLength(let part, let length, let expected):
      "an AES-256-GCM \(part.rawValue) has \(expected) bytes, not \(length)"
    case .tooLong(let length, let maximum):
      "\(length) bytes are more than AES-256-GCM takes at once (\(maximum))"
    case .truncated(let length, let minimum):
      "\(length) bytes hold no AES-256-GCM tag; there are at least \(minimum)"
    case .authenticationFailed:
      "AES-256-GCM authentication failed: the key, the associated data or the bytes differ from "
        + "those sealed"
    }
  }
}

/// One message's cipher context. It takes nonces of any length, since the seed's format has 16
/// bytes; callers have checked every length.
struct GCMCipher: ~Copyable {
  enum Direction { case encrypt, decrypt }

  private let context: OpaquePointer

  init(key: AESGCM.Key, nonce: [UInt8], direction: Direction) {
    context = OpenSSL.require(EVP_CIPHER_CTX_new(), "EVP_CIPHER_CTX_new")
    let encrypting: Int32 = direction == .encrypt ? 1 : 0
    if nonce.count == AESGCM.nonceLength {
      setKey(key, nonce: nonce, cipher: OpenSSL.aes256GCM, encrypting: encrypting)
      return
    }
    OpenSSL.require(
      EVP_CipherInit_ex2(context, OpenSSL.aes256GCM, nil, nil, encrypting, nil),
      "EVP_CipherInit_ex2")
    OpenSSL.require(
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, Int32(nonce.count), nil),
      "EVP_CTRL_AEAD_SET_IVLEN")
    setKey(key, nonce: nonce, cipher: nil, encrypting: encrypting)
  }

  deinit { EVP_CIPHER_CTX_free(context) }

  private func setKey(
    _ key: AESGCM.Key, nonce: [UInt8], cipher: OpaquePointer?, encrypting: Int32
  ) {
    key.bytes.withUnsafeBytes { key in
      let start = key.assumingMemoryBound(to: UInt8.self).baseAddress
      OpenSSL.require(
        EVP_CipherInit_ex2(context, cipher, start, nonce, encrypting, nil), "EVP_CipherInit_ex2")
    }
  }

  /// `output` takes the ciphertext and then the tag.
  consuming func encrypt(
    _ plaintext: UnsafeRawBufferPointer, associatedData: [UInt8],
    into output: UnsafeMutableRawBufferPointer
  ) {
    precondition(output.count == plaintext.count + AESGCM.tagLength)
    authenticate(associatedData)
    transform(plaintext, into: output)
    let tag = UnsafeMutableRawBufferPointer(rebasing: output.suffix(AESGCM.tagLength))
    var written: Int32 = 0
    OpenSSL.require(
      EVP_CipherFinal_ex(
        context, tag.assumingMemoryBound(to: UInt8.self).baseAddress, &written),
      "EVP_CipherFinal_ex")
    OpenSSL.require(
      EVP_CIPHER_CTX_ctrl(
        context, EVP_CTRL_AEAD_GET_TAG, Int32(AESGCM.tagLength), tag.baseAddress),
      "EVP_CTRL_AEAD_GET_TAG")
  }

  /// The plaintext, or nil if the tag is not right; what was decrypted until then is wiped.
  consuming func decrypt(
    _ ciphertext: UnsafeRawBufferPointer, tag: UnsafeRawBufferPointer, associatedData: [UInt8]
  ) -> SecretBytes? {
    precondition(tag.count == AESGCM.tagLength)
    authenticate(associatedData)
    var isAuthentic = false
    let plaintext = SecretBytes(count: ciphertext.count) { output in
      transform(ciphertext, into: output)
      OpenSSL.require(
        EVP_CIPHER_CTX_ctrl(
          context, EVP_CTRL_AEAD_SET_TAG, Int32(AESGCM.tagLength),
          UnsafeMutableRawPointer(mutating: tag.baseAddress)),
        "EVP_CTRL_AEAD_SET_TAG")
      var rest: UInt8 = 0
      var written: Int32 = 0
      isAuthentic = EVP_CipherFinal_ex(context, &rest, &written) == 1
    }
    guard isAuthentic else {
      OpenSSL.discardErrors()
      return nil
    }
    return plaintext
  }

  private func authenticate(_ associatedData: [UInt8]) {
    guard !associatedData.isEmpty else { return }
    var written: Int32 = 0
    OpenSSL.require(
      EVP_CipherUpdate(context, nil, &written, associatedData, Int32(associatedData.count)),
      "EVP_CipherUpdate")
  }

  private func transform(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) {
    guard !input.isEmpty else { return }
    var written: Int32 = 0
    OpenSSL.require(
      EVP_CipherUpdate(
        context, output.assumingMemoryBound(to: UInt8.self).baseAddress, &written,
        input.assumingMemoryBound(to: UInt8.self).baseAddress, Int32(input.count)),
      "EVP_CipherUpdate")
  }
}
