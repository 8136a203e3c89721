import JSON

/// Issues signed tokens of one kind.
package struct TokenIssuer: Sendable {
  package let rules: TokenRules
  private let key: TokenSigningKey
  /// The encoded header with the dot after it: it is the same for every token.
  private let prefix: [UInt8]

  /// `keyID` is the header's `kid`. ES256 keys are named by their thumbprint.
  package init(rules: TokenRules, key: TokenSigningKey, keyID: String? = nil) {
    self.rules = rules
    self.key = key
    var header = JSONWriter()
    header.openObject()
    header.member("alg", key.verificationKey.algorithm)
    header.member("typ", rules.type)
    if case .es256(let key) = key {
      header.member("kid", keyID ?? key.publicKey.thumbprint)
    } else {
      header.member("kid", keyID)
    }
    header.closeObject()
    prefix = [UInt8]((Base64.url.encode(header.bytes) + ".").utf8)
  }

  /// A token for `principal` from `now` (seconds since 1970) on, with a random id.
  ///
  /// Throws for claims that the verifier of the same rules would refuse: a lifetime too long, no
  /// tenant where one is required, texts too long.
  package func issue(
    for principal: TokenPrincipal, now: Int64, lifetimeSeconds: Int64
  ) throws(TokenError) -> (token: String, claims: TokenClaims) {
    let claims = TokenClaims(
      principal: principal, issuer: rules.issuer, audience: [rules.audience],
      tokenID: Base64.url.encode(SecureRandom.bytes(16)), issuedAt: now, notBefore: nil,
      expiresAt: now + lifetimeSeconds)
    try claims.checkTexts()
    try rules.check(claims, now: now)
    let payload = Base64.url.encode(claims.encoded)
    let input = prefix + payload.utf8
    let signature = Base64.url.encode(key.signature(for: input))
    let token = String(decoding: input, as: UTF8.self) + "." + signature
    guard token.utf8.count <= TokenVerifier.tokenLengthMax else {
      throw .tooLong(length: token.utf8.count, maximum: TokenVerifier.tokenLengthMax)
    }
    return (token, claims)
  }
}

extension TokenClaims {
  /// The bounds that reading a token sets, for one about to be written.
  fileprivate func checkTexts() throws(TokenError) {
    let expected = "a text of 1 to \(Self.textLengthMax) bytes"
    let texts = [
      ("sub", principal.subject), ("tenant", principal.tenant), ("sid", principal.session),
      ("rid", principal.requestID),
    ]
    for (name, text) in texts {
      guard let text else { continue }
      guard (1...Self.textLengthMax).contains(text.utf8.count) else {
        throw .malformedClaim(name, expected: expected)
      }
    }
    guard principal.roles.count <= Self.roleCountMax,
      principal.roles.allSatisfy({ (1...Self.textLengthMax).contains($0.utf8.count) })
    else {
      throw .malformedClaim("roles", expected: "an array of at most \(Self.roleCountMax) texts")
    }
  }
}
