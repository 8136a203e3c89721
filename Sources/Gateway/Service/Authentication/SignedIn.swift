import Cryptography
import RPCCore
import ServiceRuntime

/// Whom a verified access token speaks for, with the caller tokens that were made of it.
final class SignedIn {
  let claims: TokenClaims
  private var callerTokens: [ServiceIdentity: (authorization: String, renewAt: Int64)] = [:]

  init(_ claims: TokenClaims) { self.claims = claims }

  var principal: TokenPrincipal { claims.principal }

  /// The `authorization` of a call to `service` on the caller's behalf. A token is used for half of
  /// its life, so that it does not end on its way.
  func authorization(
    to service: ServiceIdentity, _ issuers: [ServiceIdentity: TokenIssuer], now: Int64
  ) throws(RPCError) -> String {
    if let known = callerTokens[service], now < known.renewAt { return known.authorization }
    guard let issuer = issuers[service] else {
      throw RPCError(.internal, "no caller tokens are made for \(service.rawValue)")
    }
    let lifetime = CallerTokens.lifetimeSeconds
    let token: String
    do throws(TokenError) {
      token = try issuer.issue(for: principal, now: now, lifetimeSeconds: lifetime).token
    } catch {
      throw RPCError(.internal, "no caller token can be made: \(error)")
    }
    let authorization = "Bearer " + token
    callerTokens[service] = (authorization, now + lifetime / 2)
    return authorization
  }
}
