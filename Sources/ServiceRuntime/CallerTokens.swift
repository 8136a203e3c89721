package import Cryptography
import Observability
package import RPC
package import RPCCore
import Reactor

/// The short tokens by which the gateway tells a service for whom it calls.
///
/// They are signed by the gateway, live for a minute and name one service as their audience; a service
/// takes them only over a connection that proved to be the gateway's, so that a stolen one is of no
/// use to anybody else.
package enum CallerTokens {
  package static let lifetimeSeconds: Int64 = 60
  /// The metadata beside a token: the address of the person's request, without a port.
  package static let addressName = "x-forwarded-for"

  package static func rules(for audience: ServiceIdentity) -> TokenRules {
    TokenRules(
      issuer: "storeplane-gateway", audience: audience.rawValue, type: "storeplane-caller+jwt",
      lifetimeSecondsMax: lifetimeSeconds)
  }
}

/// Verifies the caller token of the calls that the gateway makes, and leaves the `Caller`, with the address
/// that the gateway names, for the handler. Calls of other services carry none: they speak for themselves.
package final class CallerInterceptor: ServerInterceptor {
  private let verifier: TokenVerifier
  private let now: () -> Int64

  /// `keys` are the gateway's; `now` in Unix seconds.
  package init(audience: ServiceIdentity, keys: TokenKeySet, now: @escaping () -> Int64) {
    verifier = TokenVerifier(rules: CallerTokens.rules(for: audience), keys: keys)
    self.now = now
  }

  package func begin(_ context: ServerContext) throws {
    guard let authorization = context.metadata["authorization"] else { return }
    guard context.peerIdentity?.spiffe == ServiceIdentity.gateway.spiffe else {
      throw RPCError(.unauthenticated, "caller tokens are taken from the gateway only")
    }
    let caller = try verify(authorization, address: Self.address(context))
    context[Caller.self] = caller
    if let tenant = caller.tenant { context.requestContext?.tenant = tenant }
    context.requestContext?.principal = "user:\(caller.subject)"
  }

  /// The address that the gateway says the request came from.
  private static func address(_ context: ServerContext) -> String {
    guard let text = context.metadata[CallerTokens.addressName],
      SocketAddress(ip: text, port: 0) != nil
    else { return "" }
    return text
  }

  private func verify(
    _ authorization: String, address: String
  ) throws(RPCError) -> Caller {
    let scheme = "Bearer "
    guard authorization.hasPrefix(scheme) else {
      throw RPCError(.unauthenticated, "the authorization is not a bearer token")
    }
    do throws(TokenError) {
      let claims = try verifier.verify(String(authorization.dropFirst(scheme.count)), now: now())
      return Caller(
        subject: claims.principal.subject, tenant: claims.principal.tenant,
        roles: Set(claims.principal.roles), address: address)
    } catch {
      throw RPCError(.unauthenticated, "caller token: \(error)")
    }
  }
}

extension ServerContext {
  /// For whom the call is made; refuses calls that carry no caller token.
  package func caller() throws(RPCError) -> Caller {
    guard let caller = self[Caller.self] else {
      throw RPCError(.unauthenticated, "the call carries no caller token")
    }
    return caller
  }

  /// The tenant of the caller; refuses those that have none.
  package func tenant() throws(RPCError) -> String {
    guard let tenant = try caller().tenant else {
      throw RPCError(.failedPrecondition, "the caller belongs to no tenant; choose one first")
    }
    return tenant
  }

  /// Which service called, by its certificate.
  package var callingService: ServiceIdentity? {
    peerIdentity?.spiffe.flatMap(ServiceIdentity.init(spiffe:))
  }
}
