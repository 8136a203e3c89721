import COpenSSL
import Testing

@testable import Cryptography

/// Tokens that must not pass (RFC 8725), and what is said about them.
@Suite struct TokenAttackTests {
  private typealias Samples = TokenSamples

  let verifier: TokenVerifier

  init() throws {
    verifier = try Samples.verifier()
  }

  @Test func theSampleItselfPasses() throws {
    #expect(try verifier.verify(Samples.token(), now: Samples.now).principal.subject == "user-1")
  }

  @Test(arguments: ["none", "None", "NONE", "nOnE"])
  func algorithmNoneIsRefused(_ name: String) {
    for rest in ["", #","typ":"at+jwt""#, #","typ":"at+jwt","kid":"\#(TokenSamples.kid)""#] {
      let input = Samples.input("{\"alg\":\"\(name)\"\(rest)}", Samples.claims())
      #expect(Samples.failure(input + ".", verifier) == .algorithmNone)
    }
  }

  @Test func publicKeyAsSharedSecretIsRefused() throws {
    let header = #"{"alg":"HS256","typ":"at+jwt","kid":"\#(Samples.kid)"}"#
    let input = Samples.input(header, Samples.claims())
    let shared = try Samples.shared(Samples.key.publicKey.pem())
    let signature = TokenSigningKey.hs256(shared).signature(for: [UInt8](input.utf8))
    #expect(
      Samples.failure(input + "." + Base64.url.encode(signature), verifier)
        == .algorithmNotAllowed(expected: "ES256"))
  }

  @Test func sharedSecretDoesNotVerifyES256() throws {
    let keys = try TokenKeySet(named: [Samples.kid: .hs256(Samples.shared())])
    let verifier = TokenVerifier(rules: Samples.rules, keys: keys)
    #expect(
      Samples.failure(Samples.token(), verifier) == .algorithmNotAllowed(expected: "HS256"))
  }

  @Test(arguments: [
    (#"{"alg":"ES256","typ":"at+jwt"}"#, TokenError.missingKeyID),
    (#"{"alg":"ES256","typ":"at+jwt","kid":"other"}"#, .unknownKeyID),
    (
      #"{"alg":"ES256","typ":"at+jwt","kid":7}"#,
      .malformedHeader("kid", expected: "a text of at most 128 bytes")
    ),
    (#"{"alg":"ES256","kid":"\#(TokenSamples.kid)"}"#, .wrongType(expected: "at+jwt")),
    (#"{"alg":"ES256","typ":"JWT","kid":"k"}"#, .wrongType(expected: "at+jwt")),
    (#"{"alg":"ES256","typ":["at+jwt"]}"#, .wrongType(expected: "at+jwt")),
    (#"{"typ":"at+jwt","kid":"k"}"#, .malformedHeader("alg", expected: "a text")),
    (
      #"{"alg":"ES384","typ":"at+jwt","kid":"\#(TokenSamples.kid)"}"#,
      .algorithmNotAllowed(expected: "ES256")
    ),
    (
      #"{"alg":"es256","typ":"at+jwt","kid":"\#(TokenSamples.kid)"}"#,
      .algorithmNotAllowed(expected: "ES256")
    ),
    (
      #"{"alg":"ES256","typ":"at+jwt","kid":"\#(TokenSamples.kid)","crit":["b64"],"b64":false}"#,
      .criticalExtension
    ),
    (#"{"alg":"ES256","alg":"none"}"#, .malformed(.header, .duplicateMember)),
    (#"["ES256"]"#, .malformed(.header, .notAnObject)),
    ("{", .malformed(.header, .notJSON(offset: 1))),
  ])
  func headersAreStrict(_ header: String, _ expected: TokenError) {
    #expect(Samples.failure(Samples.token(header: header), verifier) == expected)
  }

  @Test(
    arguments: [
      (["iss": #""other""#], TokenError.wrongIssuer(expected: "https://storeplane.example")),
      (["iss": nil], .missingClaim("iss")),
      (["aud": #""config""#], .wrongAudience(expected: "provisioner")),
      (["aud": "[]"], .wrongAudience(expected: "provisioner")),
      (["aud": nil], .wrongAudience(expected: "provisioner")),
      (["sub": nil], .missingClaim("sub")),
      (["sub": "\"\""], .malformedClaim("sub", expected: "a text of 1 to 512 bytes")),
      (["exp": nil], .missingClaim("exp")),
      (["iat": nil], .missingClaim("iat")),
      (["tenant": nil], .missingClaim("tenant")),
      (["tenant": "null"], .malformedClaim("tenant", expected: "a text of 1 to 512 bytes")),
      (
        ["exp": #""1800000060""#],
        .malformedClaim("exp", expected: "seconds since 1970, before the year 10000")
      ),
      (
        ["exp": "1e300"],
        .malformedClaim("exp", expected: "seconds since 1970, before the year 10000")
      ),
      (
        ["iat": "-1"],
        .malformedClaim("iat", expected: "seconds since 1970, before the year 10000")
      ),
      (["exp": "1800000901"], .lifetimeTooLong(seconds: 901, maximum: 900)),
      (["exp": "1800000000"], .malformedClaim("exp", expected: "a time after iat")),
      (["roles": #""owner""#], .malformedClaim("roles", expected: "an array of at most 64 texts")),
      (["roles": "[1]"], .malformedClaim("roles", expected: "a text of 1 to 512 bytes")),
    ] as [([String: String?], TokenError)])
  func claimsAreStrict(_ changes: [String: String?], _ expected: TokenError) {
    let token = Samples.token(Samples.claims(changes))
    #expect(Samples.failure(token, verifier) == expected)
  }

  @Test func tokensOfOtherKeysAreRefused() throws {
    let other = P256PrivateKey.generate()
    let input = Samples.input(Samples.goodHeader, Samples.claims())
    let signature = Base64.url.encode(other.signature(for: [UInt8](input.utf8)))
    #expect(Samples.failure("\(input).\(signature)", verifier) == .wrongSignature)
    #expect(Samples.failure("\(input).", verifier) == .wrongSignature)
    // The DER form is not JOSE's.
    let raw = Samples.key.signature(for: [UInt8](input.utf8))
    let der = try #require(ECDSASignature(raw: raw)).der
    #expect(Samples.failure("\(input).\(Base64.url.encode(der))", verifier) == .wrongSignature)
    #expect(ERR_peek_error() == 0)
  }

  @Test func everyChangedCharacterIsNoticed() {
    let token = [UInt8](Samples.token().utf8)
    for position in token.indices {
      for replacement in [UInt8(ascii: "A"), UInt8(ascii: "."), UInt8(ascii: "="), 0xff] {
        guard token[position] != replacement else { continue }
        var changed = token
        changed[position] = replacement
        #expect(throws: TokenError.self) {
          try changed.withUnsafeBufferPointer { changed in
            try verifier.verify(changed, now: Samples.now)
          }
        }
      }
    }
    for length in token.indices {
      let short = String(decoding: token.prefix(length), as: UTF8.self)
      #expect(Samples.failure(short, verifier) != nil)
    }
  }

  @Test func shapesAreRefused() {
    #expect(Samples.failure("", verifier) == .empty)
    #expect(Samples.failure("a", verifier) == .wrongPartCount(1))
    #expect(Samples.failure("a.b", verifier) == .wrongPartCount(2))
    #expect(Samples.failure("a.b.c.d", verifier) == .wrongPartCount(4))
    #expect(Samples.failure("a.b.c.d.e", verifier) == .wrongPartCount(5))
    #expect("\(TokenError.wrongPartCount(5))".contains("encrypted"))
    #expect(Samples.failure("..", verifier) == .malformed(.header, .notJSON(offset: 0)))
    let token = Samples.token()
    #expect(
      Samples.failure(token + "=", verifier)
        == .malformed(.signature, .base64(.invalidCharacter(offset: 86))))
    #expect(Samples.failure(" " + token, verifier) != nil)
    #expect(Samples.failure(token + "\n", verifier) != nil)
  }

  @Test func hugeAndDeepTokensAreRefused() {
    let huge = String(repeating: "a", count: TokenVerifier.tokenLengthMax + 1)
    #expect(
      Samples.failure(huge, verifier)
        == .tooLong(length: huge.utf8.count, maximum: TokenVerifier.tokenLengthMax))
    let deep = "{\"a\":" + String(repeating: "[", count: 2000)
    #expect(
      Samples.failure(Samples.token(header: deep), verifier)
        == .malformed(.header, .tooDeep(maximum: BoundedJSON.depthMax)))
    #expect(
      Samples.failure(Samples.token(deep), verifier)
        == .malformed(.payload, .tooDeep(maximum: BoundedJSON.depthMax)))
    let members = (0...BoundedJSON.membersMax).map { "\"\($0)\":1" }.joined(separator: ",")
    #expect(
      Samples.failure(Samples.token("{\(members)}"), verifier)
        == .malformed(.payload, .tooManyMembers(maximum: BoundedJSON.membersMax)))
    let wide = "{\"a\":[" + String(repeating: "1,", count: 2000) + "1]}"
    #expect(
      Samples.failure(Samples.token(wide), verifier)
        == .malformed(.payload, .tooManyValues(maximum: BoundedJSON.valuesMax)))
  }

  @Test func errorsSayWhenAndNeverQuoteTheToken() {
    let expired = Samples.failure(Samples.token(), now: Samples.now + 3600, verifier)
    #expect(expired.map { "\($0)" } == "the token expired at 2027-01-15T08:01:00Z")
    let marked = Samples.claims(["iss": "\"marker\"", "sub": "\"marker\""])
    for token in [
      Samples.token(marked), Samples.token(#"{"marker":1,"marker":2}"#),
      Samples.token(#"{"marker":[}"#), Samples.token(header: #"{"alg":"marker","typ":"marker"}"#),
      Samples.token(header: #"{"alg":"ES256","typ":"at+jwt","kid":"marker"}"#),
    ] {
      let text = Samples.failure(token, verifier).map { "\($0)" } ?? "marker"
      #expect(!text.contains("marker") && !text.contains("eyJ"), "\(text)")
    }
  }
}
