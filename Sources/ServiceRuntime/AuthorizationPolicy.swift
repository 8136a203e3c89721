package import RPC
import RPCCore
import Reactor

/// Which service may call what; anything it does not name is refused.
///
/// The caller is who its client certificate says it is, so the policy holds only on connections that
/// require one.
package final class AuthorizationPolicy: ServerInterceptor {
  private var allowed: [String: Set<ServiceIdentity>] = [:]

  package init() {}

  /// Lets `callers` call `methods`.
  package func allow(_ methods: [MethodDescriptor], to callers: ServiceIdentity...) {
    for method in methods { allowed[method.path, default: []].formUnion(callers) }
  }

  /// Lets `callers` call every method of a service.
  package func allow(service methods: [ServerMethod], to callers: ServiceIdentity...) {
    for method in methods { allowed[method.descriptor.path, default: []].formUnion(callers) }
  }

  package func begin(_ context: ServerContext) throws {
    try authorize(context.peerIdentity, for: context.method.path)
  }

  func authorize(_ peer: PeerIdentity?, for path: String) throws(RPCError) {
    guard let peer else {
      throw RPCError(.unauthenticated, "this service takes calls over mutual TLS only")
    }
    guard let spiffe = peer.spiffe else {
      throw RPCError(
        .unauthenticated, "the client certificate names no SPIFFE identity (\(peer.subject))")
    }
    guard let identity = ServiceIdentity(spiffe: spiffe), allowed[path]?.contains(identity) == true
    else { throw RPCError(.permissionDenied, "\(spiffe) may not call \(path)") }
  }
}
