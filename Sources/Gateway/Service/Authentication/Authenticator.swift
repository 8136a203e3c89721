import Cryptography
import HTTP
import Resilience

/// Finds out for whom a request is made, from its access token.
final class Authenticator {
  private let verifier: TokenVerifier
  private let time: any TimeSource
  private var remembered: RememberedTokens

  init(_ keys: GatewayKeys, time: any TimeSource, rememberedTokens: Int) {
    verifier = TokenVerifier(rules: AccessTokens.rules, keys: keys.accepted)
    self.time = time
    remembered = RememberedTokens(countMax: rememberedTokens)
  }

  var rememberedCount: Int { remembered.count }

  /// - Throws: why the request is not authenticated; nothing of the token is repeated.
  func authenticate(_ headers: HTTPHeaders) throws(AuthenticationFailure) -> SignedIn {
    let token = try bearerToken(headers)
    let now = time.wallNow.seconds
    if let known = remembered.find(token) {
      // All else that the rules ask for does not change with time.
      if now - verifier.rules.skewSeconds < known.claims.expiresAt { return known }
      remembered.forget(token)
    }
    do throws(TokenError) {
      let signedIn = SignedIn(try verifier.verify(token, now: now))
      remembered.remember(token, signedIn)
      return signedIn
    } catch {
      throw .token(error)
    }
  }

  private func bearerToken(_ headers: HTTPHeaders) throws(AuthenticationFailure) -> String {
    let values = headers.values(of: "authorization")
    guard let value = values.first else { throw .missing }
    guard values.count == 1 else { throw .repeated }
    let scheme = "bearer "
    guard value.utf8.count > scheme.utf8.count,
      value.prefix(scheme.count).lowercased() == scheme
    else { throw .otherScheme }
    return String(value.dropFirst(scheme.count))
  }
}

/// Why nobody is signed in.
enum AuthenticationFailure: Error, Equatable, CustomStringConvertible {
  case missing
  case repeated
  case otherScheme
  case token(TokenError)

  var description: String {
    switch self {
    case .missing: "sign in and send \"Authorization: Bearer\" with the access token"
    case .repeated: "the request has more than one Authorization field"
    case .otherScheme: "the Authorization field is not \"Bearer\" and an access token"
    case .token(let error): error.description
    }
  }

  /// The WWW-Authenticate field (RFC 6750 section 3): an error only where a token was sent.
  var challenge: String {
    let realm = "Bearer realm=\"storeplane\""
    if self == .missing { return realm }
    let error = if case .token = self { "invalid_token" } else { "invalid_request" }
    // Descriptions have quotation marks of their own at most around names.
    let words = description.replacing("\"", with: "'")
    return "\(realm), error=\"\(error)\", error_description=\"\(words)\""
  }
}
