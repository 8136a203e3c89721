import Cryptography
import GatewayService
import JSON
import Resilience
import TestKit
import Testing

/// All that need the gateway's database, one after another: its buckets are common to them.
@Suite(.serialized, .timeLimit(.minutes(5))) enum GatewayTests {}

extension GatewayTests {
  @Suite struct Tokens {
    private func refused(
      _ gateway: TestGateway, _ token: String, _ reason: String,
      location: SourceLocation = #_sourceLocation
    ) throws {
      let reply = try gateway.call("GET", "/v1/me", token: token)
      #expect(reply.status == 401, sourceLocation: location)
      #expect(reply["detail"] == reason, sourceLocation: location)
      #expect(
        reply.fields["www-authenticate"]?.contains("error=\"invalid_token\"") == true,
        sourceLocation: location)
      // Nothing of a token is sent back.
      for part in token.split(separator: ".") where part.utf8.count > 8 {
        #expect(!reply.body.contains(part), sourceLocation: location)
      }
    }

    private func forged(_ header: String, _ claims: String, key: TokenSecret? = nil) -> String {
      let input =
        Base64.url.encode(Array(header.utf8)) + "." + Base64.url.encode(Array(claims.utf8))
      return input + "."
    }

    @Test func tokensOfNoUseAreRefusedWithTheReason() async throws {
      try await withGateway { gateway in
        let now = gateway.clock.wallNow.seconds
        let principal = TokenPrincipal(subject: "someone", tenant: "acme")
        let other = TokenIssuer(rules: AccessTokens.rules, key: .es256(.generate()))
        try refused(
          gateway, other.issue(for: principal, now: now, lifetimeSeconds: 60).token,
          "the token names a key (kid) that is not known here")
        let thumbprint = gateway.signingKey.publicKey.thumbprint
        let impostor = TokenIssuer(
          rules: AccessTokens.rules, key: .es256(.generate()), keyID: thumbprint)
        try refused(
          gateway, impostor.issue(for: principal, now: now, lifetimeSeconds: 60).token,
          "the token's signature is not its key's")
        try refused(
          gateway,
          forged(#"{"alg":"none","typ":"at+jwt","kid":"\#(thumbprint)"}"#, #"{"sub":"x"}"#),
          "the token is not signed (algorithm none)")
        try refused(gateway, "abc", "the token has 1 parts between dots; a signed token has 3")
        try refused(
          gateway, String(repeating: "x", count: 8193),
          "the token has 8193 bytes; at most 8192 are allowed")
      }
    }

    @Test func aPublicKeyIsNoSecret() async throws {
      try await withGateway { gateway in
        // The confusion of RFC 8725, 2.1: the public key as the key of an HMAC.
        let text = try JSONWebKeySet([gateway.signingKey.publicKey]).encoded
        let secret = try TokenSecret(SecretBytes(copying: Array(text.utf8)))
        let issuer = TokenIssuer(
          rules: AccessTokens.rules, key: .hs256(secret),
          keyID: gateway.signingKey.publicKey.thumbprint)
        let token = try issuer.issue(
          for: TokenPrincipal(subject: "x"), now: gateway.clock.wallNow.seconds,
          lifetimeSeconds: 60
        ).token
        try refused(gateway, token, "the token's algorithm is not its key's, which is ES256")
        let unnamed = try TokenIssuer(rules: AccessTokens.rules, key: .hs256(secret)).issue(
          for: TokenPrincipal(subject: "x"), now: gateway.clock.wallNow.seconds,
          lifetimeSeconds: 60
        ).token
        try refused(gateway, unnamed, "the token names no key (kid)")
      }
    }

    @Test func anExpiredTokenSaysWhen() async throws {
      try await withGateway { gateway in
        let token = try gateway.token()
        #expect(try gateway.call("GET", "/v1/stores/x", token: token).status == 200)
        // Remembered or not, it ends: 15 minutes, and 5 seconds for the clocks.
        gateway.clock.advance(by: .seconds(904))
        #expect(try gateway.call("GET", "/v1/stores/x", token: token).status == 200)
        gateway.clock.advance(by: .seconds(1))
        try refused(gateway, token, "the token expired at 2025-06-15T15:21:40Z")
      }
    }

    @Test func aTokenForAServiceIsNoneForTheGateway() async throws {
      try await withGateway { gateway in
        let rules = TokenRules(
          issuer: "storeplane-gateway", audience: "config", type: "storeplane-caller+jwt",
          lifetimeSecondsMax: 60)
        let token = try TokenIssuer(rules: rules, key: .es256(gateway.signingKey)).issue(
          for: TokenPrincipal(subject: "x"), now: gateway.clock.wallNow.seconds,
          lifetimeSeconds: 60
        ).token
        try refused(gateway, token, "the token's type (typ) is not at+jwt")
      }
    }

    @Test func aRequestWithoutATokenLearnsWhatToDo() async throws {
      try await withGateway { gateway in
        let none = try gateway.call("GET", "/v1/stores")
        #expect(none.status == 401)
        #expect(none.fields["www-authenticate"] == "Bearer realm=\"storeplane\"")
        let basic = try gateway.call(
          "GET", "/v1/stores", headers: ["Authorization": "Basic dXNlcjpwYXNz"])
        #expect(basic.status == 401)
        #expect(basic.fields["www-authenticate"]?.contains("error=\"invalid_request\"") == true)
        #expect(!basic.body.contains("dXNlcjpwYXNz"))
        let twice = try RawClient(port: gateway.port)
        try twice.send(
          "GET /v1/me HTTP/1.1\r\nHost: g\r\nConnection: close\r\n"
            + "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n")
        #expect(HTTPReply(try twice.readToEnd()).status == 401)
      }
    }

    @Test func theKeySetIsPublic() async throws {
      try await withGateway { gateway in
        let reply = try gateway.call("GET", "/.well-known/jwks.json")
        #expect(reply.status == 200)
        #expect(reply.fields["content-type"] == "application/json")
        #expect(reply.fields["cache-control"] == "public, max-age=300")
        let keys = try JSONWebKeySet(parsing: reply.body)
        #expect(keys.keys.map(\.identifier) == [gateway.signingKey.publicKey.thumbprint])
        let verifier = TokenVerifier(rules: AccessTokens.rules, keys: try keys.tokenKeySet())
        _ = try verifier.verify(gateway.token(), now: gateway.clock.wallNow.seconds)
        #expect(try gateway.call("POST", "/.well-known/jwks.json").status == 405)
      }
    }

    // MARK: JWT_SECRET

    private func secret() -> SecretBytes { SecretBytes(copying: [UInt8](repeating: 7, count: 32)) }

    @Test func aSecretAloneSignsAccessTokensAndTheIdentityCallerTokens() async throws {
      var options = TestGateway.Options()
      let identity = P256PrivateKey.generate()
      options.keys = try GatewayKeys(signingKey: nil, secret: secret(), identityKey: identity)
      try await withGateway(options) { gateway in
        let reply = try gateway.login(try await gateway.addUser())
        let token = try #require(
          reply.json?.object?["tokens"]?.object?["accessToken"]?.string)
        let header = try Base64.url.decode(String(token.prefix { $0 != "." }))
        #expect(try JSON(parsing: header).object?["alg"] == "HS256")
        // The service behind verifies ES256, by the published key.
        #expect(try gateway.call("GET", "/v1/stores/x", token: token).status == 200)
        // A token of the identity's key is none for this door.
        let forged = try TokenIssuer(rules: AccessTokens.rules, key: .es256(identity)).issue(
          for: TokenPrincipal(subject: "x"), now: gateway.clock.wallNow.seconds,
          lifetimeSeconds: 60
        ).token
        try refused(gateway, forged, "the token names a key (kid) that is not known here")
      }
    }

    @Test func aSecretBesideAKeyIsTakenAtTheDoor() async throws {
      var options = TestGateway.Options()
      options.keys = try GatewayKeys(signingKey: TestGateway.sharedKey, secret: secret())
      try await withGateway(options) { gateway in
        let token = try TokenIssuer(
          rules: AccessTokens.rules, key: .hs256(TokenSecret(secret()))
        ).issue(
          for: TokenPrincipal(subject: "x", tenant: "acme"), now: gateway.clock.wallNow.seconds,
          lifetimeSeconds: 60
        ).token
        #expect(try gateway.call("GET", "/v1/stores/x", token: token).status == 200)
        #expect(try gateway.call("GET", "/v1/stores/x", token: gateway.token()).status == 200)
      }
    }

    @Test func keysThatCannotDoAreRefusedAtTheStart() throws {
      let none = #expect(throws: (any Error).self) {
        try GatewayKeys(signingKey: nil, secret: nil)
      }
      #expect("\(try #require(none))".contains("neither TOKEN_SIGNING_KEY nor JWT_SECRET"))
      let alone = #expect(throws: (any Error).self) {
        try GatewayKeys(signingKey: nil, secret: self.secret())
      }
      #expect("\(try #require(alone))".contains("TOKEN_SIGNING_KEY is not set"))
    }
  }
}
