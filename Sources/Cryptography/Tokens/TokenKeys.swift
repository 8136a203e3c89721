/// A secret shared between issuer and verifier, for HS256 (RFC 7518, section 3.2).
package struct TokenSecret: Sendable {
  /// As many bytes as the hash has; a shorter secret could be guessed from one token.
  package static let lengthMin = 32

  let key: HMACSHA256Key

  package init(_ secret: SecretBytes) throws(TokenSecretError) {
    guard secret.count >= Self.lengthMin else { throw .tooShort(secret.count) }
    key = HMACSHA256Key(secret)
  }
}

package enum TokenSecretError: Error, Equatable, CustomStringConvertible {
  case tooShort(Int)

  package var description: String {
    switch self {
    case .tooShort(let length):
      "the token secret has \(length) bytes; HS256 needs at least \(TokenSecret.lengthMin): make "
        + "one with `openssl rand -hex 32`"
    }
  }
}

/// A key to verify with. The key, never the token, decides the algorithm.
package enum TokenVerificationKey: Sendable {
  case es256(P256PublicKey)
  case hs256(TokenSecret)

  var algorithm: String {
    switch self {
    case .es256: "ES256"
    case .hs256: "HS256"
    }
  }

  func isValid(_ signature: [UInt8], for input: UnsafeRawBufferPointer) -> Bool {
    switch self {
    case .es256(let key): key.isValid(signature, for: input)
    case .hs256(let secret): secret.key.isValid(signature, for: input)
    }
  }
}

/// A key to issue with.
package enum TokenSigningKey: Sendable {
  case es256(P256PrivateKey)
  case hs256(TokenSecret)

  /// What verifies what this key signs.
  package var verificationKey: TokenVerificationKey {
    switch self {
    case .es256(let key): .es256(key.publicKey)
    case .hs256(let secret): .hs256(secret)
    }
  }

  func signature(for input: [UInt8]) -> [UInt8] {
    switch self {
    case .es256(let key): key.signature(for: input)
    case .hs256(let secret): secret.key.code(for: input)
    }
  }
}

/// The keys that tokens may name. A token without a `kid` is verified with `unnamed`, if there is
/// one: that is how a single shared secret is used.
package struct TokenKeySet: Sendable {
  package static let keyCountMax = 32

  private let named: [String: TokenVerificationKey]
  private let unnamed: TokenVerificationKey?

  package init(
    named: [String: TokenVerificationKey], unnamed: TokenVerificationKey? = nil
  ) throws(TokenKeySetError) {
    guard named.count <= Self.keyCountMax else {
      throw .tooManyKeys(count: named.count, maximum: Self.keyCountMax)
    }
    self.named = named
    self.unnamed = unnamed
  }

  /// Public keys, each under its thumbprint.
  package init(_ keys: [P256PublicKey]) throws(TokenKeySetError) {
    let named = keys.map { ($0.thumbprint, TokenVerificationKey.es256($0)) }
    try self.init(named: Dictionary(named) { first, _ in first })
  }

  func key(_ identifier: String?) throws(TokenError) -> TokenVerificationKey {
    guard let identifier else {
      guard let unnamed else { throw .missingKeyID }
      return unnamed
    }
    guard let key = named[identifier] else { throw .unknownKeyID }
    return key
  }
}

package enum TokenKeySetError: Error, Equatable, CustomStringConvertible {
  case tooManyKeys(count: Int, maximum: Int)

  package var description: String {
    switch self {
    case .tooManyKeys(let count, let maximum):
      "\(count) token keys, where at most \(maximum) are allowed; drop those no longer used"
    }
  }
}
