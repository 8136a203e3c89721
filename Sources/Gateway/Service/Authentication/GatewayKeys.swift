package import Cryptography
import ServiceRuntime

/// The keys that tokens are signed and verified with.
package struct GatewayKeys: Sendable {
  /// Signs access tokens.
  let access: TokenSigningKey
  /// Signs what services are told of the caller; ES256 always.
  let caller: P256PrivateKey
  /// Verify access tokens.
  let accepted: TokenKeySet
  /// The public keys, for everyone who verifies our tokens.
  package let published: JSONWebKeySet

  /// - Parameters:
  ///   - signingKey: signs access tokens and caller tokens (`TOKEN_SIGNING_KEY`).
  ///   - secret: verifies HS256 access tokens at this door, and signs them where there is no
  ///     `signingKey` (`JWT_SECRET`).
  ///   - identityKey: the key of the gateway's certificate; signs caller tokens where there is no
  ///     `signingKey`, since services take no others than ES256.
  package init(
    signingKey: P256PrivateKey?, secret: SecretBytes?, identityKey: P256PrivateKey? = nil
  ) throws {
    let secret = try secret.map { secret throws(TokenSecretError) in try TokenSecret(secret) }
    let access = signingKey.map(TokenSigningKey.es256) ?? secret.map(TokenSigningKey.hs256)
    guard let access else {
      throw StartError(
        "neither TOKEN_SIGNING_KEY nor JWT_SECRET is set: one of them has to sign access tokens")
    }
    guard let caller = signingKey ?? identityKey else {
      throw StartError(
        "TOKEN_SIGNING_KEY is not set, and TLS_KEY_FILE has no P-256 key to stand in for it: "
          + "services take caller tokens signed with ES256 only")
    }
    self.access = access
    self.caller = caller
    published = try JSONWebKeySet([caller.publicKey])
    // The identity's key signs no access tokens.
    var named: [String: TokenVerificationKey] = [:]
    if let key = signingKey?.publicKey { named[key.thumbprint] = .es256(key) }
    accepted = try TokenKeySet(named: named, unnamed: secret.map(TokenVerificationKey.hs256))
  }
}

/// The tokens that clients sign their requests with.
package enum AccessTokens {
  package static let lifetimeSeconds: Int64 = 15 * 60

  package static let rules = TokenRules(
    issuer: "storeplane-gateway", audience: "storeplane", type: "at+jwt",
    lifetimeSecondsMax: lifetimeSeconds)
}
