/// What a token of one kind must be. Each kind has rules of its own, and a type of its own, so that
/// a token of one kind never passes for another (RFC 8725, sections 3.11 and 3.12).
package struct TokenRules: Equatable, Sendable {
  package let issuer: String
  /// The one audience that is asked for; a token may name others beside it.
  package let audience: String
  /// The header's `typ`, as in `at+jwt`, compared without regard to case.
  package let type: String
  /// The longest time from `iat` to `exp`, in seconds.
  package let lifetimeSecondsMax: Int64
  /// How far the issuer's clock may be from ours, in seconds.
  package let skewSeconds: Int64
  package let requiresTenant: Bool

  package init(
    issuer: String, audience: String, type: String, lifetimeSecondsMax: Int64,
    skewSeconds: Int64 = 5, requiresTenant: Bool = false
  ) {
    self.issuer = issuer
    self.audience = audience
    self.type = type
    self.lifetimeSecondsMax = lifetimeSecondsMax
    self.skewSeconds = skewSeconds
    self.requiresTenant = requiresTenant
  }

  /// Checks `claims` against these rules at `now`, in seconds since 1970.
  func check(_ claims: TokenClaims, now: Int64) throws(TokenError) {
    guard claims.issuer == issuer else { throw .wrongIssuer(expected: issuer) }
    guard claims.audience.contains(audience) else { throw .wrongAudience(expected: audience) }
    guard claims.expiresAt > claims.issuedAt else {
      throw .malformedClaim("exp", expected: "a time after iat")
    }
    let lifetime = claims.expiresAt - claims.issuedAt
    guard lifetime <= lifetimeSecondsMax else {
      throw .lifetimeTooLong(seconds: lifetime, maximum: lifetimeSecondsMax)
    }
    guard now - skewSeconds < claims.expiresAt else { throw .expired(at: claims.expiresAt) }
    guard claims.issuedAt <= now + skewSeconds else {
      throw .issuedInTheFuture(at: claims.issuedAt)
    }
    if let notBefore = claims.notBefore, notBefore > now + skewSeconds {
      throw .notYetValid(until: notBefore)
    }
    if requiresTenant, claims.principal.tenant == nil { throw .missingClaim("tenant") }
  }
}
