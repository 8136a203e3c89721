import Testing

@testable import Cryptography

/// Keys, rules and raw tokens for the tests of tokens.
enum TokenSamples {
  static let now: Int64 = 1_800_000_000
  static let rules = TokenRules(
    issuer: "https://storeplane.example", audience: "provisioner", type: "at+jwt",
    lifetimeSecondsMax: 900, requiresTenant: true)
  static let principal = TokenPrincipal(
    subject: "user-1", tenant: "tenant-1", roles: ["owner", "viewer"], session: "session-1",
    requestID: "request-1")
  static let key = P256PrivateKey.generate()
  static let kid = key.publicKey.thumbprint

  static func verifier(_ rules: TokenRules = rules) throws -> TokenVerifier {
    TokenVerifier(rules: rules, keys: try TokenKeySet([key.publicKey]))
  }

  static func shared(_ text: String = "0123456789abcdef0123456789abcdef") throws -> TokenSecret {
    try TokenSecret(secret(text))
  }

  static let goodHeader = #"{"alg":"ES256","typ":"at+jwt","kid":"\#(kid)"}"#

  /// The claims of a good token, with those of `changes` put in their place; nil leaves one out.
  static func claims(_ changes: [String: String?] = [:]) -> String {
    var members: [String: String?] = [
      "iss": #""https://storeplane.example""#, "sub": #""user-1""#, "aud": #""provisioner""#,
      "iat": "\(now)", "exp": "\(now + 60)", "tenant": #""tenant-1""#,
    ]
    members.merge(changes) { _, new in new }
    let written = members.compactMap { name, value in value.map { "\"\(name)\":\($0)" } }
    return "{" + written.joined(separator: ",") + "}"
  }

  static func input(_ header: String, _ claims: String) -> String {
    Base64.url.encode([UInt8](header.utf8)) + "." + Base64.url.encode([UInt8](claims.utf8))
  }

  /// A token with any header and claims, and a right signature of our key.
  static func token(_ claims: String = claims(), header: String = goodHeader) -> String {
    let input = input(header, claims)
    return input + "." + Base64.url.encode(key.signature(for: [UInt8](input.utf8)))
  }

  static func failure(
    _ token: String, now: Int64 = now, _ verifier: TokenVerifier
  ) -> TokenError? {
    do throws(TokenError) {
      _ = try verifier.verify(token, now: now)
      return nil
    } catch {
      return error
    }
  }
}

@Suite struct TokenTests {
  private typealias Samples = TokenSamples

  @Test func verifiesWhatWasIssued() throws {
    let shared = try Samples.shared()
    let pairs: [(TokenSigningKey, TokenKeySet)] = [
      (.es256(Samples.key), try TokenKeySet([Samples.key.publicKey])),
      (.hs256(shared), try TokenKeySet(named: [:], unnamed: .hs256(shared))),
    ]
    for (key, keys) in pairs {
      let issuer = TokenIssuer(rules: Samples.rules, key: key)
      let (token, claims) = try issuer.issue(
        for: Samples.principal, now: Samples.now, lifetimeSeconds: 60)
      let verifier = TokenVerifier(rules: Samples.rules, keys: keys)
      let verified = try verifier.verify(token, now: Samples.now)
      #expect(verified == claims)
      #expect(verified.principal == Samples.principal)
      #expect(verified.expiresAt == Samples.now + 60 && verified.issuedAt == Samples.now)
      #expect(verified.audience == ["provisioner"] && verified.tokenID?.isEmpty == false)
    }
  }

  @Test func namedSharedSecretsAreFoundByTheirName() throws {
    let shared = try Samples.shared()
    let issuer = TokenIssuer(rules: Samples.rules, key: .hs256(shared), keyID: "first")
    let (token, _) = try issuer.issue(
      for: Samples.principal, now: Samples.now, lifetimeSeconds: 60)
    let keys = try TokenKeySet(named: ["first": .hs256(shared)])
    _ = try TokenVerifier(rules: Samples.rules, keys: keys).verify(token, now: Samples.now)
    let others = try TokenKeySet(named: ["second": .hs256(shared)], unnamed: .hs256(shared))
    #expect(
      Samples.failure(token, TokenVerifier(rules: Samples.rules, keys: others)) == .unknownKeyID)
  }

  /// RFC 7515, appendix A.1.
  @Test func signsTheStandardsHS256Token() throws {
    let shared = try TokenSecret(
      SecretBytes(
        copying: Base64.url.decode(
          "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"))
    )
    let input =
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAs"
      + "DQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    let key = TokenSigningKey.hs256(shared)
    #expect(Base64.url.encode(key.signature(for: [UInt8](input.utf8))) == signature)
    // The token itself is of another kind than any of ours.
    let keys = try TokenKeySet(named: [:], unnamed: .hs256(shared))
    let rules = TokenRules(
      issuer: "joe", audience: "x", type: "JWT", lifetimeSecondsMax: 900)
    #expect(
      Samples.failure("\(input).\(signature)", TokenVerifier(rules: rules, keys: keys))
        == .missingClaim("iat"))
  }

  @Test func takesWhatTheStandardAllows() throws {
    let verifier = try Samples.verifier()
    let header = #"{"kid":"\#(Samples.kid)","typ":"application/AT+JWT","alg":"ES256","jku":"x"}"#
    _ = try verifier.verify(
      Samples.token(Samples.claims(["aud": #"["other","provisioner"]"#]), header: header),
      now: Samples.now)
    let fractional = try verifier.verify(
      Samples.token(Samples.claims(["exp": "\(Samples.now + 60).75", "extra": "{\"a\":[1]}"])),
      now: Samples.now)
    #expect(fractional.expiresAt == Samples.now + 60)
  }

  @Test func timesHaveSharpEdges() throws {
    let verifier = try Samples.verifier()
    let skew = Samples.rules.skewSeconds
    let token = Samples.token(Samples.claims(["nbf": "\(Samples.now + 10)"]))
    let end = Samples.now + 60
    let start = Samples.now + 10
    #expect(Samples.failure(token, now: start - skew - 1, verifier) == .notYetValid(until: start))
    #expect(Samples.failure(token, now: start - skew, verifier) == nil)
    #expect(Samples.failure(token, now: end + skew - 1, verifier) == nil)
    #expect(Samples.failure(token, now: end + skew, verifier) == .expired(at: end))
    let early = Samples.now - skew - 1
    #expect(
      Samples.failure(Samples.token(), now: early, verifier)
        == .issuedInTheFuture(at: Samples.now))
    #expect(Samples.failure(Samples.token(), now: early + 1, verifier) == nil)
  }

  @Test func agreesWithNode() throws {
    struct Verified: Decodable {
      struct Claims: Decodable {
        let sub, aud, tenant: String
        let roles: [String]
        let exp: Int64
      }
      let valid, keyIsThumbprint: Bool
      let claims: Claims
    }
    struct Signed: Decodable { let token, jwks, pem: String }

    let issuer = TokenIssuer(rules: Samples.rules, key: .es256(Samples.key))
    let (token, _) = try issuer.issue(
      for: Samples.principal, now: Samples.now, lifetimeSeconds: 60)
    let keys = try JSONWebKeySet([Samples.key.publicKey])
    let verified: Verified = try NodePeer.ask(
      "tokenVerify", ["token": token, "jwks": keys.encoded])
    #expect(verified.valid && verified.keyIsThumbprint)
    #expect(verified.claims.sub == "user-1" && verified.claims.aud == "provisioner")
    #expect(verified.claims.roles == ["owner", "viewer"])
    #expect(verified.claims.exp == Samples.now + 60)

    let signed: Signed = try NodePeer.ask(
      "tokenSign",
      [
        "header": ["alg": "ES256", "typ": "at+jwt", "kid": "node-1"],
        "claims": [
          "iss": "https://storeplane.example", "sub": "user-2", "aud": "provisioner",
          "iat": Samples.now, "exp": Samples.now + 60, "tenant": "Zürich 🛒",
        ] as [String: any Sendable],
      ])
    let theirs = TokenVerifier(
      rules: Samples.rules, keys: try JSONWebKeySet(parsing: signed.jwks).tokenKeySet())
    #expect(try theirs.verify(signed.token, now: Samples.now).principal.tenant == "Zürich 🛒")
    let key = try P256PrivateKey(pem: secret(signed.pem))
    #expect(key.publicKey == (try JSONWebKeySet(parsing: signed.jwks)).keys.first?.publicKey)
  }

  @Test func issuersRefuseWhatVerifiersWould() throws {
    let issuer = TokenIssuer(rules: Samples.rules, key: .es256(Samples.key))
    func failure(_ principal: TokenPrincipal, lifetime: Int64 = 60) -> TokenError? {
      do throws(TokenError) {
        _ = try issuer.issue(for: principal, now: Samples.now, lifetimeSeconds: lifetime)
        return nil
      } catch {
        return error
      }
    }
    #expect(
      failure(Samples.principal, lifetime: 901) == .lifetimeTooLong(seconds: 901, maximum: 900))
    #expect(failure(Samples.principal, lifetime: 900) == nil)
    #expect(
      failure(Samples.principal, lifetime: 0)
        == .malformedClaim("exp", expected: "a time after iat"))
    #expect(failure(TokenPrincipal(subject: "x")) == .missingClaim("tenant"))
    var principal = Samples.principal
    principal.subject = ""
    #expect(failure(principal) != nil)
    principal.subject = String(repeating: "s", count: TokenClaims.textLengthMax + 1)
    #expect(failure(principal) != nil)
    principal = Samples.principal
    principal.roles = [String](repeating: "r", count: TokenClaims.roleCountMax + 1)
    #expect(failure(principal) != nil)
    principal.roles = [String](repeating: String(repeating: "r", count: 512), count: 20)
    let tooLong = failure(principal)
    #expect(tooLong.map { "\($0)".contains("at most 8192") } == true)
  }

  @Test func secretsAndSetsHaveLimits() throws {
    #expect(throws: TokenSecretError.tooShort(31)) {
      try TokenSecret(SecretBytes(count: 31) { _ in })
    }
    let key = TokenVerificationKey.es256(Samples.key.publicKey)
    let maximum = TokenKeySet.keyCountMax
    let named = Dictionary(uniqueKeysWithValues: (0...maximum).map { ("\($0)", key) })
    #expect(throws: TokenKeySetError.tooManyKeys(count: maximum + 1, maximum: maximum)) {
      try TokenKeySet(named: named)
    }
  }
}

@Suite struct JSONWebKeySetTests {
  private static func member(_ changes: [String: String] = [:]) -> String {
    let key = TokenSamples.key.publicKey
    var members = [
      "kty": "\"EC\"", "crv": "\"P-256\"", "kid": "\"k\"",
      "x": "\"\(Base64.url.encode(key.x))\"", "y": "\"\(Base64.url.encode(key.y))\"",
    ]
    members.merge(changes) { _, new in new }
    return "{" + members.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
  }

  @Test func goesBothWays() throws {
    let keys = (0..<3).map { _ in P256PrivateKey.generate().publicKey }
    let set = try JSONWebKeySet(parsing: JSONWebKeySet(keys).encoded)
    #expect(set.keys.map(\.publicKey) == keys)
    #expect(set.keys.map(\.identifier) == keys.map(\.thumbprint))
    #expect(try JSONWebKeySet(parsing: JSONWebKeySet([]).encoded).keys.isEmpty)
  }

  @Test func passesOverOtherKeys() throws {
    let text =
      "{\"keys\":["
      + [
        Self.member(["kty": "\"RSA\""]), Self.member(["crv": "\"P-384\""]),
        Self.member(["use": "\"enc\""]), Self.member(["alg": "\"ES384\""]), Self.member(),
      ].joined(separator: ",") + "]}"
    #expect(try JSONWebKeySet(parsing: text).keys.map(\.identifier) == ["k"])
  }

  @Test(arguments: [
    (["d": "\"AAAA\""], "private key"), (["x": "\"AAAA\""], "32 bytes"), (["x": "1"], "not a text"),
    (["y": "\"=\""], "base64"), (["kid": "7"], "kid is not a text"),
    (["y": "\"\(String(repeating: "A", count: 43))\""], "not a point"),
  ])
  func refusesKeysWrongInThemselves(_ changes: [String: String], _ reason: String) {
    let error = complaint { try JSONWebKeySet(parsing: "{\"keys\":[\(Self.member(changes))]}") }
    #expect(error?.contains(reason) == true, "\(error ?? "nothing thrown")")
    #expect(error?.hasPrefix("key 1 of the key set") == true)
  }

  @Test func refusesOtherDocumentsAndTooMuch() throws {
    #expect(throws: JSONWebKeySetError.noKeys) { try JSONWebKeySet(parsing: "{}") }
    #expect(throws: JSONWebKeySetError.malformed(.notAnObject)) {
      try JSONWebKeySet(parsing: "[]")
    }
    #expect(throws: JSONWebKeySetError.wrongKey(index: 1, reason: "its kid occurs twice")) {
      try JSONWebKeySet(parsing: "{\"keys\":[\(Self.member()),\(Self.member())]}")
    }
    let maximum = JSONWebKeySet.keyCountMax
    let many = [String](repeating: "{}", count: maximum + 1).joined(separator: ",")
    #expect(throws: JSONWebKeySetError.tooManyKeys(count: maximum + 1, maximum: maximum)) {
      try JSONWebKeySet(parsing: "{\"keys\":[\(many)]}")
    }
    let long = String(repeating: " ", count: JSONWebKeySet.textLengthMax + 1)
    #expect(
      throws: JSONWebKeySetError.tooLong(
        length: long.utf8.count, maximum: JSONWebKeySet.textLengthMax)
    ) { try JSONWebKeySet(parsing: long) }
  }
}

@Suite struct TimestampTests {
  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00Z"), (-1, "1969-12-31T23:59:59Z"),
      (951_782_399, "2000-02-28T23:59:59Z"), (951_782_400, "2000-02-29T00:00:00Z"),
      (951_868_800, "2000-03-01T00:00:00Z"), (1_709_164_800, "2024-02-29T00:00:00Z"),
      (4_107_542_400, "2100-03-01T00:00:00Z"), (1_767_225_599, "2025-12-31T23:59:59Z"),
      (Timestamp.secondsMax, "9999-12-31T23:59:59Z"),
    ] as [(Int64, String)])
  func writesTheCalendar(_ seconds: Int64, _ expected: String) {
    #expect(Timestamp.text(seconds) == expected)
  }
}
